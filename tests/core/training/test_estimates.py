"""Posterior means of real decodes, drawn as crops and of whole held-out pictures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage import data

from gesso.codec import get_codec
from gesso.estimator import nominal_error
from gesso.target import Target
from gesso.training.decoded import decodes_of, targets_of
from gesso.training.estimates import EstimateSampler


@dataclass
class Recipe:
    data: str
    codecs: tuple[str, ...] = ("webp", "jpeg")
    crop: int = 32
    seed: int = 3
    enlarged: float = 0.25


@dataclass
class Watching:
    """Gives decodes back, and remembers what it was told of them."""

    device = torch.device("cpu")
    labels: dict[str, int] = field(default_factory=lambda: {"jpeg": 7})
    told: list[tuple[float, int]] = field(default_factory=list)

    def __call__(
        self, decoded: torch.Tensor, level: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        self.told += zip(level.tolist(), label.tolist(), strict=True)
        return decoded * 2


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    Image.fromarray(data.coffee()[:128, :128]).save(tmp_path / "coffee.png")
    return Recipe(str(tmp_path))


def sampler(recipe: Recipe) -> tuple[EstimateSampler, Any]:
    watching: Any = Watching()
    return EstimateSampler(recipe, watching), watching


def test_the_estimator_is_told_codec_and_rate(recipe: Recipe) -> None:
    drawn, watching = sampler(recipe)
    sources, estimates = drawn.draw(40, 0)
    assert sources.shape == estimates.shape == (40, 3, 32, 32)
    assert estimates.min() >= -1 and estimates.max() <= 1
    # WebP is unknown to it, and so any other codec.
    assert {label for _, label in watching.told} == {0, 7}
    low, high = nominal_error(20), nominal_error(50)
    assert all(0.9 * low < level < 1.1 * high for level, _ in watching.told)


def test_a_step_draws_the_same_again(recipe: Recipe) -> None:
    one, two = (sampler(recipe)[0].draw(4, 5) for _ in range(2))
    other = sampler(recipe)[0].draw(4, 6)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one[0], other[0])
    assert sampler(recipe)[0].sampler.crops.enlarged == 0.25


def test_held_out_pictures_are_coded_once_a_codec(recipe: Recipe) -> None:
    drawn, watching = sampler(recipe)
    crops = torch.linspace(-0.4, 0.4, 32 * 32).reshape(32, 32).repeat(3, 3, 1, 1)
    found = drawn.held_out(crops)
    assert set(found) == {"webp 1", "jpeg 10"}
    decodes = decodes_of(crops, Target("jpeg", 10))
    assert torch.equal(found["jpeg 10"], (decodes * 2).clamp(-1, 1))
    told = (pytest.approx(nominal_error(get_codec("jpeg").qp(10))), 7)
    assert watching.told[-3:] == [told] * 3


def test_targets_are_the_qualities_nearest_to_a_rate_index() -> None:
    assert targets_of(["jpeg", "webp"], [44.4, 34.9]) == [
        Target("jpeg", 10), Target("jpeg", 40), Target("webp", 1), Target("webp", 28),
    ]  # fmt: skip
