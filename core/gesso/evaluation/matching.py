"""The qualities of a codec, and the one at which its file has a given size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gesso.codec import Codec

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["nearest_quality", "quality_levels"]

STEPS = 256  # into which a scale without whole numbers is cut


def nearest_quality(
    codec: Codec, image: Image.Image, size: int, qualities: Sequence[float] = ()
) -> float:
    """The quality whose file comes nearest to ``size`` bytes; the better of equally near ones.

    A bisection over the codec's scale, which takes files to grow with quality; where they
    do not in every step, the nearest of the files it saw is taken. It encodes about
    log2 of the number of qualities times.

    Args:
        codec: of which the quality is.
        image: what it codes.
        size: in bytes.
        qualities: to choose from, worst first; all of the codec's scale if empty.

    Raises:
        InputError: the codec cannot code the picture.
    """
    levels = list(qualities) or quality_levels(codec)
    sizes: dict[int, int] = {}

    def size_at(index: int) -> int:
        if index not in sizes:
            sizes[index] = len(codec.encode(image, levels[index]))
        return sizes[index]

    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if size_at(middle) < size:
            low = middle + 1
        else:
            high = middle
    size_at(low)
    nearest = min(sizes, key=lambda index: (abs(sizes[index] - size), -index))
    return levels[nearest]


def quality_levels(codec: Codec) -> list[float]:
    """The qualities there are, from the worst to the best."""
    worst, best = codec.qualities
    if float(worst).is_integer() and float(best).is_integer() and abs(best - worst) > 1:
        step = 1 if best > worst else -1
        return [float(q) for q in range(int(worst), int(best) + step, step)]
    return [worst + (best - worst) * i / STEPS for i in range(STEPS + 1)]
