"""Source pictures are read honestly, and named briefly."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from PIL import Image

from gesso.errors import InputError
from gesso.evaluation.sources import named, read_bytes, read_picture


def stored(picture: Image.Image, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind)
    return stream.getvalue()


def test_grey_and_opaque_pictures_are_read_as_rgb(astronaut: NDArray[Any]) -> None:
    grey = Image.fromarray(astronaut[:40, :60]).convert("L")
    for picture in (grey, grey.convert("RGBA"), grey.convert("LA")):
        assert read_picture(stored(picture)) == grey.convert("RGB")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not a picture"),
        (b"no picture", "not a picture"),
        (stored(Image.radial_gradient("L"))[:2000], "cannot be decoded"),
        (stored(Image.new("CMYK", (8, 8)), "JPEG"), "CMYK"),
        (stored(Image.new("P", (8, 8))), "mode P"),
        (stored(Image.new("RGBA", (8, 8), (1, 2, 3, 128))), "transparency.*flatten"),
    ],
)
def test_what_has_no_honest_rgb_form_is_named(data: bytes, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_picture(data)


def test_a_picture_of_too_many_pixels_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match="too large"):
        read_picture(stored(Image.new("RGB", (64, 64))))


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_bytes(tmp_path / "gone.png")


def test_names_are_below_the_folder_that_all_files_share(tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "sub" / "a.png"]
    assert named(files) == {"a.png": files[0], "sub/a.png": files[1]}
    assert named(files[1:]) == {"a.png": files[1]}


def test_no_files_are_an_error() -> None:
    with pytest.raises(InputError, match="no pictures"):
        named([])
