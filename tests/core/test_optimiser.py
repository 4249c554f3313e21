"""Effort max: what comes out costs less by the real codec, within its bounds."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

import gesso
from gesso import Frame, InputError, ModelError, PreprocessOptions, Runtime, Target, codec
from gesso.cards import DEFAULTS, ModelCard
from gesso.codec import Codec, get_codec, register_codec
from gesso.evaluation.perceptual import dists_against, lpips_alex_against
from gesso.evaluation.ssimulacra2 import ssimulacra2
from gesso.optimiser import DESCENTS, LONG_JPEG, PATIENCE, Descent, _descend
from gesso.preprocessor import plan, preprocess_frame
from gesso.surrogates.rounding import straight_through
from gesso.trial import Trial

PHOTO = np.ascontiguousarray(data.astronaut()[56:120, 190:254])
TARGET = Target("jpeg", 20)
CPU = Runtime("cpu", "fp32")


def options(**given: Any) -> PreprocessOptions:
    return PreprocessOptions(effort="max", **{"steps": 8, "guard": False, **given})


def look(reference: Tensor, lpips: float = LONG_JPEG.lpips) -> Any:
    """LPIPS, DISTS and SSIMULACRA 2, weighted as in the descent."""
    one, two = lpips_alex_against(reference), dists_against(reference)
    return lambda decoded: (
        lpips * one(decoded).sum()
        + two(decoded).sum()
        + (100 - ssimulacra2(reference, decoded).sum()) / 200
    )


@dataclass(frozen=True)
class Opaque:
    """Knows its qualities, and nothing of gradients."""

    name: str = "opaque"
    extension: str = ".opaque"
    qualities: tuple[float, float] = (1.0, 100.0)

    def qp(self, quality: float) -> float:
        return 37.0


def cost(source: Tensor, picture: Tensor) -> float:
    """The distance, and the bits at their price."""
    trial = Trial(source, get_codec("jpeg"), look)
    tried = trial.code(picture, 20)
    return tried.distance + trial.price(20) * tried.bpp


def test_the_real_codec_agrees_that_it_is_better() -> None:
    frame = Frame.of(PHOTO)
    found = preprocess_frame(frame, TARGET, options(), CPU)
    assert cost(frame.rgb, found.rgb) < 0.97 * cost(frame.rgb, frame.rgb)
    again = preprocess_frame(frame, TARGET, options(), CPU)
    assert torch.equal(found.samples, again.samples)


def test_it_works_from_inference_mode_too() -> None:
    frame = Frame.of(PHOTO)
    expected = preprocess_frame(frame, TARGET, options(steps=2), CPU)
    with torch.inference_mode():
        found = preprocess_frame(Frame.of(PHOTO), TARGET, options(steps=2), CPU)
    assert torch.equal(found.samples, expected.samples)


def test_kind_size_and_alpha_come_back() -> None:
    rgba = np.dstack([PHOTO[:50, :60], np.arange(3000).reshape(50, 60) % 256]).astype(np.uint8)
    found = gesso.preprocess(rgba, "jpeg", 20, effort="max", steps=2, runtime=CPU)
    assert (found.shape, found.dtype) == (rgba.shape, rgba.dtype)
    assert np.array_equal(found[..., 3], rgba[..., 3])


def test_a_grey_picture_is_moved_along_grey() -> None:
    grey = np.ascontiguousarray(PHOTO[..., 1])
    found = gesso.preprocess(grey, "jpeg", 20, effort="max", steps=2, guard=False, runtime=CPU)
    assert found.shape == grey.shape and not np.array_equal(found, grey)
    source = Frame.of(grey)
    assert cost(source.rgb, Frame.of(found).rgb) < cost(source.rgb, source.rgb)


def test_strength_mixes_and_zero_is_the_picture_itself() -> None:
    frame = Frame.of(PHOTO)
    full, half, none = (
        preprocess_frame(frame, TARGET, options(strength=s, steps=2), CPU) for s in (1, 0.5, 0)
    )
    assert none is frame
    torch.testing.assert_close(half.rgb, (full.rgb + frame.rgb) / 2, atol=1 / 255, rtol=0)
    assert not torch.equal(full.samples, frame.samples)


def test_progress_counts_the_steps_of_all_tiles() -> None:
    done: list[tuple[int, int]] = []
    runtime = Runtime("cpu", "fp32", progress=lambda now, whole: done.append((now, whole)))
    wide = Frame.of(np.zeros((16, 600, 3), np.uint8))
    preprocess_frame(wide, TARGET, options(steps=2), runtime)
    assert done == [(i, 4) for i in range(1, 5)]


def test_it_ends_in_time() -> None:
    done: list[int] = []
    runtime = Runtime("cpu", "fp32", progress=lambda now, _: done.append(now))
    frame = Frame.of(PHOTO)
    found = preprocess_frame(frame, TARGET, options(steps=1000, seconds=0.001), runtime)
    assert len(done) < 5
    assert found.samples.shape == frame.samples.shape


def test_tiles_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock here ticks once whenever it is looked at."""
    monkeypatch.setattr("gesso.optimiser.time.monotonic", count().__next__)
    done: list[int] = []
    runtime = Runtime("cpu", "fp32", progress=lambda now, _: done.append(now))
    wide = Frame.of(np.tile(PHOTO[:16], (1, 15, 1)))
    found = preprocess_frame(wide, TARGET, options(steps=100, seconds=20), runtime)
    assert 10 < len(done) <= 20
    moved = (found.samples != wide.samples).any(2).any(1)[0]
    assert moved[:400].any() and moved[600:].any()


