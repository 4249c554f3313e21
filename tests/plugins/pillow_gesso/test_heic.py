"""HEIC: an ordinary file, and a Pillow that knows nothing of it."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest
from PIL import Image

from gesso.errors import InputError
from pillow_gesso.heic import HEIC


def test_pillow_is_left_as_it_is() -> None:
    pytest.importorskip("pillow_heif")
    code = """
from PIL import Image
Image.init()
def state():
    return [dict(d) for d in (Image.OPEN, Image.SAVE, Image.EXTENSION, Image.MIME)], Image.ID[:]
before = state()
from pillow_gesso.heic import HEIC
HEIC.decode(HEIC.encode(Image.new("RGB", (20, 20), "red"), 50))
assert state() == before and ".heic" not in Image.EXTENSION
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_file_is_an_ordinary_one() -> None:
    heif = pytest.importorskip("pillow_heif")
    picture = Image.linear_gradient("L").convert("RGB")
    picture.info["exif"] = b"Exif\0\0 not to be counted"
    raw = HEIC.encode(picture, 60)
    assert heif.get_file_mimetype(raw) == "image/heic"
    stock = heif.open_heif(io.BytesIO(raw))
    assert stock.size == picture.size and not stock.info["exif"]
    assert stock.to_pillow().tobytes() == HEIC.decode(raw).tobytes()


def test_another_mode_raises() -> None:
    with pytest.raises(InputError, match=r"mode RGBA.*convert\('RGB'\)"):
        HEIC.encode(Image.new("RGBA", (8, 8)), 50)


def test_without_pillow_heif_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    for job in (lambda: HEIC.encode(Image.new("RGB", (8, 8)), 50), lambda: HEIC.decode(b"x")):
        with pytest.raises(InputError, match=r"^HEIC needs pillow-heif.*gesso\[pillow\]"):
            job()
