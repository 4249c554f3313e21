"""Tiling: every pixel once, weights that add up, processes that see absolute positions."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gesso.errors import InputError
from gesso.frame import Frame
from gesso.runtime import Runtime
from gesso.tiling import Box, run_tiled, tile_starts

SMALL = Runtime(tile=32, overlap=16, batch=3)


def identity(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
    return pixels


@given(st.integers(1, 5000), st.integers(1, 8), st.integers(0, 4))
def test_tiles_cover_the_axis_with_their_overlap(length: int, size: int, shared: int) -> None:
    tile, overlap = 16 * size, 16 * min(shared, size // 2)
    starts = tile_starts(length, tile, overlap)
    assert starts[0] == 0 and starts[-1] + tile >= length
    assert all(b - a == tile - overlap for a, b in pairwise(starts))
    # The last tile is needed.
    assert len(starts) == 1 or starts[-2] + tile < length


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 4), st.sampled_from([0, 4, 8, 16]))
def test_an_identity_survives_any_size(height: int, width: int, batch: int, overlap: int) -> None:
    picture = torch.rand(2, 3, height, width)
    runtime = Runtime(tile=16 + overlap, overlap=overlap, batch=batch)
    if overlap > (16 + overlap) // 2:
        runtime = Runtime(tile=2 * overlap, overlap=overlap, batch=batch)
    out = run_tiled(Frame.of(picture), identity, 4, runtime).restore()
    torch.testing.assert_close(out, picture, atol=1e-6, rtol=0)


def test_boxes_are_absolute_and_on_the_grid() -> None:
    seen: list[Box] = []

    def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
        assert len(pixels) == len(boxes) <= 3
        seen.extend(boxes)
        rows = torch.stack([torch.arange(b.top, b.top + b.height) for b in boxes])
        columns = torch.stack([torch.arange(b.left, b.left + b.width) for b in boxes])
        value = (rows[:, :, None] * 100 + columns[:, None]) / 2**14
        return value[:, None].expand(-1, 3, -1, -1)

    out = run_tiled(Frame.of(torch.zeros(1, 3, 50, 75)), process, 8, SMALL).rgb
    expected = (torch.arange(50)[:, None] * 100 + torch.arange(75)) / 2**14
    torch.testing.assert_close(out[0, 1], expected, atol=1e-6, rtol=0)
    assert all(v % 8 == 0 for b in seen for v in (b.top, b.left, b.height, b.width))


def test_neighbours_blend_without_a_seam() -> None:
    def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
        level = torch.tensor([float(box.left > 0) for box in boxes])
        return level[:, None, None, None].expand_as(pixels)

    row = run_tiled(Frame.of(torch.zeros(1, 3, 8, 48)), process, 8, SMALL).rgb[0, 0, 0]
    assert float(row[19]) == 0 and float(row[28]) == 1
    assert float(row.diff().max()) <= 1 / 8 + 1e-6


def test_pictures_of_a_batch_are_told_apart() -> None:
    def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
        return torch.full_like(pixels, index / 4)

    out = run_tiled(Frame.of(torch.zeros(3, 3, 10, 40)), process, 8, SMALL).rgb
    assert out.mean((1, 2, 3)).tolist() == pytest.approx([0, 0.25, 0.5])


@pytest.mark.parametrize(("tile", "overlap"), [(30, 16), (32, 17), (32, 12), (32, 24), (32, -8)])
def test_a_tile_off_the_grid_raises(tile: int, overlap: int) -> None:
    with pytest.raises(InputError, match="multiples of 8"):
        runtime = Runtime(tile=tile, overlap=overlap)
        run_tiled(Frame.of(torch.zeros(1, 3, 8, 8)), identity, 8, runtime)
