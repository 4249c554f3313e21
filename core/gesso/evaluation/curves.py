"""Bjontegaard deltas between two rate curves, or the reason why there are none."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

from gesso.errors import InputError

__all__ = ["FEWEST", "NARROW", "Delta", "Method", "delta"]

Method = Literal["pchip", "akima"]
Curve = Sequence[tuple[float, float]]

FEWEST = 4  # points a curve needs: VCEG-M33 and JVET's test conditions take four
NARROW = 0.5  # of the curves' joint range; a smaller overlap is said in the note
SHAKY = 1.0  # percentage points, or a tenth of the figure, that the interpolation may decide


@dataclass(frozen=True)
class Delta:
    """What lies between two curves.

    Attributes:
        rate: percent of bits at equal quality; negative when the second curve saves bits.
        metric: change of the metric at equal bits, in its own unit and with its own sign.
        note: why a figure is missing or not to be trusted; empty where there is nothing to say.
        overlap_rate: the range of the metric that ``rate`` averages over, as a fraction of
            the range that the curves span together; 0 where they do not meet, None where
            there is no range to speak of.
        overlap_metric: the same of the logarithm of the bits, for ``metric``.
    """

    rate: float | None
    metric: float | None
    note: str = ""
    overlap_rate: float | None = None
    overlap_metric: float | None = None


def delta(first: Curve, second: Curve, lower_is_better: bool, method: Method = "pchip") -> Delta:
    """Compare two curves of (bits per pixel, metric) in any order of points.

    G. Bjontegaard, "Calculation of average PSNR differences between RD-curves", VCEG-M33,
    2001, computed by the package ``bjontegaard``. Curves are interpolated over the logarithm
    of the bits: ``pchip`` is what JVET's test conditions use (JVET-T2010), ``akima`` what
    Herglotz et al., "Beyond Bjontegaard" (ICIP 2022), found closest to measured curves.

    Four points on each curve are enough, as in the field; where the other interpolation
    gives another rate, the note says so. The rate needs metrics that improve with every
    step in bits; the change of the metric does not.

    Raises:
        InputError: no such method.
    """
    if method not in get_args(Method):
        raise InputError(f"no method {method!r}; there are {', '.join(get_args(Method))}")
    sign = -1.0 if lower_is_better else 1.0
    # the package wants more to be better
    one, two = (sorted({(bits, sign * value) for bits, value in c}) for c in (first, second))
    if reason := _unusable(one, two):
        return Delta(None, None, reason)
    bits = [[math.log10(b) for b, _ in curve] for curve in (one, two)]
    goods = [[value for _, value in curve] for curve in (one, two)]

    overlap_metric = _overlap(*bits)
    metric, reason = _integrate("bd_psnr", one, two, overlap_metric, method)
    notes = [reason and f"metric: {reason}"]
    falls = [_fall(curve) for curve in (one, two)]
    overlap_rate, rate = None, None
    if any(falls):
        notes.append(f"rate: {_fallen(falls)}")
    else:
        overlap_rate = _overlap(*goods)
        rate, reason = _integrate("bd_rate", one, two, overlap_rate, method)
        notes.append(reason and f"rate: {reason}")
    if rate is not None:
        notes.append(_doubt(one, two, overlap_rate, method, rate))
    return Delta(
        rate,
        None if metric is None else sign * metric,
        "; ".join(filter(None, notes)),
        overlap_rate,
        overlap_metric,
    )


def _unusable(one: Curve, two: Curve) -> str:
    """Why no figure can be had of these sorted curves, or nothing."""
    count = min(len(one), len(two))
    if count < FEWEST:
        points = "1 point" if count == 1 else f"{count} points"
        return f"{points} on a curve; BD figures need {FEWEST} or more"
    if not all(math.isfinite(value) for point in (*one, *two) for value in point):
        return "a point is not finite, as of a lossless coding"
    if one[0][0] <= 0 or two[0][0] <= 0:
        return "a point takes no bits"
    for curve in (one, two):
        if any(math.log10(low) >= math.log10(high) for (low, _), (high, _) in pairwise(curve)):
            return "two points of a curve take equally many bits"
    return ""


def _fall(curve: Curve) -> tuple[float, float] | None:
    """The bits between which a sorted curve first fails to improve."""
    steps = ((a[0], b[0]) for a, b in pairwise(curve) if not a[1] < b[1])
    return next(steps, None)


def _fallen(falls: Sequence[tuple[float, float] | None]) -> str:
    curves = ("first", "second")
    where = [
        f"on the {name} curve from {fall[0]:.3g} to {fall[1]:.3g} bpp"
        for name, fall in zip(curves, falls, strict=True)
        if fall
    ]
    return f"the metric does not improve {' and '.join(where)}"


def _overlap(one: Sequence[float], two: Sequence[float]) -> float:
    """The range that both have over the range that either has."""
    shared = min(max(one), max(two)) - max(min(one), min(two))
    return max(0.0, shared / (max(*one, *two) - min(*one, *two)))


def _integrate(
    name: str, one: Curve, two: Curve, overlap: float, method: Method
) -> tuple[float | None, str]:
    """The package's function ``name``, and what must be said of it."""
    if overlap == 0:
        return None, "the curves do not overlap"
    import bjontegaard  # draws in matplotlib, so only when it is needed
    import numpy as np

    columns = (np.array(column) for curve in (one, two) for column in zip(*curve, strict=True))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        # the overlap is judged here, and what is not finite below
        warnings.simplefilter("ignore")
        value = float(
            getattr(bjontegaard, name)(*columns, method=method, require_matching_points=False)
        )
    if not math.isfinite(value):
        return None, "the points lie too close together to be interpolated"
    narrow = f"the curves overlap on {100 * overlap:.0f} % of their range"
    return value, narrow if overlap < NARROW else ""


def _doubt(one: Curve, two: Curve, overlap: float | None, method: Method, rate: float) -> str:
    """What to say where another interpolation gives another rate: the points are too few."""
    other: Method = "akima" if method == "pchip" else "pchip"
    value, _ = _integrate("bd_rate", one, two, overlap or 0.0, other)
    if value is None or abs(value - rate) <= max(SHAKY, abs(rate) / 10):
        return ""
    return f"rate: too few points decide it, {other} gives {value:+.1f} %"
