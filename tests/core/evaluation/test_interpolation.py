"""Interpolation mixes its ends by weight; what is kept is made once."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from gesso.codec import Codec, get_codec
from gesso.evaluation.interpolation import Interpolated, Kept

JPEG = get_codec("jpeg")
GREY = Image.new("RGB", (4, 4), (100, 100, 100))


def constant(level: int) -> Image.Image:
    return Image.new("RGB", (4, 4), (level, level, level))


def dark(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return constant(10)


def light(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
    return constant(211)


@given(st.floats(0, 1))
def test_it_is_the_weighted_mean_rounded(weight: float) -> None:
    mixed = np.asarray(Interpolated(dark, light, weight)(b"", GREY, JPEG, 10))
    assert np.abs(mixed - (10 + 201 * weight)).max() <= 0.5 + 1e-9


def test_its_ends_are_the_ends() -> None:
    for weight, end in ((0.0, 10), (1.0, 211)):
        mixed = Interpolated(dark, light, weight)(b"", GREY, JPEG, 10)
        assert mixed.tobytes() == constant(end).tobytes()


def test_what_is_kept_is_made_once_for_a_file_and_quality() -> None:
    made: list[tuple[bytes, float]] = []

    def slow(data: bytes, decoded: Image.Image, codec: Codec, quality: float) -> Image.Image:
        made.append((data, quality))
        return constant(len(made))

    kept = Kept(slow)
    calls = [(b"a", 10), (b"a", 10), (b"a", 20), (b"b", 20), (b"b", 20), (b"a", 10)]
    pictures = [kept(data, GREY, JPEG, quality) for data, quality in calls]
    assert made == [(b"a", 10), (b"a", 20), (b"b", 20), (b"a", 10)]
    assert pictures[0] is pictures[1] and pictures[2] is not pictures[1]
    assert len(kept.memory) == 1


@pytest.mark.parametrize("picklable", [Kept(dark), Interpolated(dark, Kept(light), 0.5)])
def test_they_reach_other_processes(picklable: object, spawnable: None) -> None:
    assert pickle.loads(pickle.dumps(picklable)) == picklable