def test_a_codec_without_gradient_is_named() -> None:
    register_codec(cast(Codec, Opaque()))
    try:
        with pytest.raises(InputError, match=r"opaque has no gradient;.*one of: .*jpeg"):
            preprocess_frame(Frame.of(PHOTO), Target("opaque", 20), options(), CPU)
    finally:
        codec._registry.pop("opaque")


@pytest.mark.parametrize(("name", "quality"), [("webp", 40), ("avif", 30)])
def test_others_are_prepared_through_hevc_s_surrogate(name: str, quality: float) -> None:
    frame = Frame.of(PHOTO)
    found = preprocess_frame(frame, Target(name, quality), options(steps=8), CPU)
    trial = Trial(frame.rgb, get_codec(name), partial(look, lpips=DESCENTS["max"].lpips))
    plain, tried = trial.code(frame.rgb, quality), trial.code(found.rgb, quality)
    price = trial.price(quality)
    assert tried.distance + price * tried.bpp < plain.distance + price * plain.bpp


def descended(cost: Callable[[Tensor], Tensor], steps: int, momentum: float = 0.0) -> Tensor:
    start = torch.full((1, 1, 64, 64), 0.1)
    return _descend(cost, start, Descent(steps, 1.0, momentum), math.inf, lambda: None)


def test_a_step_that_costs_more_is_not_taken() -> None:
    """With a slope that points the wrong way nothing is moved."""
    found = descended(lambda x: straight_through(-x.sum(), x.sum()), 12)
    assert torch.equal(found, torch.full_like(found, 0.1))


def test_blocks_that_lead_down_are_found_among_those_that_do_not() -> None:
    """Where the slope is wrong in three of four blocks, the whole of it leads up."""
    right = torch.zeros(1, 1, 64, 64)
    right[..., :32, :32] = 1

    def cost(x: Tensor) -> Tensor:
        claimed = (x * (2 * right - 1)).sum()
        return straight_through(claimed, x.sum())

    assert torch.equal(descended(cost, PATIENCE), torch.full_like(right, 0.1))
    found = descended(cost, 40)
    assert float(found.sum()) < 0.1 * right.numel()
    assert float(found[..., :32, :32].mean()) < 0.1


def test_momentum_gets_further_along_a_narrow_valley() -> None:
    """A hundred times steeper across than along, the slope alone goes from side to side."""
    across = torch.ones(1, 1, 64, 64)
    across[..., ::2] = 0.1

    def cost(x: Tensor) -> Tensor:
        return (across * x).square().sum()

    alone, kept = (float(cost(descended(cost, 60, momentum))) for momentum in (0.0, 0.6))
    assert kept < 0.8 * alone


def test_a_few_steps_are_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "preprocessor", "none of this name")
    medium = DESCENTS["medium"]
    assert plan(PreprocessOptions(), "jpeg") == (None, medium)
    assert plan(PreprocessOptions(effort="max"), "jpeg") == (None, LONG_JPEG)
    assert plan(PreprocessOptions(effort="max"), "webp") == (None, DESCENTS["max"])
    fewer = PreprocessOptions(effort="medium", steps=2)
    assert plan(fewer, "jpeg") == (None, replace(medium, steps=2))
    with pytest.raises(ModelError, match="efforts medium and max do without"):
        plan(PreprocessOptions(effort="fast"), "jpeg")
    with pytest.raises(ModelError, match="no preprocessor named 'mine'"):
        plan(PreprocessOptions(model="mine"), "jpeg")


def test_the_default_model_is_for_where_nothing_better_can_be_had(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = replace(ModelCard.read(tiny_folder), role="preprocessor", settings={"codecs": ["hevc"]})
    monkeypatch.setattr("gesso.cards._registry", {"tiny": card})
    monkeypatch.setitem(DEFAULTS, "preprocessor", "tiny")
    assert plan(PreprocessOptions(), "webp") == (None, DESCENTS["medium"])
    assert plan(PreprocessOptions(), "heic") == (card, None)
    assert plan(PreprocessOptions(effort="fast"), "webp") == (card, None)
    assert plan(PreprocessOptions(model="tiny"), "webp") == (card, None)
    effort = PreprocessOptions(model="tiny", effort="medium")
    assert plan(effort, "webp") == (card, DESCENTS["medium"])
    monkeypatch.setattr("gesso.evaluation.perceptual.missing_dists", lambda: "no weights")
    assert plan(PreprocessOptions(), "webp") == (card, None)
    assert plan(PreprocessOptions(), "jpeg") == (None, DESCENTS["medium"])


def test_networks_that_are_not_here_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ModelError, match=r"looks through LPIPS and DISTS: .*gesso\[ev"):
        preprocess_frame(Frame.of(PHOTO), TARGET, options(), CPU)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"effort": "most"}, "effort must be one of fast, medium, max"),
        ({"steps": 0}, "steps must be in"),
        ({"seconds": 0}, "seconds must be positive"),
    ],
)
def test_wrong_options_are_named(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        PreprocessOptions(**wrong)
