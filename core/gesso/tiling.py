"""Large pictures in tiles: one absolute grid, linear blending, memory of one row of tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gesso.errors import InputError
from gesso.frame import Frame
from gesso.runtime import Runtime

__all__ = ["Box", "ramp", "run_tiled", "tile_starts"]


@dataclass(frozen=True)
class Box:
    """Absolute position and size of a tile, in pixels; multiples of the model's grid."""

    top: int
    left: int
    height: int
    width: int


Process = Callable[[Tensor, list[Box], int], Tensor]


def tile_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Where tiles begin along one axis; every pixel is in one, neighbours share ``overlap``."""
    starts = [0]
    while starts[-1] + tile < length:
        starts.append(starts[-1] + tile - overlap)
    return starts


def ramp(start: int, size: int, last: bool, overlap: int) -> Tensor:
    """Blending weight along one axis of a tile; neighbours' weights add up to 1.

    Only the middle half of the overlap blends: its outer quarters are nearest to the cut,
    where convolutions see padding instead of picture.
    """
    weight = torch.ones(size)
    rise = ((torch.arange(overlap) + 0.5 - overlap / 4) / (overlap / 2)).clamp(0, 1)
    if start > 0:
        weight[:overlap] = rise
    if not last:
        weight[size - overlap :] = 1 - rise
    return weight


def run_tiled(
    frame: Frame, process: Process, grid: int, runtime: Runtime, *, whole: bool = False
) -> Frame:
    """Apply ``process`` to every tile and blend the results into a new frame.

    A tile is independent of its neighbours, so memory holds one row of tiles however
    large the picture is.

    Args:
        frame: the pictures.
        process: takes RGB (n, 3, h, w) on [0, 1], the boxes of these n tiles and the index of
            their picture; returns the same shape. Beyond the border the picture is mirrored.
        grid: boxes are multiples of this many pixels.
        runtime: tile size, overlap, and tiles per call of ``process``.
        whole: every box has the full tile size, for networks that know no other; the rest is
            mirrored picture, and cut off.

    Raises:
        InputError: tile or overlap do not fit the grid.
    """
    tile, overlap = runtime.tile, runtime.overlap
    if tile % grid or overlap % 4 or (tile - overlap) % grid or not 0 <= overlap <= tile // 2:
        raise InputError(
            f"tile {tile} and tile - overlap {tile - overlap} must be multiples of {grid}, "
            "and the overlap at most half the tile"
        )
    out = frame.blank()
    for index in range(frame.batch):
        _one_picture(frame, out, index, process, runtime.tile if whole else grid, runtime)
    return out


def _one_picture(
    frame: Frame, out: Frame, index: int, process: Process, unit: int, runtime: Runtime
) -> None:
    tile, overlap = runtime.tile, runtime.overlap
    tops = tile_starts(frame.height, tile, overlap)
    lefts = tile_starts(frame.width, tile, overlap)
    # Only the last tile of a row can be narrower than the others.
    last_width = -(-(frame.width - lefts[-1]) // unit) * unit
    whole = slice(index, index + 1)
    carry: Tensor | None = None
    for top in tops:
        height = min(tile, -(-(frame.height - top) // unit) * unit)
        last_row = top == tops[-1]
        band = torch.zeros(1, 3, height, lefts[-1] + last_width)
        if carry is not None:
            band[:, :, :overlap] = carry
        down = ramp(top, height, last_row, overlap)
        boxes = [Box(top, left, height, min(tile, lefts[-1] + last_width - left)) for left in lefts]
        for group in _groups(boxes, runtime.batch):
            pixels = torch.cat(
                [frame.window(b.top, b.left, b.height, b.width, whole) for b in group]
            )
            result = process(pixels, group, index).to("cpu", torch.float32)
            for box, piece in zip(group, result, strict=True):
                across = ramp(box.left, box.width, box.left == lefts[-1], overlap)
                band[0, :, :, box.left : box.left + box.width].addcmul_(
                    piece, down[:, None] * across
                )
        done = height if last_row else tile - overlap
        carry = band[:, :, done:].clone()
        out.put(top, 0, band[:, :, :done, : frame.width], whole)


def _groups(boxes: list[Box], size: int) -> Iterator[list[Box]]:
    """Runs of at most ``size`` boxes of equal width."""
    group: list[Box] = []
    for box in boxes:
        if group and (len(group) >= size or box.width != group[0].width):
            yield group
            group = []
        group.append(box)
    yield group
