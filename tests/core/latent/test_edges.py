"""Canny's edges: OpenCV's bit for bit, and where others find them too."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from gesso.latent.edges import _linked, canny_condition, canny_edges


def rings(height: int, width: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    planes = [(x * (k + 1) + y * y // 7 + x * y // (11 + k)) % 256 for k in range(3)]
    return np.stack(planes).astype(np.uint8)


# SHA-256 of np.packbits(cv2.Canny(rings(64, 90).transpose(1, 2, 0), low, high) > 0), OpenCV 4.10.
OPENCV = {
    (100, 200): "fb1bcbe5233e5d02e4e23a6e16a42e69d2308ce22d56e3ae0870d362938b94b8",
    (300, 700): "43df3940851138f72d1aac8b2f2e16c294d29b5bacfd085cd6d94fcde2c0fa8a",
}


@pytest.mark.parametrize("levels", OPENCV)
def test_edges_are_opencvs(levels: tuple[int, int]) -> None:
    found = canny_edges(rings(64, 90), *levels)
    assert hashlib.sha256(np.packbits(found).tobytes()).hexdigest() == OPENCV[levels]


def smooth(seed: int) -> torch.Tensor:
    """Shapes with soft borders, (1, 3, 96, 120) on [-1, 1]."""
    coarse = torch.rand(1, 1, 8, 10, generator=torch.Generator().manual_seed(seed))
    fine = torch.nn.functional.interpolate(coarse, (96, 120), mode="bicubic")
    return torch.tanh((fine - 0.5) * 24).expand(1, 3, -1, -1)


def near(edges: NDArray[Any]) -> NDArray[Any]:
    """One pixel wider, all around."""
    padded = np.pad(edges, 1)
    height, width = edges.shape
    return np.any(
        [padded[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0
    )


@pytest.mark.parametrize("seed", range(4))
def test_scikit_image_finds_them_too(seed: int) -> None:
    feature = pytest.importorskip("skimage.feature")
    pixels = smooth(seed)
    found = canny_condition(pixels)[0, 0].numpy() > 0
    grey = ((pixels[0, 0].numpy() + 1) * 127.5).round() / 255
    # Its gradients are Euclidean and divided by nothing; ours are of 255 levels.
    other = feature.canny(grey, sigma=0.3, low_threshold=100 / 255, high_threshold=200 / 255)
    assert found[2:-2, 2:-2].sum() > 200
    inside = (slice(2, -2), slice(2, -2))
    for one, two in ((found, other), (other, found)):
        assert (one & near(two))[inside].sum() > 0.93 * one[inside].sum()


def test_a_condition_is_a_picture_of_edges() -> None:
    pixels = torch.full((2, 3, 12, 16), -1.0)
    pixels[1, :, :, 8:] = 1.0
    found = canny_condition(pixels)
    assert found.shape == (2, 3, 12, 16) and found.dtype == torch.float32
    assert not found[0].any()
    # One pixel wide, the whole height, in every channel.
    expected = torch.zeros(12, 16)
    expected[:, 7] = 1
    assert torch.equal(found[1], expected.expand(3, -1, -1))


def test_a_channel_alone_has_edges() -> None:
    pixels = torch.zeros(1, 3, 12, 16)
    pixels[:, 2, 6:] = 1.0
    assert canny_condition(pixels)[0, 0, 5].all()


def test_values_out_of_range_are_put_into_it() -> None:
    pixels = smooth(0) * 4
    assert torch.equal(canny_condition(pixels), canny_condition(pixels.clamp(-1, 1)))


def test_weak_edges_stay_where_they_hang_on_a_strong_one() -> None:
    picture = np.zeros((1, 20, 20), np.uint8)
    picture[:, :, 5:] = 30  # 4 * 30: weak
    picture[:, :, 14:] = 60
    picture[:, :3, 14:] = 120  # strong above
    found = canny_edges(picture, 100, 200)
    assert not found[:, :10].any() and found[5:, 13].all()


@given(arrays(np.uint8, st.tuples(st.just(3), st.integers(1, 9), st.integers(1, 9))))
@settings(max_examples=60, deadline=None)
def test_a_higher_threshold_finds_no_more(picture: NDArray[np.uint8]) -> None:
    found = canny_edges(picture, 100, 200)
    assert found.shape == picture.shape[1:] and found.dtype == bool
    assert not (canny_edges(picture, 100, 400) & ~found).any()
    assert not (canny_edges(picture, 200, 200) & ~found).any()


def test_the_longest_way_is_gone_in_time() -> None:
    serpentine = np.zeros((512, 512), bool)
    serpentine[::2] = True
    serpentine[1::4, -1] = True
    serpentine[3::4, 0] = True
    sure = np.zeros_like(serpentine)
    sure[0, 0] = True
    begin = time.perf_counter()
    assert np.array_equal(_linked(serpentine, sure), serpentine)
    assert time.perf_counter() - begin < 20
