"""Convex interpolation between two ends: the other way from distortion to perception.

Z. Yan, F. Wen, R. Ying, C. Ma, P. Liu, "On Perceptual Lossy Compression: The Cost of
Perceptual Reconstruction and An Optimal Training Framework", ICML 2021: pixel by pixel
between the reconstruction of least distortion and that of perfect perception lies a
reconstruction for every trade between both.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gesso.codec import Codec
from gesso.evaluation.pipeline import After

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Interpolated", "Kept"]


@dataclass(frozen=True)
class Kept:
    """A treatment that keeps its last picture, for others that need the same one."""

    after: After
    memory: dict[tuple[str, float, bytes], Image.Image] = field(
        default_factory=dict, compare=False, repr=False
    )

    def __call__(
        self, data: bytes, decoded: Image.Image, codec: Codec, quality: float
    ) -> Image.Image:
        at = (codec.name, quality, data)
        if at not in self.memory:
            picture = self.after(data, decoded, codec, quality)
            self.memory.clear()
            self.memory[at] = picture
        return self.memory[at]


@dataclass(frozen=True)
class Interpolated:
    """(1 - weight) x ``distortion`` + weight x ``perception``, rounded to 8 bits.

    Attributes:
        distortion: gives the picture nearest to the source.
        perception: gives the most natural picture.
        weight: of the latter, in [0, 1].
    """

    distortion: After
    perception: After
    weight: float

    def __call__(
        self, data: bytes, decoded: Image.Image, codec: Codec, quality: float
    ) -> Image.Image:
        import numpy as np
        from PIL import Image

        one, two = (
            np.asarray(after(data, decoded, codec, quality), dtype=np.float64)
            for after in (self.distortion, self.perception)
        )
        mixed = np.rint((1 - self.weight) * one + self.weight * two)
        return Image.fromarray(mixed.astype(np.uint8))
