"""True to the file: pixels moved until re-encoding them gives a JPEG's own coefficients.

A quantised coefficient k of step D tells that the encoder saw one in
[(k - 1/2) D, (k + 1/2) D]. Moving a picture's coefficients into these cells is an
orthogonal projection onto a convex set (as in Zakhor, "Iterative procedures for reduction
of blocking effects in transform image coding", 1992); the picture's gamut is another one,
and going to and fro between the two reaches both.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gesso.blocks import dct, from_ycbcr, idct, repeat, subsampled, to_ycbcr
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.jpeg import BIASES, JpegCoefficients, JpegComponent
from gesso.tiling import Box

__all__ = ["project", "project_rgb"]

LEVELS = 255.0
ROUNDS = 16
BAND = 1 << 20  # pixels that are worked on at once
# How far inside its cell a coefficient is put. Rounding RGB to 8 bits and then YCbCr again, as
# an encoder does, moves coefficients by 0.35 (standard deviation), whatever the step.
MARGIN = 1.2
# Of half a cell, at most: a step of 1 leaves no room for that margin.
SHARE = 0.9
# libjpeg computes in integers; a coefficient this near to the wall may fall on either side.
DOUBT = 0.1
# Coefficients this near to well inside are left to the rounds with rounding.
SETTLED = 0.25
# Going nearly twice as far reaches the corners of the gamut in half the rounds; any factor
# below 2 converges (Agmon; Motzkin and Schoenberg, 1954).
RELAXATION = 1.9


def project(frame: Frame, jpeg: JpegCoefficients, rounds: int = ROUNDS) -> Frame:
    """Move every DCT coefficient of a picture into the cell that its file states.

    Re-encoded with the same tables and subsampling by libjpeg, the picture in 8 bits gives the
    file's own coefficients: all but 1 in 10,000 up to quality 85, 1 in 2,000 at 90. Beyond,
    steps are no larger than what rounding to 8 bits does: 1 in 500 strays at 93, 1 in 80 at
    95, 1 in 20 at 98, where a plain decode fares no better. In graphics of pure, saturated
    colours the gamut leaves little room, and 1 in 400 may stray at any quality. A plain
    encoder's source lies in the cells itself, so that the picture comes nearer to it;
    encoders that choose levels for their rate (mozjpeg's trellis, jpegli) make no such promise.

    Args:
        frame: one picture, whole and uncropped; of any dtype, grey only for a grey file.
        jpeg: what its file states.
        rounds: how often to go to and fro, at most: so many times in real numbers, then
            with the picture rounded to 8 bits.

    Raises:
        InputError: more than one picture, or another size or number of components.
    """
    if frame.batch != 1 or (frame.height, frame.width) != (jpeg.height, jpeg.width):
        raise InputError(
            f"{frame.batch} picture(s) of {frame.width} x {frame.height} cannot be held to a "
            f"JPEG file of {jpeg.width} x {jpeg.height}; pass its own picture, uncropped"
        )
    if frame.samples.shape[1] == 1 and not jpeg.grey:
        raise InputError("a grey picture cannot be held to a JPEG in colour; pass it in RGB")
    out = frame.blank()
    unit = _unit(jpeg)[0]
    step = max(1, BAND // (frame.width * unit)) * unit
    for top in range(0, frame.height, step):
        box = Box(top, 0, min(step, frame.height - top), frame.width)
        part = _Part(jpeg, box, torch.device("cpu"))
        picture = frame.window(top, 0, box.height, box.width) * LEVELS
        picture = part.settle(picture, rounds, RELAXATION)
        out.put(top, 0, part.settle_rounded(picture, rounds) / LEVELS)
    return out


def project_rgb(
    rgb: Tensor, jpeg: JpegCoefficients, boxes: Sequence[Box], rounds: int = 1
) -> Tensor:
    """:func:`project` in real numbers, for tiles of a picture as samplers hold them.

    Args:
        rgb: (n, 3, h, w) on [0, 1], on any device.
        jpeg: what the picture's file states.
        boxes: where these n tiles lie. What lies beyond the border stays as it is.
        rounds: how often to go to and fro between the cells and the gamut, at most.

    Raises:
        InputError: a box that does not start on the file's grid of 8 or 16 pixels.
    """
    rows, columns = _unit(jpeg)
    out = rgb.clone()
    for tile, box in zip(out, boxes, strict=True):
        if box.top % rows or box.left % columns:
            raise InputError(
                f"a tile at row {box.top}, column {box.left} cuts the JPEG's units of {rows} x "
                f"{columns} pixels; choose tile and overlap so that it does not"
            )
        height = min(box.height, jpeg.height - box.top)
        width = min(box.width, jpeg.width - box.left)
        part = _Part(jpeg, Box(box.top, box.left, height, width), rgb.device)
        inside = tile[None, :, :height, :width]
        inside.copy_(part.settle(inside.float() * LEVELS, rounds) / LEVELS)
    return out


def _unit(jpeg: JpegCoefficients) -> tuple[int, int]:
    """Height and width of the smallest part that is coded by itself (the MCU)."""
    parts = jpeg.components
    return 8 * max(part.rows for part in parts), 8 * max(part.columns for part in parts)


class _Part:
    """The cells of a part of the picture; pictures are (1, 3, h, w) on [0, 255]."""

    def __init__(self, jpeg: JpegCoefficients, box: Box, device: torch.device) -> None:
        self.components = jpeg.components
        self.unit = _unit(jpeg)
        self.cells = [_cells(component, box, device) for component in jpeg.components]

    def settle(self, picture: Tensor, rounds: int, relaxation: float = 1.0) -> Tensor:
        """To and fro between the cells and the gamut."""
        for _ in range(rounds):
            planes = to_ycbcr(picture)
            planes[:, 0] -= 128
            change = torch.zeros_like(planes)
            furthest = 0.0
            for index, (middle, _, reach) in enumerate(self.cells):
                seen = dct(self._plane(planes, index))
                moved = seen.clamp(middle - reach, middle + reach) - seen
                furthest = max(furthest, float(moved.abs().max()))
                change[:, index] = self._back(moved, index, planes)
            if furthest < SETTLED:
                break
            picture = (picture + relaxation * from_ycbcr(change)).clamp_(0, LEVELS)
        return picture

    def settle_rounded(self, picture: Tensor, rounds: int) -> Tensor:
        """Add what stray coefficients of the rounded picture lack, and keep what strays least.

        A change that rounding swallows comes again in the next round, and adds up.
        """
        best, fewest = picture, torch.tensor(torch.inf)
        for _ in range(rounds):
            planes = (to_ycbcr(picture.round()) + 0.5).floor()
            planes[:, 0] -= 128
            change = torch.zeros_like(planes)
            strays: Tensor | float = 0.0
            for index, (middle, half, reach) in enumerate(self.cells):
                seen = dct(self._plane(planes, index, whole=True))
                wall = half - (2 * DOUBT * half).clamp_max(2 * DOUBT)
                stray = (seen - middle).abs() > wall
                moved = (seen.clamp(middle - reach, middle + reach) - seen) * stray
                strays = strays + self._per_unit(stray, index)
                change[:, index] = self._back(moved, index, planes)
            better = strays < fewest
            fewest = torch.where(better, strays, fewest)
            mask = repeat(better, *self.unit, *picture.shape[2:])
            best = torch.where(mask[:, None], picture, best)
            if not bool(fewest.any()):
                break
            picture = (picture + from_ycbcr(change)).clamp_(0, LEVELS)
        return best

    def _plane(self, planes: Tensor, index: int, whole: bool = False) -> Tensor:
        """The samples of a component; whole numbers, where asked, as an encoder has them."""
        component = self.components[index]
        shape = component.rows, component.columns
        plane = subsampled(planes[:, index], *shape)
        if not whole or shape == (1, 1):
            return plane
        # libjpeg's biases alternate from column to column (jcsample.c).
        bias = plane.new_full(plane.shape[2:], 0.5)
        bias[::2] = BIASES.get(shape, 0.5)
        return (plane + bias).floor()

    def _back(self, moved: Tensor, index: int, planes: Tensor) -> Tensor:
        """A change of a component's coefficients, in pixels.

        The nearest one whose last row and column are repeated beyond the border.
        """
        rows, columns = self.components[index].rows, self.components[index].columns
        height, width = planes.shape[2:]
        plane = idct(moved)
        below = -(-height // rows) - 1
        plane[:, below] = plane[:, below:].mean(1)
        plane = repeat(plane, rows, columns, height, columns * plane.shape[2])
        plane[:, :, width - 1] = plane[:, :, width - 1 :].mean(2)
        return plane[:, :, :width]

    def _per_unit(self, stray: Tensor, index: int) -> Tensor:
        """How many coefficients stray in each unit, (1, rows, columns)."""
        component = self.components[index]
        counts = stray.sum((3, 4), dtype=torch.float32)
        rows = self.unit[0] // 8 // component.rows
        columns = self.unit[1] // 8 // component.columns
        counts = F.pad(counts, (0, -counts.shape[2] % columns, 0, -counts.shape[1] % rows))
        return F.avg_pool2d(counts, (rows, columns), divisor_override=1)


def _cells(
    component: JpegComponent, box: Box, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """In a box: the middles of the cells, half their widths, how far off is well inside."""
    height, width = 8 * component.rows, 8 * component.columns
    rows = slice(box.top // height, -(-(box.top + box.height) // height))
    columns = slice(box.left // width, -(-(box.left + box.width) // width))
    table = torch.from_numpy(component.table).to(device)
    levels = torch.from_numpy(component.levels[rows, columns]).to(device)
    half = table / 2
    return (levels * table)[None], half, half - (half * SHARE).clamp_max(MARGIN)
