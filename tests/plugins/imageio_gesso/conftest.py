"""ImageIO with gesso, models that make negatives, and a short video."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from imageio.config import known_plugins
from numpy.typing import NDArray
from PIL import Image

import imageio_gesso


@pytest.fixture(autouse=True)
def stock() -> Iterator[None]:
    """ImageIO as it was."""
    before = list(known_plugins.items())
    yield
    imageio_gesso.unregister()
    assert list(known_plugins.items()) == before


@pytest.fixture
def model(plug: Callable[..., Any]) -> Any:
    """A registered gesso whose models make negatives."""
    imageio_gesso.register()
    return plug(lambda frame: frame.with_rgb(1 - frame.rgb))


@pytest.fixture
def coded(photo: Callable[..., Image.Image]) -> Callable[..., bytes]:
    """``coded(extension, mode, **params)``: a file as the stock plug-in writes it."""

    def coded(extension: str, mode: str = "RGB", **params: Any) -> bytes:
        pixels = np.asarray(photo(mode))
        data: Any = iio.imwrite("<bytes>", pixels, plugin="pillow", extension=extension, **params)
        return bytes(data)

    return coded


@pytest.fixture
def film(tmp_path: Path, photo: Callable[..., Image.Image]) -> tuple[Path, NDArray[Any]]:
    """An H.264 file of three frames of 64 x 48, and how the stock plug-in reads it."""
    frames = np.stack([np.asarray(photo(size=(64, 48), seed=seed)) for seed in range(3)])
    path = tmp_path / "film.mp4"
    iio.imwrite(path, frames, plugin="pyav", codec="libx264", fps=10)
    return path, iio.imread(path, plugin="pyav")


class Pipe(io.RawIOBase):
    """A stream that cannot go back."""

    def __init__(self, data: bytes) -> None:
        self.stream = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        return self.stream.read(size)


@pytest.fixture
def pipe() -> Callable[[bytes], io.RawIOBase]:
    """``pipe(data)``: a stream that cannot go back."""
    return Pipe
