"""Models that can be told apart, pictures, and Pillow as it was after every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from PIL import Image, ImageChops

import pillow_gesso

STOCK_SAVE = Image.Image.save


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
def model(plug: Callable[..., Any]) -> Any:
    """A registered gesso whose models make negatives."""
    pillow_gesso.register()
    return plug(lambda frame: frame.with_rgb(1 - frame.rgb))


@pytest.fixture
def inverted() -> Callable[[Image.Image], Image.Image]:
    """What ``model`` makes of a picture."""
    return negative
