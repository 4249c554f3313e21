"""What a model leaves alone stays bit for bit; what it changes arrives in every format."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ffmpeg_gesso.layouts import FORMATS, Layout, layout_of
from ffmpeg_gesso.pixels import Raw
from gesso.errors import InputError

SIZES = [(16, 12), (7, 5), (1, 1)]


def noise(layout: Layout, width: int, height: int) -> NDArray[Any]:
    generator = np.random.default_rng(3)
    count = layout.size(width, height)
    if layout.depth == 8:
        return generator.integers(0, 256, count, dtype=np.uint8)
    return generator.integers(0, 1 << layout.depth, count // 2).astype("<u2").view(np.uint8)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("size", SIZES)
def test_no_change_is_no_change(name: str, size: tuple[int, int]) -> None:
    layout = layout_of(name)
    raw = Raw(layout, *size)
    picture = noise(layout, *size)
    rgb = raw.rgb([picture, picture])
    assert rgb.shape == (2, 3, size[1], size[0])
    assert 0 <= float(rgb.min()) <= float(rgb.max()) <= 1
    assert bytes(raw.changed(picture, torch.zeros(3, size[1], size[0]))) == bytes(picture)


@pytest.mark.parametrize("name", [name for name in FORMATS if "gray" not in name])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", [1, 2, 5, 9])
def test_a_flat_change_arrives(name: str, full: bool, matrix: int) -> None:
    layout = layout_of(name)
    raw = Raw(layout, 8, 6, matrix, full)
    grey = np.full_like(noise(layout, 8, 6).view("u1" if layout.depth == 8 else "<u2"), 1)
    picture = (grey * (1 << layout.depth - 1)).astype(grey.dtype).view(np.uint8)
    before = raw.rgb([picture])[0]
    change = torch.tensor([0.1, -0.05, 0.02])[:, None, None].expand(3, 6, 8)
    after = raw.rgb([raw.changed(picture, change)])[0]
    step = 2.5 / (219 << layout.depth - 8)
    assert (after - before - change).abs().max() < step


@pytest.mark.parametrize("name", ["yuva420p", "yuva444p10le", "rgba", "bgra"])
def test_alpha_is_left_alone(name: str) -> None:
    layout = layout_of(name)
    raw = Raw(layout, 8, 6)
    picture = noise(layout, 8, 6)
    changed = raw.changed(picture, torch.full((3, 6, 8), 0.3))
    before, after = (raw._planes(each)[-1] for each in (picture, changed))
    assert np.array_equal(before, after)
    assert bytes(picture) != bytes(changed)


def test_white_is_white_in_either_range() -> None:
    for full, white in ((False, 235), (True, 255)):
        picture = np.array([white] * 4 + [128, 128], np.uint8)
        raw = Raw(layout_of("yuv420p"), 2, 2, 1, full)
        assert torch.allclose(raw.rgb([picture]), torch.ones(1, 3, 2, 2), atol=0.005)


def test_red_is_red() -> None:
    picture = np.array([63] * 4 + [102, 240], np.uint8)  # BT.709, limited
    red = torch.tensor([1.0, 0.0, 0.0])[:, None, None].expand(3, 2, 2)
    assert torch.allclose(Raw(layout_of("yuv420p"), 2, 2, 1).rgb([picture])[0], red, atol=0.01)
    packed = np.array([0, 0, 255] * 4, np.uint8)
    assert torch.equal(Raw(layout_of("bgr24"), 2, 2).rgb([packed])[0], red)


def test_what_cannot_be_treated() -> None:
    with pytest.raises(InputError, match="pixel format pal8"):
        layout_of("pal8")
    with pytest.raises(InputError, match="colour matrix 14"):
        Raw(layout_of("yuv420p10le"), 4, 4, 14).rgb([noise(layout_of("yuv420p10le"), 4, 4)])
