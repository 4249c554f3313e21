"""The target of a save is what Pillow's encoder then uses."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image
from PIL.JpegPresets import presets

from gesso.destination import CODECS, target_of_save
from gesso.errors import InputError
from gesso.target import Target

Photo = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
FLAT = [7] * 64


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"quality": -1},
        {"quality": 0},
        {"quality": 1},
        {"quality": 42},
        {"quality": 100},
        {"quality": 150},
        {"quality": "web_low"},
        {"quality": "maximum"},
        {"qtables": "web_medium"},
        {"qtables": [FLAT, FLAT]},
        {"qtables": {0: FLAT}},
        {"qtables": " ".join(str(step) for step in FLAT)},
        {"qtables": [FLAT], "quality": 30},
        {"qtables": presets["web_high"]["quantization"], "quality": 90},
    ],
)
def test_jpeg_target_is_that_of_the_tables_in_the_file(
    params: dict[str, Any], photo: Photo, encoded: Encoded
) -> None:
    target = target_of_save(photo(), "JPEG", params)
    with Image.open(io.BytesIO(encoded(photo(), "JPEG", **params))) as image:
        stated = Target.of_jpeg_tables(image.quantization)  # type: ignore[attr-defined]
    assert target == stated


@pytest.mark.parametrize("keep", [{"quality": "keep"}, {"qtables": "keep", "quality": 90}])
def test_keep_reads_the_picture_s_own_tables(
    keep: dict[str, Any], photo: Photo, encoded: Encoded
) -> None:
    with Image.open(io.BytesIO(encoded(photo(), "JPEG", quality=33))) as image:
        assert target_of_save(image, "JPEG", keep) == Target("jpeg", 33)
    with pytest.raises(InputError, match="only a JPEG has a quality to keep"):
        target_of_save(photo(), "JPEG", keep)


@pytest.mark.parametrize(
    ("name", "params", "quality"),
    [
        ("WEBP", {}, 80),
        ("WEBP", {"quality": 12.5}, 12.5),
        ("WEBP", {"quality": "55"}, 55),
        ("WEBP", {"quality": 0}, 1),
        ("WEBP", {"lossless": False}, 80),
        ("AVIF", {}, 75),
        ("AVIF", {"quality": 0}, 1),
        ("AVIF", {"quality": 100}, 100),
        ("MPO", {"quality": 31}, 31),
    ],
)
def test_other_targets_follow_the_stock_defaults(
    name: str, params: dict[str, Any], quality: float, photo: Photo
) -> None:
    assert target_of_save(photo(), name, params) == Target(CODECS[name], quality)


@pytest.mark.parametrize("name", ["JPEG", "WEBP", "AVIF"])
def test_default_quality_is_the_stock_one(name: str, photo: Photo, encoded: Encoded) -> None:
    quality = round(target_of_save(photo(), name, {}).quality)
    assert encoded(photo(), name) == encoded(photo(), name, quality=quality)
