"""PSNR, SSIM and MS-SSIM agree with other libraries and with their formulas in numpy."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import skimage.metrics
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gesso.errors import ModelError
from gesso.evaluation import structural

Array = NDArray[Any]
Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]
windows_of: Any = sliding_window_view  # numpy types its axis too narrowly


def arrays(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[Array, Array]:
    one, two = (x[0].permute(1, 2, 0).double().numpy() for x in pair)
    return one, two


@pytest.mark.parametrize("name", ["astronaut", "coffee", "bands"])
def test_psnr_agrees_with_scikit_image(pairs: Pairs, name: str) -> None:
    peak: Any = skimage.metrics.peak_signal_noise_ratio
    expected = peak(*arrays(pairs[name]), data_range=1)
    assert structural.psnr(*pairs[name]).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["astronaut", "coffee", "bands"])
def test_ssim_agrees_with_scikit_image(pairs: Pairs, name: str) -> None:
    similarity: Any = skimage.metrics.structural_similarity
    expected = similarity(
        *arrays(pairs[name]),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
        channel_axis=2,
    )
    assert structural.ssim(*pairs[name]).item() == pytest.approx(expected, abs=2e-5)


def formula_ms_ssim(one: Array, two: Array) -> float:
    """Wang, Simoncelli and Bovik 2003, of pictures that can be halved four times."""
    ramp = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(ramp, ramp) / ramp.sum() ** 2

    def blur(x: Array) -> Array:
        return np.asarray(np.einsum("hwcyx,yx->hwc", windows_of(x, (11, 11), axis=(0, 1)), window))

    value = np.ones(3)
    for scale, exponent in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale:
            one, two = ((x[::2] + x[1::2]) / 2 for x in (one, two))
            one, two = ((x[:, ::2] + x[:, 1::2]) / 2 for x in (one, two))
        m1, m2 = blur(one), blur(two)
        v1, v2, both = blur(one**2) - m1**2, blur(two**2) - m2**2, blur(one * two) - m1 * m2
        terms = (2 * both + 0.03**2) / (v1 + v2 + 0.03**2)
        if scale == 4:
            terms = terms * (2 * m1 * m2 + 0.01**2) / (m1**2 + m2**2 + 0.01**2)
        value *= terms.mean((0, 1)) ** exponent
    return float(value.mean())


def test_ms_ssim_agrees_with_its_formula_in_double_precision(pairs: Pairs) -> None:
    expected = formula_ms_ssim(*arrays(pairs["astronaut"]))
    assert structural.ms_ssim(*pairs["astronaut"]).item() == pytest.approx(expected, abs=2e-5)


# By piq 0.8.0: multi_scale_ssim(reference, picture, data_range=1.0), which repeats the last
# row or column of odd sides where pytorch-msssim adds zeros.
@pytest.mark.parametrize(("name", "value"), [("astronaut", 0.953128), ("bands", 0.964292)])
def test_ms_ssim_agrees_with_another_library(pairs: Pairs, name: str, value: float) -> None:
    assert structural.ms_ssim(*pairs[name]).item() == pytest.approx(value, abs=3e-5)


def test_a_missing_package_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, pairs: Pairs
) -> None:
    assert structural.missing_ssim() is None
    monkeypatch.setitem(sys.modules, "pytorch_msssim", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'gesso[evaluate]'" in str(structural.missing_ssim())
    with pytest.raises(ModelError, match=r"pip install 'gesso\[evaluate\]'"):
        structural.ssim(*pairs["coffee"])
