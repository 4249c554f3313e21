"""Palettes: the scale of bytes, fits, nearest entries."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.latent.palette import (
    dequantise,
    fit_palette,
    imagequant,
    nearest,
    palette_noise,
    quantise,
)

Bytes = NDArray[np.uint8]


def error_of(latents: Bytes, palette: Bytes) -> float:
    chosen = palette[nearest(latents, palette)]
    return float(((chosen.astype(float) - latents) ** 2).mean())


def test_bytes_are_the_contract_s() -> None:
    latents = np.array([-9, -3, -1.5, 0, 0.011, 3, 9], np.float32)
    assert quantise(latents, 3.0).tolist() == [0, 0, 64, 128, 128, 255, 255]
    np.testing.assert_allclose(
        dequantise(np.array([0, 51, 255], np.uint8), 3.0), [-3, -1.8, 3], atol=1e-6
    )


@given(st.floats(0.1, 50))
def test_every_byte_survives_the_way_there_and_back(magnitude: float) -> None:
    values = np.arange(256, dtype=np.uint8)
    assert np.array_equal(quantise(dequantise(values, magnitude), magnitude), values)


def test_k_means_is_sorted_distinct_reproducible_and_near(latents: Bytes) -> None:
    palette = fit_palette(latents, 64)
    assert palette.dtype == np.uint8 and palette.shape[1] == 4 and 56 <= len(palette) <= 64
    assert np.array_equal(np.unique(palette, axis=0), palette)
    assert np.array_equal(fit_palette(latents, 64), palette)
    random = np.random.default_rng(0).permutation(latents.reshape(-1, 4))[:64]
    assert error_of(latents, palette) < 0.75 * error_of(latents, random)
    assert error_of(latents, fit_palette(latents, 256)) < 0.6 * error_of(latents, palette)


def test_few_distinct_values_are_all_kept() -> None:
    latents = np.array([[[9, 1], [3, 2]], [[3, 2], [9, 1]]], np.uint8)
    assert fit_palette(latents, 4).tolist() == [[3, 2], [9, 1]]
    assert fit_palette(latents, 1).tolist() == [[6, 2]]
    assert fit_palette(np.full((1, 1, 3), 7, np.uint8), 256).tolist() == [[7, 7, 7]]


def test_256_colours_of_64_x_64_take_little_time(latents: Bytes) -> None:
    began = time.process_time()
    fit_palette(latents, 256)
    assert time.process_time() - began < 1  # 0.07 s; tests share their processor


def test_large_pictures_are_fitted_by_a_sample() -> None:
    random = np.random.default_rng(0)
    centres = random.integers(0, 256, (8, 4))
    latents = centres[random.integers(0, 8, (200, 200))].astype(np.uint8)
    assert error_of(latents, fit_palette(latents, 8)) == 0


def test_the_nearest_of_equals_is_the_first() -> None:
    palette = np.array([[10], [20], [20], [0]], np.uint8)
    values = np.array([[[15], [5], [20], [255]]], np.uint8)
    assert nearest(values, palette).tolist() == [[0, 0, 1, 1]]


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.just(3))),
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.just(3))),
)
def test_nearest_is_its_definition(values: Bytes, palette: Bytes) -> None:
    apart = (values[:, :, None].astype(int) - palette.astype(int)) ** 2
    assert np.array_equal(nearest(values, palette), apart.sum(-1).argmin(-1))


def test_imagequant_palettises_as_the_original(latents: Bytes) -> None:
    pytest.importorskip("libimagequant")
    palette, indices = imagequant(latents, 64)
    assert palette.dtype == indices.dtype == np.uint8
    assert palette.shape == (64, 4) and indices.shape == (64, 64) and indices.max() < 64
    fitted = fit_palette(latents, 64, "imagequant")
    assert np.array_equal(fitted, np.unique(palette, axis=0))
    assert error_of(latents, fitted) < 2 * error_of(latents, fit_palette(latents, 64))
    # what dithering costs at each place it gives back in the mean
    error = palette[indices].astype(float) - latents
    assert (error**2).mean() > error_of(latents, palette)
    assert abs(error.mean()) < 1.5
    one, zeros = imagequant(latents, 1)
    assert one.shape == (1, 4) and not zeros.any()


def test_what_cannot_be_is_named(latents: Bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="1 to 256 colours, not 257"):
        fit_palette(latents, 257)
    with pytest.raises(InputError, match="not float64"):
        fit_palette(latents.astype(float), 4)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="kmeans or imagequant"):
        fit_palette(latents, 4, "octree")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="4 channels, not 3"):
        fit_palette(latents[..., :3], 4, "imagequant")
    monkeypatch.setitem(sys.modules, "libimagequant", None)
    with pytest.raises(InputError, match=r"gesso\[palette\]"):
        fit_palette(latents, 4, "imagequant")


def test_noise_is_half_the_way_to_the_next_entry() -> None:
    palette = np.array([[0, 0], [6, 8], [100, 100]], np.uint8)
    near, far = np.zeros((2, 2), np.uint8), np.full((2, 2), 2, np.uint8)
    assert palette_noise(palette, near) == pytest.approx(10 / 2 / 2**0.5)
    assert palette_noise(palette, far) > palette_noise(palette, near)
    assert palette_noise(palette[:1], near) == pytest.approx(255 / 2 / 2**0.5)


def test_noise_is_about_what_a_fitted_palette_errs_by(latents: NDArray[np.uint8]) -> None:
    palette = fit_palette(latents, 64)
    indices = nearest(latents, palette)
    error = latents.astype(float) - palette[indices]
    assert 0.4 < palette_noise(palette, indices) / float(np.sqrt((error**2).mean())) < 2.5
