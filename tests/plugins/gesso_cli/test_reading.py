"""Reading picture files: what they hold, what they were coded with, what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from gesso.errors import InputError
from gesso.options import EnhanceOptions
from gesso_cli.reading import Photo, read_photo, target_of_file

TABLE = {"webp": [[5, 0, 0, -2.0], [95, 0, 0, 2.0]]}


def encoded(image: Image.Image, name: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def wide_png(colour: int, channels: int) -> bytes:
    """A PNG of 16 bits per channel, which Pillow cannot write for colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + name
            + content
            + struct.pack(">I", zlib.crc32(name + content))
        )

    rows = b"".join(b"\0" + bytes(range(8 * channels * 2)) for _ in range(4))
    header = struct.pack(">IIBBBBB", 8, 4, 16, colour, 0, 0, 0)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


@pytest.mark.parametrize(
    ("name", "options", "codec"),
    [
        ("a.jpg", {"quality": 30}, "jpeg"),
        ("a.webp", {"quality": 30}, "webp"),
        ("a.webp", {"lossless": True}, ""),
        ("a.webp", {"lossless": True, "exif": b"MM\0*\0\0\0\x08\0\0\0\0"}, ""),
        ("a.avif", {"quality": 30}, "avif"),
        ("a.png", {}, ""),
        ("a.tif", {}, ""),
        ("a.bmp", {}, ""),
    ],
)
def test_the_codec_is_the_file_s(
    tmp_path: Path, pixels: NDArray[Any], name: str, options: dict[str, Any], codec: str
) -> None:
    path = tmp_path / name
    Image.fromarray(pixels).save(path, **options)
    photo = read_photo(path)
    assert photo.codec == codec
    assert np.array_equal(np.asarray(photo.frame.restore()), np.asarray(Image.open(path)))


def test_the_rate_leaves_metadata_out(tmp_path: Path, pixels: NDArray[Any]) -> None:
    image, path = Image.fromarray(pixels), tmp_path / "a.webp"
    exif = Image.Exif()
    exif[270] = "x" * 5000
    image.save(path, quality=30)
    plain = read_photo(path)
    image.save(path, quality=30, exif=exif)
    heavy = read_photo(path)
    assert plain.bpp == pytest.approx(8 * len(encoded(image, "WEBP", quality=30)) / (72 * 96))
    assert heavy.bpp == pytest.approx(plain.bpp, rel=0.05)
    assert target_of_file(heavy, None, None, TABLE).quality == pytest.approx(
        target_of_file(plain, None, None, TABLE).quality, abs=2
    )


def test_a_jpeg_states_its_quality(photo: Path) -> None:
    target = target_of_file(read_photo(photo), None, None, {})
    assert (target.codec, target.quality) == ("jpeg", 20)


def test_a_jpeg_states_its_coefficients_where_they_are_asked_for(
    tmp_path: Path, photo: Path
) -> None:
    faithful = EnhanceOptions(faithful=True)
    known = read_photo(photo)
    assert target_of_file(known, None, None, {}).jpeg is None
    assert target_of_file(known, None, None, {}, EnhanceOptions(faithful=False)).jpeg is None
    # made anew of a decode of lower quality: it is not what the picture must keep to
    assert target_of_file(known, None, 5.0, {}, EnhanceOptions()).jpeg is None
    assert target_of_file(known, None, 20.0, {}, EnhanceOptions()).jpeg
    for quality in (None, 45.0):
        found = target_of_file(known, None, quality, {}, faithful).jpeg
        assert found and (found.width, found.height) == (known.frame.width, known.frame.height)
    path = tmp_path / "rgb.jpg"
    with Image.open(photo) as image:
        image.save(path, keep_rgb=True)
    with pytest.raises(InputError, match=r"rgb\.jpg: this JPEG is RGB"):
        target_of_file(read_photo(path), None, None, {}, faithful)


def test_a_png_shows_the_jpeg_it_came_from(tmp_path: Path, photo: Path) -> None:
    path = tmp_path / "a.png"
    Image.open(photo).save(path)
    target = target_of_file(read_photo(path), None, None, {})
    assert (target.codec, target.quality) == ("jpeg", 20)


def test_what_is_told_wins(photo: Path) -> None:
    known = read_photo(photo)
    assert target_of_file(known, None, 45, {}).quality == 45
    told = target_of_file(known, "webp", 33, {})
    assert (told.codec, told.quality) == ("webp", 33)
    assert target_of_file(known, "jpeg", None, {}).quality == 20


