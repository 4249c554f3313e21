"""What a JPEG file states: coefficients, tables, subsampling; and what is refused by name."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from gesso.blocks import idct
from gesso.errors import InputError
from gesso.jpeg import JpegCoefficients, coefficients_for
from gesso.options import EnhanceOptions

PHOTO = Image.fromarray(data.astronaut()[40:141, 180:317])
NAMES = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}


def coded(image: Image.Image = PHOTO, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", **({"quality": 30} | options))
    return stream.getvalue()


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 100), st.booleans(), st.integers(1, 40), st.integers(1, 40))
def test_a_grey_files_coefficients_give_its_decode(
    quality: int, progressive: bool, width: int, height: int
) -> None:
    raw = coded(
        PHOTO.convert("L").resize((width, height)), quality=quality, progressive=progressive
    )
    jpeg = JpegCoefficients.of_file(raw)
    assert (jpeg.width, jpeg.height, jpeg.grey, jpeg.sampling) == (width, height, True, "4:4:4")
    [part] = jpeg.components
    plane = idct(torch.from_numpy(part.levels * part.table)[None])[0] + 128
    decoded = plane[:height, :width].clamp(0, 255).numpy()
    with Image.open(io.BytesIO(raw)) as image:
        assert np.abs(decoded - np.asarray(image)).max() < 1.1


@pytest.mark.parametrize("subsampling", NAMES)
@pytest.mark.parametrize("progressive", [False, True])
def test_subsampling_and_tables_are_the_files(subsampling: int, progressive: bool) -> None:
    raw = coded(subsampling=subsampling, progressive=progressive)
    jpeg = JpegCoefficients.of_file(raw)
    assert jpeg.sampling == NAMES[subsampling] and not jpeg.grey
    with Image.open(io.BytesIO(raw)) as image:
        stated: Any = image.quantization  # type: ignore[attr-defined]
    for index, part in enumerate(jpeg.components):
        assert part.table.ravel().tolist() == stated[min(index, 1)]
        assert part.levels.dtype == np.int16
        rows, columns = -(-jpeg.height // part.rows), -(-jpeg.width // part.columns)
        assert part.levels.shape == (-(-rows // 8), -(-columns // 8), 8, 8)
    assert jpeg.tables.shape == (3, 8, 8)
    # The mean of the picture is that of the coefficients' means.
    luma = jpeg.components[0]
    mean = (luma.levels[..., 0, 0] * luma.table[0, 0]).mean() / 8 + 128
    assert mean == pytest.approx(np.asarray(PHOTO.convert("L")).mean(), abs=5)


def test_a_progressive_file_states_what_a_baseline_one_does() -> None:
    one, other = (JpegCoefficients.of_file(coded(progressive=p)) for p in (False, True))
    for left, right in zip(one.components, other.components, strict=True):
        assert np.array_equal(left.levels, right.levels)


def test_tables_are_found_by_their_number() -> None:
    raw = bytearray(coded())
    for at in range(len(raw) - 5):
        if raw[at : at + 2] == b"\xff\xdb" and raw[at + 4] == 1:
            raw[at + 4] = 3
        if raw[at : at + 2] == b"\xff\xc0":
            raw[at + 15] = raw[at + 18] = 3
            break
    moved, plain = JpegCoefficients.of_file(bytes(raw)), JpegCoefficients.of_file(coded())
    assert np.array_equal(moved.tables, plain.tables)


def edited(offset: int, value: int) -> bytes:
    """A file with one byte of its frame header changed."""
    raw = bytearray(coded())
    raw[raw.index(b"\xff\xc0") + offset] = value
    return bytes(raw)


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (coded(PHOTO.convert("CMYK")), "CMYK"),
        (coded(keep_rgb=True), "RGB"),
        (edited(1, 0xC3), "lossless"),
        (edited(1, 0xC5), "hierarchical"),
        (edited(1, 0xC9), "arithmetic-coded"),
        (edited(4, 12), "12"),
        (b"", "cannot read"),
        (b"\x89PNG\r\n\x1a\n" * 9, "Not a JPEG"),
        (coded()[:300], "cannot read"),
        (edited(14, 0x41), "fractions"),
    ],
    ids=["cmyk", "rgb", "lossless", "dct", "arithmetic", "12-bit", "empty", "png", "cut", "odd"],
)
def test_what_is_not_read_is_named(raw: bytes, named: str) -> None:
    with pytest.raises(InputError, match=named) as caught:
        JpegCoefficients.of_file(raw)
    assert "leave faithful out" in str(caught.value)


def test_an_opened_image_leads_back_to_its_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(coded())
    expected = JpegCoefficients.of_file(coded()).components[0].levels
    with Image.open(path) as image:
        assert np.array_equal(JpegCoefficients.of_image(image).components[0].levels, expected)
        image.load()
        assert np.array_equal(JpegCoefficients.of_image(image).components[0].levels, expected)
    with Image.open(io.BytesIO(coded())) as image:
        assert np.array_equal(JpegCoefficients.of_image(image).components[0].levels, expected)
        # The stream is left where Pillow reads on.
        with Image.open(path) as other:
            assert np.array_equal(np.asarray(image), np.asarray(other))
        with pytest.raises(InputError, match="gone once its pixels are loaded"):
            JpegCoefficients.of_image(image)


def test_an_image_that_is_not_the_files_raises(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(coded())
    with pytest.raises(InputError, match="nothing states"):
        JpegCoefficients.of_image(PHOTO)
    with Image.open(path) as image:
        image.load()
    path.write_bytes(coded(quality=50))
    with pytest.raises(InputError, match="another coding"):
        JpegCoefficients.of_image(image)
    path.unlink()
    with pytest.raises(InputError, match="out of reach"):
        JpegCoefficients.of_image(image)
    path.write_bytes(coded())
    with Image.open(path) as small:
        small.draft("RGB", (40, 40))
        with pytest.raises(InputError, match="open it anew"):
            JpegCoefficients.of_image(small)


def test_it_is_read_only_where_it_is_asked_for() -> None:
    found = JpegCoefficients.of_file(coded())

    def fail() -> JpegCoefficients:
        raise InputError("no")

    for options in (EnhanceOptions(), EnhanceOptions(preset="slow", faithful=False)):
        assert coefficients_for(options, fail) is None
        assert coefficients_for(options, lambda: found) is found
        assert coefficients_for(options, lambda: found, found.quality) is found
        assert coefficients_for(options, lambda: found, found.quality - 10) is None
    assert coefficients_for(EnhanceOptions(faithful=False), lambda: found) is None
    assert coefficients_for(EnhanceOptions(faithful=True), lambda: found) is found
    with pytest.raises(InputError, match="no"):
        coefficients_for(EnhanceOptions(faithful=True), fail)
