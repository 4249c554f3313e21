"""Sheets show every picture three times, the right crop, and the figures in their colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageFilter

from gesso.codec import Codec, get_codec
from gesso.errors import InputError
from gesso.evaluation.pipeline import Pipeline
from gesso.evaluation.sheet import (
    BETTER,
    COLUMN,
    CROP,
    FRAME,
    GUTTER,
    MARGIN,
    WORSE,
    ZOOM,
    Exhibit,
    draw_sheet,
    save_sheet,
    worst_window,
)


def photograph(name: str) -> NDArray[Any]:
    return np.asarray(getattr(skimage.data, name)())


def smoothed(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return decoded.filter(ImageFilter.SMOOTH)


def exhibit(
    picture: Image.Image, plain_psnr: float = 25.0, gesso_psnr: float = 26.0, name: str = "coffee"
) -> Exhibit:
    jpeg = get_codec("jpeg")
    plain, gesso = Pipeline("plain", jpeg), Pipeline("gesso", jpeg, after=smoothed)
    ends = plain.run(picture, 10), gesso.run(picture, 10)
    return Exhibit(name, "jpeg", *ends, {"psnr": plain_psnr}, {"psnr": gesso_psnr})


def coffee() -> Image.Image:
    return Image.fromarray(photograph("coffee"))


def has_colour(sheet: Image.Image, colour: str) -> bool:
    wanted = np.array(ImageColor.getrgb(colour))
    return bool((np.asarray(sheet) == wanted).all(-1).any())


def test_the_window_is_where_the_decode_errs_most() -> None:
    source = coffee()
    spoilt = np.array(source)
    spoilt[200:232, 400:432] = 255 - spoilt[200:232, 400:432]
    assert worst_window(source, Image.fromarray(spoilt), 32, 32) == (400, 200)
    left, top = worst_window(source, Image.fromarray(spoilt), *CROP)
    assert left <= 400 and left + CROP[0] >= 432
    assert top <= 200 and top + CROP[1] >= 232


def test_the_first_of_equal_windows_is_taken() -> None:
    assert worst_window(coffee(), coffee(), 50, 40) == (0, 0)


def test_each_column_shows_the_same_crop_enlarged_without_smoothing() -> None:
    one = exhibit(coffee())
    sheet = np.asarray(draw_sheet([one]))
    left, top = worst_window(one.plain.source, one.plain.picture, *CROP)
    window = (left, top, left + CROP[0], top + CROP[1])
    found = []
    for index, picture in enumerate((one.plain.source, one.plain.picture, one.gesso.picture)):
        block = np.asarray(picture.crop(window)).repeat(ZOOM, 0).repeat(ZOOM, 1)
        column = sheet[:, MARGIN + index * (COLUMN + GUTTER) :][:, :COLUMN]
        starts = range(len(column) - len(block))
        found.append([y for y in starts if np.array_equal(column[y : y + len(block)], block)])
    assert len(found[0]) == 1
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(("psnr", "better", "worse"), [(26.0, True, False), (24.0, False, True)])
def test_changes_are_coloured_by_whether_they_help(psnr: float, better: bool, worse: bool) -> None:
    sheet = draw_sheet([exhibit(coffee(), gesso_psnr=psnr)])
    assert has_colour(sheet, BETTER) is better
    assert has_colour(sheet, WORSE) is worse


def test_sections_stand_below_one_another() -> None:
    one = exhibit(coffee())
    single, double = draw_sheet([one]), draw_sheet([one, one])
    assert double.width == single.width
    assert double.height > 1.9 * (single.height - 2 * MARGIN)


def test_drawing_is_deterministic_and_a_title_adds_room() -> None:
    one = exhibit(coffee())
    plain, titled = draw_sheet([one]), draw_sheet([one], "JPEG", "note")
    assert draw_sheet([one]) == plain
    assert draw_sheet([exhibit(coffee(), name="other")]) != plain
    assert titled.height > plain.height


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (3000, 5), (188, 128), (60, 380)])
def test_any_size_can_be_drawn(size: tuple[int, int]) -> None:
    sheet = draw_sheet([exhibit(coffee().resize(size))])
    assert sheet.width == 2 * MARGIN + 3 * COLUMN + 2 * GUTTER
    assert has_colour(sheet, FRAME) is (size in ((188, 128), (60, 380)))


def test_a_lossless_decode_has_no_change_to_show() -> None:
    sheet = draw_sheet([exhibit(coffee(), float("inf"), float("inf"))])
    assert not has_colour(sheet, BETTER)
    assert not has_colour(sheet, WORSE)


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(InputError, match="at least one"):
        draw_sheet([])


def test_a_sheet_is_saved_as_png(tmp_path: Path) -> None:
    one = exhibit(Image.fromarray(photograph("chelsea")[:100, :150]))
    path = tmp_path / "sheet.png"
    save_sheet(path, [one], "JPEG, quality 10")
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.convert("RGB") == draw_sheet([one], "JPEG, quality 10")
    with pytest.raises(InputError, match="absent"):
        save_sheet(tmp_path / "absent" / "sheet.png", [one])
