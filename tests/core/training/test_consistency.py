"""Training the consistency model: its schedule, its loss, and what one evaluation gains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from gesso.cards import ModelCard
from gesso.evaluation.perceptual import missing_dists, missing_lpips_alex
from gesso.runtime import Runtime
from gesso.training.consistency import (
    ConsistencyConfig,
    ConsistencyTrainer,
    earlier_level,
    train_consistency,
)

CPU = Runtime("cpu")
NETWORK = {"channels": (8, 16), "window": 4, "embedding": 16, "blocks": 1}
missing = missing_lpips_alex() or missing_dists()


@pytest.fixture
def config(tmp_path: Path) -> ConsistencyConfig:
    (tmp_path / "data").mkdir()
    Image.fromarray(data.coffee()[:256, :256]).save(tmp_path / "data" / "coffee.png")
    return ConsistencyConfig(
        data=str(tmp_path / "data"), out=str(tmp_path / "run"), steps=12, batch=2, crop=32,
        warmup=2, every=6, ema=0.9, lpips=0.0, network=NETWORK,
    )  # fmt: skip


@given(st.floats(0.002, 0.6), st.integers(2, 12))
def test_pairs_draw_nearer_with_every_stage(sigma: float, stage: int) -> None:
    level = torch.tensor([sigma], dtype=torch.float64)
    lower, next_lower = earlier_level(level, stage), earlier_level(level, stage + 1)
    assert 0 <= lower < level and lower <= next_lower < level
    # n(t) lies between 1 + 8 sigmoid(-0.6) and 5
    if stage > 3:
        assert 3.8 / 2**stage < 1 - lower / level < 5 / 2**stage


def test_the_first_stage_is_the_prior_s_own_objective() -> None:
    levels = torch.linspace(0.01, 0.5, 20)
    assert not earlier_level(levels, 2).any()


def test_stages_rise_evenly_over_the_run(config: ConsistencyConfig) -> None:
    trainer = ConsistencyTrainer(replace(config, steps=60, stages=6), CPU)
    seen = []
    for step in range(60):
        trainer.step = step
        seen.append(trainer.stage)
    assert [seen.count(stage) for stage in range(2, 8)] == [10] * 6


def test_no_gradient_reaches_the_target(config: ConsistencyConfig) -> None:
    """With both levels equal in all but name the target is a constant of the loss."""
    trainer = ConsistencyTrainer(replace(config, steps=2, stages=12), CPU)
    trainer.read()
    trainer.step = 1
    mean, each, sigma = trainer.loss(*trainer.draw())
    assert mean.requires_grad and not each.requires_grad and not sigma.requires_grad
    mean.backward()
    assert all(p.grad is not None for p in trainer.network.parameters())


def test_it_learns(config: ConsistencyConfig) -> None:
    records = []
    long = replace(config, steps=160, every=40, stages=0, lr=3e-3)
    train_consistency(long, CPU, log=records.append)
    losses = [record["loss"] for record in records if "lr" in record]
    assert losses[-1] < 0.93 * losses[0]


@pytest.mark.skipif(missing is not None, reason=str(missing))
def test_perceptual_distances_choose_the_weights(config: ConsistencyConfig) -> None:
    card = ModelCard.read(
        train_consistency(replace(config, val=config.data, steps=1, lpips=0.5), CPU)
    )
    found = card.figures["training"]["validation"]
    assert set(found) == {"lpips 0.1", "dists 0.1", "lpips 0.2", "dists 0.2"}
    assert card.figures["training"]["score"] == pytest.approx(-sum(found.values()) / 4, abs=1e-4)
    assert (card.name, card.role) == ("consistency", "prior")
    assert "--lpips" not in card.recipe and "--val data" in card.recipe
