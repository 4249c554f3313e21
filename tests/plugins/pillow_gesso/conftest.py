"""Models that can be told apart, pictures, and Pillow as it was after every test."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops

import pillow_gesso
from gesso.frame import Frame
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.target import Target
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager

STOCK_SAVE = Image.Image.save


class Model:
    """A plug-in that answers both hooks with ``change`` and remembers what it was asked."""

    def __init__(self, change: Callable[[Frame], Frame]) -> None:
        self.change = change
        self.asked: list[tuple[Target | None, PreprocessOptions | EnhanceOptions]] = []

    @hookimpl
    def gesso_before_encode(
        self, frame: Frame, target: Target, options: PreprocessOptions
    ) -> Frame:
        self.asked.append((target, options))
        return self.change(frame)

    @hookimpl
    def gesso_after_decode(
        self, frame: Frame, target: Target | None, options: EnhanceOptions
    ) -> Frame:
        self.asked.append((target, options))
        return self.change(frame)


def negative(image: Image.Image) -> Image.Image:
    """What the fixture ``model`` makes of a picture: a negative, alpha untouched."""
    bands = list(image.split())
    colours = len(bands) - (image.mode in ("LA", "RGBA"))
    bands[:colours] = [ImageChops.invert(band) for band in bands[:colours]]
    return Image.merge(image.mode, bands)


@pytest.fixture(autouse=True)
def stock() -> Iterator[None]:
    """Pillow as it was."""
    yield
    pillow_gesso.unregister()
    assert Image.Image.save is STOCK_SAVE


@pytest.fixture
def plug() -> Iterator[Callable[[Callable[[Frame], Frame]], Model]]:
    """``plug(change)``: a model for this test."""
    there: list[Model] = []

    def plug(change: Callable[[Frame], Frame]) -> Model:
        there.append(Model(change))
        manager().register(there[-1])
        return there[-1]

    yield plug
    for model in there:
        manager().unregister(model)


@pytest.fixture
def model(plug: Callable[..., Model]) -> Model:
    """A registered gesso whose models make negatives."""
    pillow_gesso.register()
    return plug(lambda frame: frame.with_rgb(1 - frame.rgb))


@pytest.fixture
def inverted() -> Callable[[Image.Image], Image.Image]:
    """What ``model`` makes of a picture."""
    return negative


@pytest.fixture
def photo() -> Callable[..., Image.Image]:
    """``photo(mode, size, seed)``: a smooth picture with edges and texture."""

    def photo(mode: str = "RGB", size: tuple[int, int] = (67, 45), seed: int = 0) -> Image.Image:
        width, height = size
        y, x = np.mgrid[:height, :width] / 9
        noise = np.random.default_rng(seed).normal(0, 12, (height, width, 4))
        waves = [np.sin(x * k + y + seed) * 80 + 40 * np.sign(np.cos(y * k)) for k in (1, 2, 3, 4)]
        array = (np.stack(waves, -1) + noise + 128).clip(0, 255).astype(np.uint8)
        return Image.fromarray(array).convert(mode)

    return photo


def undated(data: bytes) -> bytes:
    """``data`` without the time of day, which libavif writes into animations."""
    for box in (b"mvhd", b"tkhd", b"mdhd"):
        at = data.find(box) + 8
        if at >= 8 and data[4:8] == b"ftyp":
            data = data[:at] + bytes(16) + data[at + 16 :]
    return data


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """``encoded(image, format, **params)``: the bytes of a save to a stream, undated."""

    def encoded(image: Image.Image, format: str, **params: Any) -> bytes:
        stream = io.BytesIO()
        image.save(stream, format, **params)
        return undated(stream.getvalue())

    return encoded
