"""The strength of a filter follows the rate index, whatever the codec."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.evaluation.peers import at_strength
from gesso.evaluation.peers.tuned import TunedAfter, TunedBefore
from gesso.evaluation.pipeline import Peer

JPEG, WEBP = get_codec("jpeg"), get_codec("webp")
STRENGTHS = ((20.0, 1.0), (40.0, 5.0))


def darker(image: Image.Image, strength: float) -> Image.Image:
    return image.point(lambda value: value - round(strength))


def test_strengths_are_interpolated_over_the_rate_index() -> None:
    tuned = TunedAfter(darker, STRENGTHS)
    assert tuned.strength(JPEG, 20) == pytest.approx(1 + 4 * (JPEG.qp(20) - 20) / 20)
    assert tuned.strength(WEBP, 20) == pytest.approx(1 + 4 * (WEBP.qp(20) - 20) / 20)


def test_strengths_hold_beyond_their_ends() -> None:
    tuned = TunedAfter(darker, STRENGTHS)
    assert (tuned.strength(JPEG, 100), tuned.strength(JPEG, 1)) == (1.0, 5.0)


@given(low=st.floats(1, 99), more=st.floats(0, 99))
def test_a_better_quality_is_never_filtered_more(low: float, more: float) -> None:
    tuned = TunedAfter(darker, STRENGTHS)
    assert tuned.strength(JPEG, min(100.0, low + more)) <= tuned.strength(JPEG, low) + 1e-9


def test_the_filter_stands_on_either_side_and_pickles() -> None:
    picture = Image.new("RGB", (8, 8), (100, 100, 100))
    before = pickle.loads(pickle.dumps(TunedBefore(darker, ((0.0, 7.0),))))
    after = pickle.loads(pickle.dumps(TunedAfter(darker, ((0.0, 7.0),))))
    expected = Image.new("RGB", (8, 8), (93, 93, 93))
    assert before(picture, JPEG, 30) == expected
    assert after(b"", picture, JPEG, 30) == expected


@pytest.mark.parametrize("role", ["before", "after"])
def test_one_strength_can_be_tried_at_every_rate(role: str) -> None:
    treatment = {"before": TunedBefore, "after": TunedAfter}[role](darker, STRENGTHS)
    peer = Peer("dark", "enhance", "darker", **{role: treatment})
    tried = at_strength(peer, 2.5)
    assert tried.name == "dark 2.5"
    found = getattr(tried, role)
    assert type(found) is type(treatment)
    assert {found.strength(JPEG, quality) for quality in (1, 50, 100)} == {2.5}


def test_a_peer_without_strength_is_refused() -> None:
    with pytest.raises(InputError, match="plain has no strength; leave it out with --only"):
        at_strength(Peer("plain", "enhance", "as it is"), 1)
