"""``.gsl`` in Pillow: a format as any other, whose pixels come from the latent codec."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import pillow_gesso
from gesso.errors import InputError, ModelError
from gesso.latent.codec import LATENT, LatentCodec
from gesso.latent.repair import RepairOptions

Photo = Callable[..., Image.Image]
REPAIR = RepairOptions(steps=2, strength=0.1)


@pytest.fixture(autouse=True)
def registered(latent: dict[str, Path]) -> None:
    pillow_gesso.register()


@pytest.fixture
def path(photo: Photo, tmp_path: Path) -> Path:
    """A file of a colour picture."""
    photo().save(tmp_path / "a.gsl", quality=32)
    return tmp_path / "a.gsl"


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_there_and_back(mode: str, photo: Photo, tmp_path: Path) -> None:
    picture = photo(mode)
    picture.save(tmp_path / "a.GSL")
    data = (tmp_path / "a.GSL").read_bytes()
    assert data == LATENT.encode(picture, 64)
    with Image.open(tmp_path / "a.GSL") as found:
        assert (found.format, found.mode, found.size) == ("GSL", mode, (67, 45))
        assert found.get_format_mimetype() == "image/x-gesso-latent"
        assert (found.info["quality"], found.info["own_palette"]) == (64, False)
        assert found.fp is not None
        expected = LATENT.picture(LATENT.unpacked(data))
        assert expected.mode == mode and np.array_equal(found, expected)
        assert found.fp is None and not found.readonly
        assert pickle.loads(pickle.dumps(found)) == found
    stream = io.BytesIO()
    picture.save(stream, "gsl")
    assert stream.getvalue() == data
    with Image.open(stream) as found:
        assert np.array_equal(found, expected)
    assert len(np.unique(LATENT.unpacked(data).indices)) > 3 and len(np.unique(expected)) > 9


def test_options_are_the_codec_s(photo: Photo, path: Path, latent: dict[str, Path]) -> None:
    for options in (
        {"palette": "kmeans"},
        {"dither": 1.0},
        {"refine": 4},
        {"model": str(latent["other"])},
    ):
        photo().save(path, quality=32, **options)
        data = path.read_bytes()
        assert data == LatentCodec(**options).encode(photo(), 32) != LATENT.encode(photo(), 32)
        with Image.open(path) as found:
            assert np.array_equal(found, LATENT.decode(data))
            assert found.info["own_palette"] == (not options.keys() & {"dither", "refine"})
    pillow_gesso.register(latent=pillow_gesso.Latent(palette="kmeans"))
    photo().save(path, quality=32)
    assert path.read_bytes() == LatentCodec(palette="kmeans").encode(photo(), 32)


def test_it_is_repaired_where_that_is_asked_for(path: Path) -> None:
    data = path.read_bytes()
    plain = np.asarray(LATENT.decode(data))
    for given, wish in ((None, RepairOptions()), (REPAIR, REPAIR)):
        if given:
            pillow_gesso.register(latent=pillow_gesso.Latent(repair=given))
        with Image.open(path, formats=["ENHANCED-GSL"]) as found:
            assert found.format == "GSL"
            assert np.array_equal(found, LatentCodec(repair=wish).decode(data))
            assert not np.array_equal(found, plain)
        with Image.open(path) as found, pillow_gesso.using(enhance=True):
            assert np.array_equal(found, plain)


@pytest.mark.parametrize(
    ("mode", "settings", "error", "said"),
    [
        ("RGBA", {}, OSError, r"cannot write mode RGBA as GSL; first use convert\('RGB'\)"),
        ("P", {}, OSError, "cannot write mode P as GSL"),
        ("RGB", {"quality": 8}, InputError, r"quality 8 is outside latent's range \[16, 256\]"),
        ("RGB", {"quality": "keep"}, InputError, "palette's entries, 16 to 256, got 'keep'"),
        ("RGB", {"palette": "best"}, InputError, "palette is one of shared"),
        ("RGB", {"dither": 2}, InputError, "dither must be in"),
        ("RGB", {"model": "nonesuch"}, ModelError, "no autoencoder named 'nonesuch'"),
        ("RGB", {"preprocess": True}, InputError, "GSL cannot honour preprocess="),
    ],
)
def test_a_save_that_fails_leaves_what_was_there(
    mode: str, settings: dict[str, Any], error: type[Exception], said: str, photo: Photo, path: Path
) -> None:
    before = path.read_bytes()
    for place in (path, path.with_name("new.gsl")):
        with pytest.raises(error, match=said):
            photo("RGB").convert(mode).save(place, **settings)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_written_of_an_empty_picture(path: Path) -> None:
    with pytest.raises(ValueError, match="cannot write empty image as GSL"):
        Image.new("RGB", (0, 4)).save(path)


def test_a_file_may_be_written_over_itself(path: Path) -> None:
    with Image.open(path) as found:
        found.save(path, quality=16)
    with Image.open(path) as found:
        assert found.info["quality"] == 16 and found.size == (67, 45)


def test_damaged_bytes_raise_what_pillow_s_own_formats_do(path: Path) -> None:
    data = path.read_bytes()
    for kept in (0, 3, 5, 15):
        with pytest.raises(UnidentifiedImageError):
            Image.open(io.BytesIO(data[:kept]))
    flipped = bytearray(data)
    flipped[-5] ^= 4  # the last of the payload
    for damaged, said in (
        (data[:18], "truncated"),
        (data[:-1], "truncated"),
        (data + b"x", "bytes follow"),
        (bytes(flipped), "checksum"),
    ):
        with Image.open(io.BytesIO(damaged)) as image:
            assert image.size == (67, 45)
            for _ in range(2):  # an image that failed is not taken for a whole one
                with pytest.raises(OSError, match=said):
                    image.load()
    # width and height follow 14 bytes, as 67 and 45
    assert data[14:16] == b"\x43\x2d"
    bomb = data[:14] + b"\xff\xff\xff\xff\x0f" + data[15:]
    with pytest.raises(Image.DecompressionBombError):
        Image.open(io.BytesIO(bomb))


def test_without_the_autoencoder_the_header_still_tells(
    path: Path, no_autoencoder: Callable[[], None], photo: Photo
) -> None:
    before = path.read_bytes()
    no_autoencoder()
    with Image.open(path) as found:
        assert (found.size, found.mode) == ((67, 45), "RGB")
        with pytest.raises(ModelError, match=r"coded with a model of digest .* is not here"):
            found.load()
    with pytest.raises(ModelError, match="no autoencoder named 'autoencoder'"):
        photo().save(path)
    assert path.read_bytes() == before


def test_unregistered_pillow_knows_no_gsl(path: Path, photo: Photo) -> None:
    with Image.open(path) as opened:
        pillow_gesso.unregister()
        assert opened.load() is not None
    with pytest.raises(UnidentifiedImageError):
        Image.open(path)
    with pytest.raises(ValueError, match=r"unknown file extension: \.gsl"):
        photo().save(path.with_name("b.gsl"))
