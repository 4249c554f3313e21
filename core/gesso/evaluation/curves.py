"""Bjontegaard deltas between two rate curves, or the reason why there are none."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["FEWEST", "Delta", "delta"]

FEWEST = 5  # points a curve needs: with fewer, the interpolation decides the figure
WIDE = 0.75  # of the curves' joint range; below it the figure speaks for a part only


@dataclass(frozen=True)
class Delta:
    """What lies between two curves.

    Attributes:
        rate: percent of bits at equal quality; negative when the second curve saves bits.
        metric: change of the metric at equal bits, in its own unit and with its own sign.
        note: why a figure is missing, or on how much of the range it stands; may be empty.
    """

    rate: float | None
    metric: float | None
    note: str = ""


def delta(
    first: Sequence[tuple[float, float]],
    second: Sequence[tuple[float, float]],
    lower_is_better: bool,
) -> Delta:
    """Compare two curves of (bits per pixel, metric), by piecewise cubic interpolation.

    G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33,
    2001, with the monotone (PCHIP) interpolation of JVET's test conditions, computed by the
    package ``bjontegaard``. Metrics of which less is better are negated for the rate.
    """
    one, two = sorted(first), sorted(second)
    if min(len(one), len(two)) < FEWEST:
        count = min(len(one), len(two))
        return Delta(None, None, f"{count} qualities; BD figures need {FEWEST} or more")
    if not all(math.isfinite(value) for point in one + two for value in point):
        return Delta(None, None, "a point is infinite, as of a lossless coding")
    if not (_rises([bits for bits, _ in one]) and _rises([bits for bits, _ in two])):
        return Delta(None, None, "two qualities take equally many bits")

    sign = -1.0 if lower_is_better else 1.0
    notes = []
    metric, note = _integrate("bd_psnr", one, two, 1.0, [b for b, _ in one], [b for b, _ in two])
    notes.append(note and f"metric: {note}")
    goods = [sign * value for _, value in one], [sign * value for _, value in two]
    rate: float | None = None
    if not (_rises(goods[0]) and _rises(goods[1])):
        notes.append("rate: the metric does not improve with every step in bits")
    else:
        rate, note = _integrate("bd_rate", one, two, sign, *goods)
        notes.append(note and f"rate: {note}")
    return Delta(rate, metric, "; ".join(filter(None, notes)))


def _rises(values: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(values))


def _integrate(
    name: str,
    one: Sequence[tuple[float, float]],
    two: Sequence[tuple[float, float]],
    sign: float,
    axis1: Sequence[float],
    axis2: Sequence[float],
) -> tuple[float | None, str]:
    """The package's function ``name``, after a look at how far the axes overlap."""
    low, high = max(min(axis1), min(axis2)), min(max(axis1), max(axis2))
    joint = max(*axis1, *axis2) - min(*axis1, *axis2)
    if high <= low:
        return None, "the curves do not overlap"
    overlap = (high - low) / joint

    import bjontegaard  # draws in matplotlib, so only when it is needed

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Insufficient curve overlap")
        value = getattr(bjontegaard, name)(
            [bits for bits, _ in one],
            [sign * metric for _, metric in one],
            [bits for bits, _ in two],
            [sign * metric for _, metric in two],
            method="pchip",
            require_matching_points=False,
        )
    note = "" if overlap >= WIDE else f"the curves overlap on {100 * overlap:.0f} % of their range"
    return float(value), note
