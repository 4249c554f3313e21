"""Bjontegaard figures have the right size, sign and conscience."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gesso.evaluation.curves import delta

BITS = (0.2, 0.3, 0.45, 0.7, 1.1)
QUALITY = [(b, 30 + 5 * math.log2(b)) for b in BITS]
DISTANCE = [(b, 0.3 - 0.08 * math.log2(b)) for b in BITS]


def test_a_curve_against_itself_is_zero() -> None:
    assert delta(QUALITY, QUALITY, lower_is_better=False).rate == pytest.approx(0, abs=1e-9)
    assert delta(DISTANCE, DISTANCE, lower_is_better=True).metric == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("curve", "lower"), [(QUALITY, False), (DISTANCE, True)])
@given(share=st.floats(0.7, 1.4))
def test_the_same_quality_at_a_share_of_the_bits_is_that_percentage(
    curve: list[tuple[float, float]], lower: bool, share: float
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


def test_the_sign_follows_what_is_better() -> None:
    lifted = [(bits, value + 0.05) for bits, value in DISTANCE]
    worse, better = delta(DISTANCE, lifted, True), delta(lifted, DISTANCE, True)
    assert worse.rate is not None and better.rate is not None
    assert better.rate < 0 < worse.rate


def test_points_may_come_in_any_order() -> None:
    other = [(0.8 * b, v) for b, v in QUALITY]
    assert delta(QUALITY[::-1], other, False) == delta(QUALITY, other[::-1], False)


def test_fewer_than_five_points_give_no_figure_but_the_reason() -> None:
    found = delta(QUALITY[:4], QUALITY[:4], lower_is_better=False)
    assert (found.rate, found.metric) == (None, None)
    assert found.note == "4 qualities; BD figures need 5 or more"


def test_curves_apart_give_no_rate_but_the_metric() -> None:
    lifted = [(bits, value + 100) for bits, value in QUALITY]
    found = delta(QUALITY, lifted, lower_is_better=False)
    assert found.rate is None
    assert found.metric == pytest.approx(100)
    assert found.note == "rate: the curves do not overlap"


def test_a_metric_that_falls_with_bits_gives_no_rate() -> None:
    bent = [*QUALITY[:2], (0.45, 20.0), *QUALITY[3:]]
    found = delta(QUALITY, bent, lower_is_better=False)
    assert found.rate is None
    assert found.metric is not None
    assert "does not improve with every step" in found.note


def test_a_narrow_overlap_is_said() -> None:
    lifted = [(bits, value + 8) for bits, value in QUALITY]
    found = delta(QUALITY, lifted, lower_is_better=False)
    assert found.rate is not None
    # both curves span 12.3 dB, 8 dB apart: they share 4.3 of 20.3
    assert found.note == "rate: the curves overlap on 21 % of their range"


def test_infinite_points_and_equal_bits_give_the_reason() -> None:
    endless = [*QUALITY[:4], (1.1, math.inf)]
    assert "infinite" in delta(QUALITY, endless, False).note
    level = [*QUALITY[:4], (0.7, 31.0)]
    assert "equally many bits" in delta(level, level, False).note
