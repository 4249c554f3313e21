"""A picture of what gesso does: source, ordinary decode and enhanced decode side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from gesso.errors import InputError
from gesso.evaluation.metrics import METRICS
from gesso.files import replacing

if TYPE_CHECKING:
    from gesso.evaluation.pipeline import Coded

__all__ = ["Exhibit", "draw_sheet", "save_sheet", "worst_window"]

ZOOM = 3
CROP = (188, 128)  # pixels of the picture that are shown enlarged
COLUMN = ZOOM * CROP[0]
TALLEST = 400  # of a whole picture
MARGIN, GUTTER = 56, 28
CELL = 72  # height of the figures below a column

PAPER, MAT, INK, DIM, RULE = "#fbfaf8", "#f0eeea", "#1f1e1c", "#7d7973", "#e2dfd9"
BETTER, WORSE, FRAME = "#23784b", "#a8452c", "#ffb000"


@dataclass(frozen=True)
class Exhibit:
    """One picture of a sheet.

    Attributes:
        name: of the picture.
        codec: that coded it.
        plain, gesso: its ordinary coding, and gesso's.
        plain_values, gesso_values: metric name -> value of either.
    """

    name: str
    codec: str
    plain: Coded
    gesso: Coded
    plain_values: dict[str, float]
    gesso_values: dict[str, float]


class _Column(NamedTuple):
    heading: str
    picture: Image.Image
    values: dict[str, float]
    than: dict[str, float]  # what the values are compared with


def draw_sheet(exhibits: Sequence[Exhibit], title: str = "", note: str = "") -> Image.Image:
    """Draw one section for each exhibit, below one another.

    A section has three columns (source, plain decode, gesso): the whole pictures, scaled
    down to fit, and the same crop of each enlarged three times without smoothing, from
    where the plain decode errs most.

    Raises:
        InputError: nothing to draw.
    """
    if not exhibits:
        raise InputError("a sheet needs at least one coded picture")
    sources = [exhibit.plain.source for exhibit in exhibits]
    heights = [_whole_size(s)[1] + ZOOM * _crop_size(s)[1] for s in sources]
    sections = [GUTTER + 48 + 16 + 20 + CELL + height for height in heights]
    head = 2 * MARGIN if title else MARGIN
    width = 2 * MARGIN + 3 * COLUMN + 2 * GUTTER
    height = head + sum(sections) + GUTTER * max(0, len(exhibits) - 1) + MARGIN // 2
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    if title:
        _write(draw, (MARGIN, MARGIN - 8), title, 34, INK, bold=True)
        _write(draw, (width - MARGIN, MARGIN + 6), note, 20, DIM, right=True)
    top = head
    for index, (exhibit, section) in enumerate(zip(exhibits, sections, strict=True)):
        if index or title:
            draw.line((MARGIN, top, width - MARGIN, top), fill=RULE, width=2)
        _section(sheet, draw, top + GUTTER, exhibit)
        top += section + GUTTER
    return sheet


def save_sheet(
    path: str | os.PathLike[str],
    exhibits: Sequence[Exhibit],
    title: str = "",
    note: str = "",
) -> None:
    """Draw as :func:`draw_sheet` and write a PNG, whole or not at all."""
    sheet = draw_sheet(exhibits, title, note)
    with replacing(Path(path)) as temporary:
        sheet.save(temporary, format="PNG", optimize=True)


def worst_window(
    source: Image.Image, plain: Image.Image, width: int, height: int
) -> tuple[int, int]:
    """(left, top) of the window where the plain decode errs most; the first of equal ones.

    The score is the mean absolute error of the luma: texture and edges drive it, and no
    single pixel does.
    """
    one = np.asarray(source.convert("L"), dtype=np.float64)
    two = np.asarray(plain.convert("L"), dtype=np.float64)
    error = _window_means(np.abs(one - two), width, height)
    top, left = np.unravel_index(int(np.argmax(error)), error.shape)
    return int(left), int(top)


def _window_means(values: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    table = np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    sums = table[height:, width:] - table[:-height, width:]
    sums = sums - table[height:, :-width] + table[:-height, :-width]
    means: NDArray[np.float64] = sums / (width * height)
    return means


def _section(sheet: Image.Image, draw: ImageDraw.ImageDraw, top: int, exhibit: Exhibit) -> None:
    source, plain, gesso = exhibit.plain.source, exhibit.plain, exhibit.gesso
    right = sheet.width - MARGIN
    _write(draw, (MARGIN, top), exhibit.name, 28, INK, bold=True)
    facts = (
        f"{source.width} x {source.height}     {exhibit.codec} quality {plain.quality:g}     "
        f"{len(plain.data):,} bytes     {plain.bpp:.3f} bpp"
    )
    _write(draw, (right, top + 6), facts, 20, DIM, right=True)

    size, crop = _whole_size(source), _crop_size(source)
    left, upper = worst_window(source, plain.picture, *crop)
    window = (left, upper, left + crop[0], upper + crop[1])
    columns = (
        _Column("source", source, {}, {}),
        _Column("plain decode", plain.picture, exhibit.plain_values, {}),
        _Column("gesso", gesso.picture, exhibit.gesso_values, exhibit.plain_values),
    )
    for index, column in enumerate(columns):
        x, y = MARGIN + index * (COLUMN + GUTTER), top + 48
        whole = column.picture.resize(size, Image.Resampling.LANCZOS)
        _mark(whole, [round(edge * size[0] / source.width) for edge in window])
        y = _mount(sheet, draw, x, y, whole) + 16
        # squares of one colour show the blocks as they are
        large = (ZOOM * crop[0], ZOOM * crop[1])
        enlarged = column.picture.crop(window).resize(large, Image.Resampling.NEAREST)
        y = _mount(sheet, draw, x, y, enlarged) + 20
        _caption(draw, x, y, column)


def _mark(picture: Image.Image, edges: list[int]) -> None:
    left, top, right, bottom = edges
    if min(right - left, bottom - top) < 8:  # a line would cover what it marks
        return
    draw = ImageDraw.Draw(picture)
    # dark outside, bright inside: seen on any picture
    draw.rectangle((left, top, right - 1, bottom - 1), outline=INK, width=3)
    draw.rectangle((left + 1, top + 1, right - 2, bottom - 2), outline=FRAME, width=2)


def _mount(
    sheet: Image.Image, draw: ImageDraw.ImageDraw, x: int, y: int, picture: Image.Image
) -> int:
    """Paste ``picture`` in the middle of its column; returns where it ends."""
    end = y + picture.height
    draw.rectangle((x, y, x + COLUMN - 1, end - 1), fill=MAT)
    sheet.paste(picture, (x + (COLUMN - picture.width) // 2, y))
    return end


def _caption(draw: ImageDraw.ImageDraw, x: int, y: int, column: _Column) -> None:
    _write(draw, (x, y), column.heading, 24, INK, bold=True)
    step = min(124, (COLUMN - 170) // max(1, len(column.values)))
    for index, (name, value) in enumerate(reversed(column.values.items())):
        metric = METRICS[name]
        at = x + COLUMN - index * step
        _write(draw, (at, y - 2), metric.label, 16, DIM, right=True)
        _write(draw, (at, y + 18), f"{value:.{metric.digits}f}", 24, INK, right=True)
        change = value - column.than.get(name, math.nan)
        if math.isfinite(change):
            good = change <= 0 if metric.lower_is_better else change >= 0
            text, colour = f"{change:+.{metric.digits}f}", BETTER if good else WORSE
            _write(draw, (at, y + 48), text, 16, colour, right=True)


def _whole_size(image: Image.Image) -> tuple[int, int]:
    scale = min(1.0, COLUMN / image.width, TALLEST / image.height)
    return max(1, round(scale * image.width)), max(1, round(scale * image.height))


def _crop_size(image: Image.Image) -> tuple[int, int]:
    return min(CROP[0], image.width), min(CROP[1], image.height)


def _write(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    size: int,
    colour: str,
    *,
    bold: bool = False,
    right: bool = False,
) -> None:
    # Pillow carries one weight; a thin stroke thickens it
    draw.text(
        at,
        text,
        fill=colour,
        font=ImageFont.load_default(size),
        anchor="ra" if right else "la",
        stroke_width=0.45 if bold else 0,
    )
