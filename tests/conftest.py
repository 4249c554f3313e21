"""Pictures, and what Pillow codes them to."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image


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
