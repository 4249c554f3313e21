"""``.gsl`` through ImageIO, whether or not Pillow knows it."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio
import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import imageio_gesso
from gesso.errors import InputError, ModelError
from gesso.latent.codec import LATENT, LatentCodec
from gesso.latent.repair import RepairOptions

Photo = Callable[..., Image.Image]
REPAIR = RepairOptions(steps=2, strength=0.1)


@pytest.fixture(autouse=True)
def registered(latent: dict[str, Path]) -> None:
    imageio_gesso.register()


@pytest.fixture
def pixels(photo: Photo) -> NDArray[Any]:
    return np.asarray(photo())


@pytest.fixture
def path(pixels: NDArray[Any], tmp_path: Path) -> Path:
    iio.imwrite(tmp_path / "a.gsl", pixels, plugin="gesso", quality=32)
    return tmp_path / "a.gsl"


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_picture_there_and_back(mode: str, photo: Photo, tmp_path: Path) -> None:
    path = tmp_path / "a.gsl"
    iio.imwrite(path, np.asarray(photo(mode)), plugin="gesso")
    data = path.read_bytes()
    assert data == LATENT.encode(photo(mode), 64)
    expected = np.asarray(LATENT.picture(LATENT.unpacked(data)))
    for source in (path, data, io.BytesIO(data)):
        found = iio.imread(source, plugin="gesso")
        assert found.dtype == np.uint8 and np.array_equal(found, expected)
    properties = iio.improps(path, plugin="gesso")
    assert (properties.shape, properties.dtype) == (expected.shape, np.uint8)
    metadata = iio.immeta(path, plugin="gesso")
    assert (metadata["quality"], metadata["mode"], metadata["shape"]) == (64, mode, (67, 45))
    [frame] = iio.imiter(path, plugin="gesso")
    assert np.array_equal(frame, expected)
    grey = iio.imread(path, plugin="gesso", mode="L")
    assert grey.shape == (45, 67)
    assert np.array_equal(imageio.v2.imread(path, format="gesso"), expected)


def test_options_are_the_codec_s(
    pixels: NDArray[Any], photo: Photo, latent: dict[str, Path]
) -> None:
    options = {"palette": "kmeans", "dither": 1.0, "model": str(latent["other"])}
    settings: dict[str, Any] = {"extension": ".gsl", "quality": 16, **options}
    data = iio.imwrite("<bytes>", pixels, plugin="gesso", **settings)
    assert data == LatentCodec(**options).encode(photo(), 16)  # type: ignore[arg-type]


def test_it_is_repaired_where_that_is_asked_for(path: Path) -> None:
    data = path.read_bytes()
    plain = np.asarray(LATENT.decode(data))
    codec = LatentCodec(repair=REPAIR)
    for wish, repaired in (
        (True, LatentCodec(repair=RepairOptions())),
        (imageio_gesso.Repair(steps=2, strength=0.1), codec),
        (codec, codec),
    ):
        found = iio.imread(path, plugin="gesso", enhance=wish)
        assert np.array_equal(found, repaired.decode(data))
        assert not np.array_equal(found, plain)
        [frame] = iio.imiter(data, plugin="gesso", enhance=wish)
        assert np.array_equal(frame, found)
    with iio.imopen(io.BytesIO(data), "r", plugin="gesso") as opened:
        assert np.array_equal(opened.read(enhance=False), plain)
        assert np.array_equal(opened.read(enhance=codec), codec.decode(data))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"enhance": "fast"}, "enhance must be True, False, a Repair or a Latent, got 'fast'"),
        ({"enhance": True, "quality": 3}, "says how it was coded; leave codec= and quality="),
    ],
)
def test_what_reading_does_not_take(path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        iio.imread(path, plugin="gesso", **settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quality": 8}, r"quality 8 is outside latent's range \[16, 256\]"),
        ({"quality": "best"}, "palette's entries, 16 to 256, got 'best'"),
        ({"palette": "best"}, "palette is one of shared"),
        ({"preprocess": True}, "GSL cannot honour preprocess="),
        ({"subsampling": 0}, "takes no subsampling; there are quality"),
        ({"format": "PNG"}, "is a name for GSL, not for PNG"),
    ],
)
def test_a_write_that_fails_leaves_what_was_there(
    settings: dict[str, Any], said: str, path: Path, pixels: NDArray[Any]
) -> None:
    before = path.read_bytes()
    for place in (path, path.with_name("new.gsl")):
        with pytest.raises(InputError, match=said):
            iio.imwrite(place, pixels, plugin="gesso", **settings)
    with pytest.raises(InputError, match=said):
        iio.imwrite(f"{path.parent}/a.zip/a.gsl", pixels, plugin="gesso", **settings)
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} <= {"a.gsl", "a.zip"}


def test_pictures_that_a_file_cannot_hold(path: Path, pixels: NDArray[Any]) -> None:
    before = path.read_bytes()
    with pytest.raises(InputError, match="holds one picture, got 2"):
        iio.imwrite(path, np.stack([pixels, pixels]), plugin="gesso")
    with pytest.raises(InputError, match="mode RGBA cannot be coded"):
        iio.imwrite(path, np.dstack([pixels, pixels[..., :1]]), plugin="gesso")
    assert path.read_bytes() == before


def test_files_in_a_zip(path: Path, pixels: NDArray[Any]) -> None:
    place = f"{path.parent}/a.zip/b.gsl"
    iio.imwrite(place, pixels, plugin="gesso", quality=32)
    with zipfile.ZipFile(path.parent / "a.zip") as archive:
        assert archive.read("b.gsl") == path.read_bytes()
    assert np.array_equal(iio.imread(place, plugin="gesso"), LATENT.decode(path.read_bytes()))


def test_damaged_bytes(path: Path) -> None:
    data = path.read_bytes()
    for damaged, said in ((data[:-1], "truncated"), (data + b"x", "bytes follow")):
        for wish in (False, REPAIR):
            with pytest.raises(OSError, match=said):
                iio.imread(damaged, plugin="gesso", enhance=wish)
    path.write_bytes(data[:9])
    with pytest.raises(OSError, match="`gesso` can not handle the given uri"):
        iio.imread(path, plugin="gesso")
    # another kind of file under our name is what it is
    path.write_bytes(iio.imwrite("<bytes>", np.zeros((4, 4), np.uint8), extension=".png"))
    assert iio.imread(path, plugin="gesso").shape == (4, 4)


def test_without_the_autoencoder_the_header_still_tells(
    path: Path, no_autoencoder: Callable[[], None], pixels: NDArray[Any]
) -> None:
    no_autoencoder()
    assert iio.improps(path, plugin="gesso").shape == pixels.shape
    with pytest.raises(ModelError, match="is not here"):
        iio.imread(path, plugin="gesso")
    with pytest.raises(ModelError, match="no autoencoder named 'autoencoder'"):
        iio.imwrite(path, pixels, plugin="gesso")
    assert path.stat().st_size > 0
