"""How steady a video is: what changes where nothing moves, and along what moves.

Both are measured by the motion of a reference, the source where there is one, so that every
treatment of it is judged at the same places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from ffmpeg_gesso.motion import STILL, around, flow, luma, warp

__all__ = ["Motion", "Tally"]


@dataclass(frozen=True)
class Motion:
    """What moves from one frame to the next.

    Attributes:
        still: (H, W) bool, where nothing does.
        flow: (2, H, W), down and right: where each pixel of the first is in the second.
        seen: (H, W) bool, the pixels that are in both, as far as flows there and back agree.
    """

    still: Tensor
    flow: Tensor
    seen: Tensor

    @classmethod
    def between(cls, before: Tensor, after: Tensor) -> Motion:
        """Of two (3, H, W) frames in [0, 1].

        Raises:
            InputError: OpenCV is not installed.
        """
        one, other = luma(before), luma(after)
        still = around((one - other).abs(), 5) < STILL
        there, back = flow(one, other, thorough=True), flow(other, one, thorough=True)
        returned, inside = warp(back, there)
        # Sundaram, Brox and Keutzer (ECCV 2010): what does not come back was hidden.
        apart = (there + returned).square().sum(0)
        longest = there.square().sum(0) + returned.square().sum(0)
        return cls(still, there, inside & (apart < 0.01 * longest + 0.5))


class Tally:
    """Sums up how one treatment of a video changes from frame to frame."""

    def __init__(self) -> None:
        self._sums = [0.0, 0.0]
        self._counts = [0, 0]

    def add(self, before: Tensor, after: Tensor, motion: Motion) -> None:
        """Two (3, H, W) frames in [0, 1] that follow one another, and the reference's motion."""
        warped, _ = warp(after, motion.flow)
        pairs = ((after, motion.still), (warped, motion.seen))
        for place, (frame, where) in enumerate(pairs):
            change = (frame - before).abs().mean(0)
            self._sums[place] += float(change[where].double().sum())
            self._counts[place] += int(where.sum())

    @property
    def flicker(self) -> float:
        """Mean absolute change of samples where nothing moves, 255 is white; nan where all
        moves."""
        return self._mean(0)

    @property
    def warped_error(self) -> float:
        """The same between a frame and the next one, brought back along the motion."""
        return self._mean(1)

    def _mean(self, place: int) -> float:
        count = self._counts[place]
        return 255 * self._sums[place] / count if count else math.nan
