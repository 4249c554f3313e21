"""Writing pictures: pixels, modes and metadata come back; what a format cannot hold is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from gesso.errors import InputError
from gesso_cli.reading import Metadata, read_photo
from gesso_cli.writing import SUFFIXES, check_free, format_of, save

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a/></x:xmpmeta>'
ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
ORIENTATION, DESCRIPTION, EXPOSURE, SUB_IFD = 274, 270, 33434, 34665


def exif() -> bytes:
    tags = Image.Exif()
    tags[ORIENTATION] = 6
    tags[DESCRIPTION] = "a cup"
    tags.get_ifd(SUB_IFD)[EXPOSURE] = 0.5
    return tags.tobytes()


def written(picture: Any, path: Path, metadata: Metadata | None = None) -> Path:
    save(picture, path, metadata or Metadata(), path)
    return path


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".avif"])
@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_metadata_goes_from_any_format_to_any(
    tmp_path: Path, pixels: NDArray[Any], source: str, suffix: str
) -> None:
    image = Image.fromarray(pixels)
    first = written(image, tmp_path / f"a{source}", Metadata(exif(), ICC, XMP))
    photo = read_photo(first)
    assert (photo.metadata.icc, photo.metadata.xmp) == (ICC, XMP)
    second = written(photo.frame.restore(), tmp_path / f"b{suffix}", photo.metadata)
    with Image.open(second) as back:
        assert back.info["icc_profile"] == ICC
        assert back.info["xmp"] == XMP
        tags = back.getexif()
        assert tags[DESCRIPTION] == "a cup"
        assert tags[ORIENTATION] == 6
        assert tags.get_ifd(SUB_IFD)[EXPOSURE] == 0.5
        # Pillow's TIFF reader applies the tag itself; the file holds the pixels as they were.
        assert back.size == ((72, 96) if back.format == "TIFF" else (96, 72))


def test_tiff_tags_that_describe_are_kept(tmp_path: Path, pixels: NDArray[Any]) -> None:
    tags = Image.Exif()
    tags[DESCRIPTION] = "a cup"
    tags.get_ifd(SUB_IFD)[EXPOSURE] = 0.5
    metadata = Metadata(tags.tobytes(), ICC, XMP)
    first = written(Image.fromarray(pixels), tmp_path / "a.tif", metadata)
    photo = read_photo(first)
    second = written(photo.frame.restore(), tmp_path / "b.png", photo.metadata)
    with Image.open(second) as back:
        found = back.getexif()
        # Nothing of how the strips of the TIFF were stored.
        assert set(found) == {DESCRIPTION, SUB_IFD}
        assert found.get_ifd(SUB_IFD)[EXPOSURE] == 0.5
        assert (back.info["icc_profile"], back.info["xmp"]) == (ICC, XMP)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg"])
def test_resolution_is_kept(tmp_path: Path, pixels: NDArray[Any], suffix: str) -> None:
    path = written(Image.fromarray(pixels), tmp_path / f"a{suffix}", Metadata(dpi=(300.0, 300.0)))
    assert read_photo(path).metadata.dpi == pytest.approx((300, 300), rel=1e-3)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mode=st.sampled_from(["RGB", "RGBA", "L", "LA", "I;16"]),
    suffix=st.sampled_from([".png", ".tif", ".webp"]),
    width=st.integers(1, 24),
    height=st.integers(1, 24),
    seed=st.integers(0, 99),
)
def test_lossless_formats_give_back_every_pixel(
    tmp_path: Path, mode: str, suffix: str, width: int, height: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    bands = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode)
    shape = (height, width, bands) if bands else (height, width)
    kind = np.uint16 if mode == "I;16" else np.uint8
    array = rng.integers(0, np.iinfo(kind).max + 1, shape, dtype=kind)
    image = Image.fromarray(array)
    assert image.mode == mode
    path = tmp_path / f"a{suffix}"
    if suffix == ".webp" and mode == "I;16":
        with pytest.raises(InputError, match=r"WEBP holds no 16-bit grey; end it in \.png"):
            written(image, path)
        return
    with Image.open(written(image, path)) as back:
        if suffix == ".webp" and mode in ("L", "LA"):
            image = image.convert({"L": "RGB", "LA": "RGBA"}[mode])
        # Pillow leaves an alpha out that is opaque everywhere.
        assert np.array_equal(np.asarray(back.convert(image.mode)), np.asarray(image))


@pytest.mark.parametrize("suffix", [".jpg", ".avif"])
def test_lossy_formats_are_nearly_exact(tmp_path: Path, pixels: NDArray[Any], suffix: str) -> None:
    with Image.open(written(Image.fromarray(pixels), tmp_path / f"a{suffix}")) as back:
        assert np.abs(np.asarray(back).astype(int) - pixels).max() <= 6
    assert format_of(tmp_path / f"a{suffix}").best


@pytest.mark.parametrize(
    ("mode", "suffix", "lacks"),
    [
        ("RGBA", ".jpg", "JPEG holds no transparency"),
        ("LA", ".jpg", "JPEG holds no transparency"),
        ("I;16", ".avif", "AVIF holds no 16-bit grey"),
    ],
)
def test_what_a_format_cannot_hold_is_said(
    tmp_path: Path, mode: str, suffix: str, lacks: str
) -> None:
    path = tmp_path / f"a{suffix}"
    with pytest.raises(InputError) as caught:
        written(Image.new(mode, (8, 8)), path)
    assert str(caught.value) == f"cannot write {path}: {lacks}; end it in .png"
    assert not path.exists()


def test_metadata_that_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    tags = Image.Exif()
    tags[DESCRIPTION] = "x" * 70_000
    with pytest.raises(InputError, match=r"a\.jpg as JPEG: .*too long; end it in \.png"):
        written(Image.new("RGB", (8, 8)), path, Metadata(tags.tobytes()))
    assert not path.exists()


def test_names_choose_the_format() -> None:
    assert format_of(Path("a.JPEG")).name == "JPEG"
    with pytest.raises(InputError, match=r"no picture format for \.gif; end it in \.png"):
        format_of(Path("a.gif"))
    with pytest.raises(InputError, match="no picture format for a name without suffix"):
        format_of(Path("a"))


def test_files_that_exist_are_not_replaced_unasked(tmp_path: Path) -> None:
    one, two = tmp_path / "a.png", tmp_path / "b.png"
    one.touch()
    two.touch()
    with pytest.raises(InputError, match=r"b\.png exists; pass --overwrite"):
        check_free(one, two, overwrite=False)
    with pytest.raises(InputError, match=r"a\.png would replace its own input"):
        check_free(one, tmp_path / "." / "a.png", overwrite=False)
    check_free(one, one, overwrite=True)
    check_free(one, tmp_path / "new.png", overwrite=False)
