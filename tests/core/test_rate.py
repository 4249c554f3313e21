"""Bits per pixel count the pixels' own bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Callable

import pytest
from PIL import Image

from gesso.rate import bits_per_pixel

Photo = Callable[..., Image.Image]
Encoded = Callable[..., bytes]
SIZE = (200, 120)
PIXELS = SIZE[0] * SIZE[1]


def rate(data: bytes) -> float:
    stream = io.BytesIO(data)
    with Image.open(stream) as image:
        stream.seek(5)
        result = bits_per_pixel(image, stream)
        assert stream.tell() == 5
        return result


@pytest.mark.parametrize(("name", "container"), [("WEBP", 64), ("AVIF", 600)])
def test_rate_is_the_file_s_less_its_container(
    name: str, container: int, photo: Photo, encoded: Encoded
) -> None:
    data = encoded(photo(size=SIZE), name, quality=60)
    assert 0 <= len(data) - rate(data) * PIXELS / 8 < container


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_metadata_do_not_count(name: str, photo: Photo, encoded: Encoded) -> None:
    exif = Image.Exif()
    exif[0x010E] = "described " * 500
    plain = encoded(photo(size=SIZE), name)
    loaded = encoded(
        photo(size=SIZE), name, exif=exif, xmp=b"<x/>" * 900, icc_profile=b"profile" * 700
    )
    assert rate(loaded) == pytest.approx(rate(plain), rel=0.01)


def test_alpha_of_a_webp_does_not_count(photo: Photo, encoded: Encoded) -> None:
    opaque = photo("RGB", SIZE)
    veiled = opaque.copy()
    veiled.putalpha(photo("L", SIZE).point(lambda level: max(level, 1)))
    assert rate(encoded(veiled, "WEBP", exact=True)) == pytest.approx(
        rate(encoded(opaque, "WEBP", exact=True)), rel=0.02
    )


def test_lossless_webp_has_no_rate(photo: Photo, encoded: Encoded) -> None:
    assert rate(encoded(photo(size=SIZE), "WEBP", lossless=True)) == math.inf


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
def test_rate_of_an_animation_is_that_of_a_frame(name: str, photo: Photo, encoded: Encoded) -> None:
    frames = [photo(size=SIZE, seed=seed) for seed in range(3)]
    still = rate(encoded(frames[0], name))
    moving = rate(encoded(frames[0], name, save_all=True, append_images=frames[1:]))
    assert 0.4 * still < moving < 2 * still


@pytest.mark.parametrize("name", ["WEBP", "AVIF"])
@pytest.mark.parametrize("cut", [31, 60, 200])
def test_a_cut_file_still_has_one(name: str, cut: int, photo: Photo, encoded: Encoded) -> None:
    data = encoded(photo(size=SIZE), name)
    with Image.open(io.BytesIO(data)) as image:
        assert bits_per_pixel(image, io.BytesIO(data[:cut])) > 0
        assert bits_per_pixel(image, io.BytesIO(data[:12] + bytes(cut))) > 0
