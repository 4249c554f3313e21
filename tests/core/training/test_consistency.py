"""Training the consistency model: its schedule, its loss, and what one evaluation gains."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from gesso.cards import ModelCard
from gesso.errors import InputError
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
        warmup=2, every=6, ema=0.9, p_mean=-1.9, p_std=0.7, lpips=0.0, dists=0.0,
        adversarial=0.0, restored=0.0, network=NETWORK,
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


def test_it_goes_on_from_a_checkpoint_adversary_and_all(config: ConsistencyConfig) -> None:
    pulled = replace(config, adversarial=0.3, steps=8, every=4)
    whole = train_consistency(replace(pulled, out=config.out + "-whole"), CPU)
    asked = iter([False, False, False, True])
    with pytest.raises(KeyboardInterrupt):
        train_consistency(pulled, CPU, stop=lambda: next(asked))
    broken = train_consistency(pulled, CPU)
    one, two = (load_file(f / "diffusion_pytorch_model.safetensors") for f in (whole, broken))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_the_adversary_pulls_at_the_estimate(config: ConsistencyConfig) -> None:
    slopes = []
    for share in (0.0, 0.5):
        trainer = ConsistencyTrainer(replace(config, adversarial=share), CPU)
        trainer.read()
        mean, _, _ = trainer.loss(*trainer.draw())
        mean.backward()
        slopes.append(trainer.network.exit.weight.grad.clone())
    assert not torch.allclose(slopes[0], slopes[1])


class Halved:
    """A prior that makes pictures dimmer."""

    grid, device = 1, torch.device("cpu")

    def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        return x / 2


def test_a_share_of_the_batch_begins_from_estimates_and_aims_at_the_picture(
    config: ConsistencyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesso.training.consistency.load", lambda *_: Halved())
    trainer = ConsistencyTrainer(replace(config, restored=0.5, batch=4, p_mean=-4.6), CPU)
    clean = torch.full((4, 3, 32, 32), 0.8)
    begun, _, targeted = trainer._begun(clean)
    assert targeted.tolist() == [0, 0, 1, 1]
    assert torch.equal(begun[2:], clean[2:])
    assert float(begun[:2].mean()) == pytest.approx(0.4, abs=0.01)


class Dimmed:
    """An estimator that takes 0.25 off."""

    device = torch.device("cpu")
    labels: ClassVar[dict[str, int]] = {"jpeg": 1}

    def __call__(
        self, decoded: torch.Tensor, level: torch.Tensor, label: torch.Tensor
    ) -> torch.Tensor:
        assert label.eq(1).all() and float(level.min()) > 0.001 and float(level.max()) < 0.5
        return decoded - 0.25


def test_a_share_of_the_batch_begins_from_estimates_of_decodes(
    config: ConsistencyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesso.training.consistency.load", lambda *_: Dimmed())
    several = replace(config, decoded=0.5, codecs=("jpeg",), batch=64, val=config.data)
    trainer = ConsistencyTrainer(several, CPU)
    trainer.read()
    clean, estimates = trainer.draw()
    assert (len(clean), len(estimates)) == (64, 32)
    # The same picture, but for what the codec and the estimator did to it.
    dimmed = (clean[:32] - 0.25).clamp(-1, 1)
    assert float((dimmed - estimates).abs().mean()) < 0.07
    begun, sigma, targeted = trainer._begun(clean, estimates)
    assert targeted.tolist() == [0] * 32 + [1] * 32
    assert torch.equal(begun, torch.cat([estimates, clean[32:]]))
    share = sigma[:32] / (estimates - clean[:32]).square().mean((1, 2, 3)).sqrt()
    assert 0.39 < float(share.min()) < 0.7 and 1.5 < float(share.max()) < 2.51
    assert set(trainer.held_out) == {"jpeg 10"}
    assert torch.equal(trainer.draw()[1], estimates)  # a resumed run sees what another saw


def test_shares_may_round_to_more_than_a_batch(
    config: ConsistencyConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesso.training.consistency.load", lambda *_: Halved())
    trainer = ConsistencyTrainer(replace(config, restored=0.5, decoded=0.5, batch=3), CPU)
    clean = torch.zeros(3, 3, 32, 32)
    _, _, targeted = trainer._begun(clean, clean[:2] + 0.1)
    assert targeted.tolist() == [0, 0, 0]


def test_shares_that_exceed_a_batch_raise(config: ConsistencyConfig) -> None:
    with pytest.raises(InputError, match=r"--restored 0\.6 and --decoded 0\.5.*lower one"):
        ConsistencyTrainer(replace(config, restored=0.6, decoded=0.5), CPU)


@pytest.mark.skipif(missing is not None, reason=str(missing))
def test_perceptual_distances_choose_the_weights(config: ConsistencyConfig) -> None:
    card = ModelCard.read(
        train_consistency(replace(config, val=config.data, steps=1, lpips=0.5, dists=0.5), CPU)
    )
    found = card.figures["training"]["validation"]
    levels = ("0.03", "0.06", "0.1")
    assert set(found) == {f"{name} {level}" for name in ("lpips", "dists") for level in levels}
    assert card.figures["training"]["score"] == pytest.approx(-sum(found.values()) / 6, abs=1e-4)
    assert (card.name, card.role) == ("consistency", "prior")
    assert "--lpips 0.5" in card.recipe and "--val data" in card.recipe
