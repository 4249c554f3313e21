"""Bjontegaard figures have the right size, sign and conscience."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from gesso.errors import InputError
from gesso.evaluation.curves import Method, delta

Curve = list[tuple[float, float]]

BITS = (0.2, 0.3, 0.45, 0.7, 1.1)
QUALITY = [(b, 30 + 5 * math.log2(b)) for b in BITS]
DISTANCE = [(b, 0.3 - 0.08 * math.log2(b)) for b in BITS]
METHODS = pytest.mark.parametrize("method", ["pchip", "akima"])

# The examples of the JCT-VC spreadsheet, as Netflix' VMAF tests its calculator with them.
PUBLISHED = [
    (
        [(108048.8736, 43.6471), (61279.976, 40.3953), (33905.6656, 37.247), (18883.6928, 34.2911)],
        [
            (108061.2784, 43.6768),
            (61299.9936, 40.4232),
            (33928.7472, 37.2761),
            (18910.912, 34.3147),
        ],
        -0.465215420752807,
    ),
    (
        [(40433.8848, 37.5761), (7622.7456, 35.3756), (2394.488, 33.8977), (1017.6184, 32.0603)],
        [(40370.12, 37.5982), (7587.0024, 35.4025), (2390.0944, 33.9194), (1017.0984, 32.0822)],
        -1.8779823450567612,
    ),
]


@st.composite
def curves(draw: st.DrawFn, least: int = 3) -> Curve:
    """Curves such as codecs have: more bits, a better metric, in steps of any size."""
    steps = draw(st.lists(st.tuples(st.floats(0.05, 1), st.floats(0.1, 5)), min_size=least))
    start = draw(st.floats(-3, 1)), draw(st.floats(10, 30))
    logs, values = (
        np.cumsum([s, *column]) for s, column in zip(start, zip(*steps, strict=True), strict=True)
    )
    return [(float(2**bits), float(value)) for bits, value in zip(logs, values, strict=True)]


@pytest.mark.parametrize(("first", "second", "rate"), PUBLISHED)
def test_published_examples(first: Curve, second: Curve, rate: float) -> None:
    assert delta(first, second, lower_is_better=False).rate == pytest.approx(rate, abs=1e-10)


def mean_gap(
    method: Method, axes: list[NDArray[np.float64]], heights: list[NDArray[np.float64]]
) -> float | None:
    """Midpoint rule over what two curves share: the second's mean height less the first's."""
    kind = {"pchip": PchipInterpolator, "akima": Akima1DInterpolator}[method]
    low, high = max(x[0] for x in axes), min(x[-1] for x in axes)
    if low >= high:
        return None
    at = low + (high - low) * (np.arange(20000) + 0.5) / 20000
    one, two = (float(kind(x, y)(at).mean()) for x, y in zip(axes, heights, strict=True))
    return two - one


@METHODS
@given(first=curves(), second=curves())
def test_figures_agree_with_an_integration_of_our_own(
    method: Method, first: Curve, second: Curve
) -> None:
    found = delta(first, second, False, method)
    columns = [np.array(curve).T for curve in (first, second)]
    logs, values = ([np.log(bits) for bits, _ in columns], [value for _, value in columns])
    metric = mean_gap(method, logs, values)
    gap = mean_gap(method, values, logs)
    rate = None if gap is None else 100 * (math.exp(gap) - 1)
    assert found.metric == (metric if metric is None else pytest.approx(metric, abs=1e-4))
    assert found.rate == (rate if rate is None else pytest.approx(rate, rel=1e-3, abs=1e-2))


@METHODS
@given(curve=curves())
def test_a_curve_against_itself_is_zero(method: Method, curve: Curve) -> None:
    found = delta(curve, curve, False, method)
    assert (found.rate, found.metric) == pytest.approx((0, 0), abs=1e-9)
    assert (found.overlap_rate, found.overlap_metric, found.note) == (1, 1, "")


@METHODS
@given(curve=curves())
def test_ten_percent_fewer_bits_are_ten_percent(method: Method, curve: Curve) -> None:
    other = [(0.9 * bits, value) for bits, value in curve]
    found = delta(curve, other, False, method)
    assert found.rate == pytest.approx(-10, abs=1e-6)
    assert found.overlap_rate == 1


@pytest.mark.parametrize(("curve", "lower"), [(QUALITY, False), (DISTANCE, True)])
@given(share=st.floats(0.7, 1.4))
def test_the_same_quality_at_a_share_of_the_bits_is_that_percentage(
    curve: Curve, lower: bool, share: float
) -> None:
    other = [(share * bits, value) for bits, value in curve]
    assert delta(curve, other, lower).rate == pytest.approx(100 * (share - 1), abs=1e-6)


@given(shift=st.floats(-0.05, 0.05))
def test_a_shift_of_the_metric_at_equal_bits_is_that_shift(shift: float) -> None:
    other = [(bits, value + shift) for bits, value in DISTANCE]
    found = delta(DISTANCE, other, lower_is_better=True)
    assert found.metric == pytest.approx(shift, abs=1e-9)
    assert found.rate is not None
    # a smaller distance at equal bits is the same as fewer bits at equal distance
    assert found.rate == pytest.approx(100 * (2 ** (shift / 0.08) - 1), rel=0.02, abs=1e-6)


@METHODS
@given(first=curves(), second=curves())
def test_there_and_back_is_nothing(method: Method, first: Curve, second: Curve) -> None:
    there, back = delta(first, second, False, method), delta(second, first, False, method)
    assert there.overlap_rate == back.overlap_rate
    if there.metric is not None and back.metric is not None:
        assert there.metric == pytest.approx(-back.metric, abs=1e-9)
    assume(there.rate is not None and back.rate is not None)
    assert there.rate is not None and back.rate is not None
    assert (1 + there.rate / 100) * (1 + back.rate / 100) == pytest.approx(1, rel=1e-6)


@given(first=curves(), second=curves(), random=st.randoms(use_true_random=False))
def test_points_may_come_in_any_order_and_twice(
    first: Curve, second: Curve, random: Random
) -> None:
    shuffled = [*first, first[0]]
    random.shuffle(shuffled)
    assert delta(shuffled, second[::-1], False) == delta(first, second, False)


@given(first=curves(), second=curves())
def test_less_is_better_is_the_same_with_the_sign_turned(first: Curve, second: Curve) -> None:
    up = delta(first, second, lower_is_better=False)
    turned = [[(bits, -value) for bits, value in curve] for curve in (first, second)]
    down = delta(*turned, lower_is_better=True)
    assert (down.rate, down.note) == (up.rate, up.note)
    assert down.metric == (None if up.metric is None else -up.metric)


def test_the_sign_follows_what_is_better() -> None:
    lifted = [(bits, value + 0.05) for bits, value in DISTANCE]
    worse, better = delta(DISTANCE, lifted, True), delta(lifted, DISTANCE, True)
    assert worse.rate is not None and better.rate is not None
    assert better.rate < 0 < worse.rate


def test_fewer_than_four_points_give_no_figure_but_the_reason() -> None:
    assert delta(QUALITY[:4], QUALITY, lower_is_better=False).rate is not None
    found = delta(QUALITY[:3], QUALITY, lower_is_better=False)
    assert (found.rate, found.metric) == (None, None)
    assert found.note == "3 points on a curve; BD figures need 4 or more"


def test_curves_apart_give_no_rate_but_the_metric() -> None:
    lifted = [(bits, value + 100) for bits, value in QUALITY]
    found = delta(QUALITY, lifted, lower_is_better=False)
    assert (found.rate, found.overlap_rate) == (None, 0)
    assert found.metric == pytest.approx(100)
    assert found.note == "rate: the curves do not overlap"


def test_a_metric_that_falls_with_bits_gives_no_rate_and_names_the_place() -> None:
    bent = [*QUALITY[:2], (0.45, 20.0), *QUALITY[3:]]
    found = delta(QUALITY, bent, lower_is_better=False)
    assert (found.rate, found.overlap_rate) == (None, None)
    assert found.metric is not None
    assert (
        found.note == "rate: the metric does not improve on the second curve from 0.3 to 0.45 bpp"
    )


def test_an_overlap_under_half_is_said() -> None:
    # a curve spans 12.3 dB; 3 dB apart they share 9.3 of 15.3, 8 dB apart 4.3 of 20.3
    near, far = ([(b, value + shift) for b, value in QUALITY] for shift in (3, 8))
    span = 5 * math.log2(1.1 / 0.2)
    found = delta(QUALITY, near, lower_is_better=False)
    assert found.overlap_rate == pytest.approx((span - 3) / (span + 3))
    assert found.note == ""
    found = delta(QUALITY, far, lower_is_better=False)
    assert found.rate is not None
    assert found.overlap_rate == pytest.approx((span - 8) / (span + 8))
    assert found.note == "rate: the curves overlap on 21 % of their range"


def test_the_overlap_of_the_bits_is_one_of_their_logarithm() -> None:
    other = [(2 * bits, value) for bits, value in QUALITY]
    found = delta(QUALITY, other, lower_is_better=False)
    span = math.log2(1.1 / 0.2)
    assert found.overlap_metric == pytest.approx((span - 1) / (span + 1))


def test_a_rate_that_the_interpolation_decides_says_so() -> None:
    steep = [(0.1, 20.0), (0.11, 30.0), (1.0, 30.5), (1.1, 40.0)]
    flat = [(0.1, 20.0), (0.4, 30.0), (0.9, 30.5), (1.1, 40.0)]
    found = delta(steep, flat, False)
    other = delta(steep, flat, False, "akima")
    assert found.rate is not None and other.rate is not None
    assert abs(found.rate - other.rate) > max(1, abs(found.rate) / 10)
    assert found.note == f"rate: too few points decide it, akima gives {other.rate:+.1f} %"
    assert other.note.endswith(f"pchip gives {found.rate:+.1f} %")


@pytest.mark.parametrize(
    ("point", "note"),
    [
        ((1.1, math.inf), "not finite"),
        ((1.1, math.nan), "not finite"),
        ((0.0, 10.0), "takes no bits"),
        ((0.7, 31.0), "equally many bits"),
    ],
)
def test_points_that_cannot_be_used_give_the_reason(point: tuple[float, float], note: str) -> None:
    curve = [*QUALITY[:4], point]
    for found in (delta(QUALITY, curve, False), delta(curve, QUALITY, False)):
        assert (found.rate, found.metric) == (None, None)
        assert note in found.note


@METHODS
@given(
    first=st.lists(st.tuples(st.floats(), st.floats()), max_size=8),
    second=st.lists(st.tuples(st.floats(), st.floats()), max_size=8),
)
def test_whatever_comes_in_a_missing_figure_has_its_reason(
    method: Method, first: Curve, second: Curve
) -> None:
    found = delta(first, second, True, method)
    assert found.rate is None or math.isfinite(found.rate)
    assert (found.rate is not None and found.metric is not None) or found.note


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(InputError, match="no method 'cubic'; there are pchip, akima"):
        delta(QUALITY, QUALITY, False, "cubic")  # type: ignore[arg-type]