def test_what_cannot_be_told_names_the_options(
    tmp_path: Path, photo: Path, pixels: NDArray[Any]
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path)
    clean = read_photo(path)
    with pytest.raises(InputError, match=r"a\.png is lossless .* pass --codec and --quality"):
        target_of_file(clean, None, None, {})
    with pytest.raises(InputError, match=r"does not state its codec; pass --codec"):
        target_of_file(clean, None, 30, {})
    with pytest.raises(InputError, match=r"photo\.jpg is no webp file; pass the --quality"):
        target_of_file(read_photo(photo), "webp", None, {})


@pytest.mark.parametrize("colour", [(2, 3), (4, 2), (6, 4)])
def test_colour_of_16_bits_is_refused_not_truncated(
    tmp_path: Path, colour: tuple[int, int]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(wide_png(*colour))
    with pytest.raises(InputError, match=r"a\.png has 16 bits per channel"):
        read_photo(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_grey_of_16_bits_keeps_them(tmp_path: Path, suffix: str) -> None:
    grey = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 83
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(grey).save(path)
    back = read_photo(path).frame.restore()
    assert back.dtype == np.uint16
    assert np.array_equal(back, grey)


def test_grey_png_of_16_bits_and_big_end_first(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(wide_png(0, 1))
    assert read_photo(path).frame.restore()[0, :2].tolist() == [0x0001, 0x0203]


@pytest.mark.parametrize(
    ("mode", "suffix", "mend"),
    [
        ("CMYK", "jpg", "RGB, by its ICC profile"),
        ("P", "png", "RGB, or RGBA where it has transparency"),
        ("1", "png", "8-bit grey"),
        ("I", "tif", "16-bit grey"),
        ("F", "tif", "16-bit grey"),
        ("LAB", "tif", "RGB"),
    ],
)
def test_other_modes_are_named_with_the_mend(
    tmp_path: Path, pixels: NDArray[Any], mode: str, suffix: str, mend: str
) -> None:
    path = tmp_path / f"a.{suffix}"
    image = Image.new("LAB", (9, 7)) if mode == "LAB" else Image.fromarray(pixels).convert(mode)
    image.save(path)
    with pytest.raises(InputError) as caught:
        read_photo(path)
    assert str(caught.value) == f"{path} is in mode {mode}; convert it to {mend} first"


def test_a_colour_that_stands_for_transparency_is_refused(
    tmp_path: Path, pixels: NDArray[Any]
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(pixels).save(path, transparency=(1, 2, 3))
    with pytest.raises(InputError, match="one colour as transparent; convert it to RGBA"):
        read_photo(path)


def test_an_animation_is_refused(tmp_path: Path, pixels: NDArray[Any]) -> None:
    path = tmp_path / "a.webp"
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"a\.webp holds 2 pictures; extract the one"):
        read_photo(path)


def test_a_multi_picture_jpeg_is_its_first(tmp_path: Path, pixels: NDArray[Any]) -> None:
    path = tmp_path / "a.jpg"
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    frames[0].save(path, "MPO", save_all=True, append_images=frames[1:], quality=25)
    photo = read_photo(path)
    assert photo.codec == "jpeg"
    assert np.abs(np.asarray(photo.frame.restore()).astype(int) - pixels).mean() < 12


def test_empty_foreign_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "zero.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(InputError, match=r"zero\.jpg is empty \(0 bytes\)"):
        read_photo(tmp_path / "zero.jpg")
    with pytest.raises(InputError, match=r"text\.jpg is no picture that Pillow knows"):
        read_photo(tmp_path / "text.jpg")
    with pytest.raises(InputError, match=r"is a folder; name the pictures in it"):
        read_photo(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_photo(tmp_path / "nonesuch.jpg")


def test_a_picture_of_too_many_pixels(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4000)
    assert read_photo(photo).frame.width == 96  # beyond Pillow's warning, without one
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"photo\.jpg is too large: .*; cut it into parts"):
        read_photo(photo)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF"]),
    share=st.floats(0, 1),
    junk=st.binary(max_size=8),
)
def test_a_cut_or_overwritten_file_is_read_or_refused(
    tmp_path: Path, pixels: NDArray[Any], name: str, share: float, junk: bytes
) -> None:
    whole = encoded(Image.fromarray(pixels[:24, :24]), name)
    at = round(share * len(whole))
    path = tmp_path / "part"
    for content in (whole[:at], whole[:at] + junk + whole[at + len(junk) :]):
        path.write_bytes(content)
        try:
            assert isinstance(read_photo(path), Photo)
        except InputError as error:
            assert str(path) in str(error)
