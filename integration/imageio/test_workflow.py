"""A folder of pictures prepared, stored and shown again through ImageIO alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

import gesso
import imageio_gesso
from gesso_hooks import hosts

PHOTO: NDArray[np.uint8] = np.ascontiguousarray(data.astronaut()[0:128, 160:320])


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    imageio_gesso.register()
    yield
    imageio_gesso.unregister()


def error(one: Any, other: Any) -> float:
    return float(np.square(np.asarray(one, float) - np.asarray(other, float)).mean())


def test_the_host_is_discovered() -> None:
    assert hosts()["imageio"].installed


@pytest.mark.parametrize("extension", [".jpg", ".webp", ".avif", ".heic"])
def test_an_enhanced_picture_is_the_same_kind_and_another_picture(
    extension: str, tmp_path: Path
) -> None:
    path = tmp_path / f"photo{extension}"
    iio.imwrite(path, PHOTO, plugin="gesso", quality=20)
    plain = iio.imread(path)  # an ordinary file, as anybody reads it
    found = iio.imread(path, plugin="gesso", enhance="fast")
    assert (found.shape, found.dtype) == (plain.shape, plain.dtype)
    assert 0 < error(found, plain) < error(plain, PHOTO)
    if extension == ".jpg":
        # The estimate is nearer to the source than the decode, and true to the file.
        assert error(found, PHOTO) < error(plain, PHOTO)
        with Image.open(path) as image:
            assert np.array_equal(gesso.enhance(image), found)


def test_a_prepared_picture_is_an_ordinary_file(tmp_path: Path) -> None:
    path, photo = tmp_path / "prepared.jpg", PHOTO[:64, :64]
    wish = imageio_gesso.Preprocess(effort="max", steps=10, guard=False)
    try:
        iio.imwrite(path, photo, plugin="gesso", quality=30, preprocess=wish)
    except gesso.ModelError as missing:
        pytest.skip(str(missing))  # the networks that effort max looks through
    with Image.open(path) as image:
        assert (image.format, image.size, image.mode) == ("JPEG", (64, 64), "RGB")
    expected = gesso.preprocess(photo, "jpeg", 30, effort="max", steps=10, guard=False)
    core, plain = (
        iio.imwrite("<bytes>", pixels, plugin="pillow", extension=".jpg", quality=30)
        for pixels in (expected, photo)
    )
    assert path.read_bytes() == core != plain


def test_a_clip_is_enhanced_frame_by_frame(tmp_path: Path) -> None:
    frames = np.stack([PHOTO[:96, shift : shift + 96] for shift in range(4)])
    path, better = tmp_path / "clip.mp4", tmp_path / "better.mp4"
    iio.imwrite(path, frames, plugin="gesso", codec="libx264", fps=12, quality=38)
    plain = iio.imread(path, plugin="pyav")
    found = np.stack(list(iio.imiter(path, plugin="gesso", enhance=True, quality=38)))
    assert found.shape == plain.shape and error(found, plain) > 0
    for shown, decoded in zip(found, plain, strict=True):
        single = gesso.enhance(decoded, codec="hevc", quality=38)
        assert np.array_equal(shown, single)
    iio.imwrite(better, found, plugin="gesso", codec="libx264", fps=12)
    assert iio.improps(better, plugin="pyav").shape == frames.shape
    assert iio.immeta(better, plugin="pyav")["fps"] == 12


def test_a_script_of_three_lines(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "a.jpg", PHOTO, quality=20)
    script = (
        "import imageio.v3 as iio, imageio_gesso; imageio_gesso.register(); "
        "iio.imwrite('b.png', iio.imread('a.jpg', plugin='gesso', enhance=True))"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=200)
    assert iio.imread(tmp_path / "b.png").shape == PHOTO.shape
