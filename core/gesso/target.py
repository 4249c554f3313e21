"""What is being coded: the codec, its quality, and the rate index that both map to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gesso.errors import InputError

if TYPE_CHECKING:
    from gesso.jpeg import JpegCoefficients

__all__ = ["Target", "jpeg_chroma_table", "jpeg_luma_table", "jpeg_quality"]

# ITU-T T.81, Annex K, Table K.1, in natural (row by row) order.
K1 = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
# Table K.2.
K2 = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, *[99] * 38,
)  # fmt: skip


def jpeg_luma_table(quality: float) -> list[float]:
    """The luma table that libjpeg scales to ``quality`` in [1, 100], natural order."""
    return _scaled(K1, quality)


def jpeg_chroma_table(quality: float) -> list[float]:
    """Its chroma table."""
    return _scaled(K2, quality)


def _scaled(table: Sequence[int], quality: float) -> list[float]:
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return [min(255.0, max(1.0, math.floor((step * scale + 50) / 100))) for step in table]


def jpeg_quality(table: Sequence[int]) -> float:
    """The libjpeg quality in [1, 100] whose luma table is nearest to a file's, by mean log step.

    Works for tables of any encoder, mozjpeg's and Photoshop's too: equal mean log steps
    spend about equal bits.

    Args:
        table: 64 luma quantisation steps, in any order.

    Raises:
        InputError: not 64 positive steps.
    """
    steps = list(table)
    if len(steps) != 64 or min(steps) < 1:
        raise InputError(
            f"a JPEG quantisation table has 64 steps of 1 or more, got {len(steps)}; "
            "the file is damaged: pass quality= instead"
        )
    wanted = sum(math.log(step) for step in steps)

    def distance(quality: int) -> float:
        return abs(sum(math.log(step) for step in jpeg_luma_table(quality)) - wanted)

    return float(min(range(1, 101), key=distance))


@dataclass(frozen=True, slots=True)
class Target:
    """The codec that a picture is about to meet, or came from, and its quality.

    Attributes:
        codec: ``jpeg``, ``webp``, ``avif`` or the name of another registered codec.
        quality: on the codec's own scale.
        jpeg: what the JPEG file itself states, where someone asked for it.

    Raises:
        InputError: an unknown codec, or a quality outside its range.
    """

    codec: str
    quality: float
    jpeg: JpegCoefficients | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        from gesso.codec import check_quality, get_codec

        check_quality(get_codec(self.codec), self.quality)

    @classmethod
    def of_jpeg_tables(cls, tables: dict[int, Sequence[int]]) -> Target:
        """The target of a JPEG file, from its quantisation tables as Pillow gives them."""
        if 0 not in tables:
            raise InputError("the JPEG file states no luma table; pass quality= instead")
        return cls("jpeg", jpeg_quality(tables[0]))

    @classmethod
    def of_jpeg_file(cls, data: bytes) -> Target:
        """The target of a whole JPEG file, with its coefficients.

        Raises:
            InputError: as :meth:`gesso.jpeg.JpegCoefficients.of_file`.
        """
        from gesso.jpeg import JpegCoefficients

        jpeg = JpegCoefficients.of_file(data)
        return cls("jpeg", jpeg.quality, jpeg)

    @property
    def qp(self) -> float:
        """Rate index: the QP of an HEVC still with about the same mean square error."""
        from gesso.codec import get_codec

        return get_codec(self.codec).qp(self.quality)
