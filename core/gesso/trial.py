"""Trial codings: what bits and looks a picture would have, and what a bit is worth there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gesso.codec import Codec

__all__ = ["Distance", "Trial", "Tried", "neighbours", "through"]

# From the reference to how far a decode of it is, lower is better; (1, 3, H, W) on [0, 1].
Distance = Callable[[Tensor], Callable[[Tensor], Tensor]]
# How far away, in QP, the qualities lie between which the price of a bit is taken.
REACH = 3.0
# A curve that does not fall there, as in a flat picture, asks for no bits to be saved at all cost.
FLOOR = 1e-3


@dataclass(frozen=True)
class Tried:
    """One trial coding.

    Attributes:
        bpp: bits per pixel, without what an empty file of the codec has.
        distance: of the decode to the source.
    """

    bpp: float
    distance: float


class Trial:
    """Codes pictures that stand for one source, and looks at them."""

    def __init__(self, source: Tensor, codec: Codec, distance: Distance) -> None:
        """``source``: (1, 3, H, W) on [0, 1]."""
        self.codec = codec
        self.distance = distance(source)
        self._source = source
        self._empty: dict[float, int] = {}

    def code(self, picture: Tensor, quality: float) -> Tried:
        """``picture`` (1, 3, H, W) on [0, 1], in 8 bits, through the real codec."""
        bpp, decoded = self.through(picture, quality)
        with torch.no_grad():
            return Tried(bpp, float(self.distance(decoded)))

    def through(self, picture: Tensor, quality: float) -> tuple[float, Tensor]:
        """Bits per pixel and decode of :meth:`code`."""
        size, decoded = through(self.codec, picture, quality)
        bits = 8 * (size - self._overhead(quality))
        return bits / (picture.shape[2] * picture.shape[3]), decoded.to(self._source)

    def price(self, quality: float) -> float:
        """What plain coding takes off the distance for one more bit per pixel about there."""
        worse, better = (self.code(self._source, at) for at in neighbours(self.codec, quality))
        spent = better.bpp - worse.bpp
        return max(FLOOR, (worse.distance - better.distance) / spent) if spent > 0 else FLOOR

    def _overhead(self, quality: float) -> int:
        """Bytes of an empty file."""
        if quality not in self._empty:
            # Some codecs need more around a picture that is too small for them.
            greys = (Image.new("RGB", (side, side), "gray") for side in (8, 64))
            self._empty[quality] = min(len(self.codec.encode(grey, quality)) for grey in greys)
        return self._empty[quality]


def through(codec: Codec, picture: Tensor, quality: float) -> tuple[int, Tensor]:
    """Bytes and decode of ``picture`` (1, 3, H, W) on [0, 1], in 8 bits, through a codec."""
    data = codec.encode(_image(picture.detach()), quality)
    return len(data), _tensor(codec.decode(data))


def neighbours(codec: Codec, quality: float) -> tuple[float, float]:
    """The whole qualities next to QP +3 and QP -3 from this one, the worse first."""
    low, high = sorted(codec.qualities)
    there = [float(q) for q in range(round(low), round(high) + 1)]
    at = codec.qp(quality)
    worse, better = (
        min(there, key=lambda q: abs(codec.qp(q) - at - step)) for step in (REACH, -REACH)
    )
    if worse == better:
        # A scale so steep that no two of its qualities are that near.
        index = there.index(worse)
        near = there[max(0, index - 1) : index + 2]
        worse, better = max(near, key=codec.qp), min(near, key=codec.qp)
    return worse, better


def _image(picture: Tensor) -> Image.Image:
    levels = (picture[0].clamp(0, 1) * 255).round().byte()
    return Image.fromarray(np.ascontiguousarray(levels.permute(1, 2, 0).cpu().numpy()))


def _tensor(image: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(image.convert("RGB")))
    return pixels.permute(2, 0, 1)[None].float() / 255
