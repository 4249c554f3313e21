"""Distilling a generator: the loss by its formula, two networks in turn, both resumed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from gesso.cards import ModelCard, get_model
from gesso.evaluation.perceptual import missing_dists, missing_lpips_alex
from gesso.runtime import Runtime
from gesso.training.distill import (
    DistillConfig,
    DistillTrainer,
    cid_loss,
    karras_level,
    train_distill,
)
from gesso.training.prior import PriorConfig, train_prior

CPU = Runtime("cpu")
NETWORK = {"channels": (8, 16), "window": 4, "embedding": 16, "blocks": 1}
missing = missing_lpips_alex() or missing_dists()


@pytest.fixture
def config(tmp_path: Path) -> DistillConfig:
    (tmp_path / "data").mkdir()
    Image.fromarray(data.astronaut()[:256, 128:384]).save(tmp_path / "data" / "one.png")
    prior = PriorConfig(
        str(tmp_path / "data"), str(tmp_path / "base"), steps=2, batch=2, crop=64, network=NETWORK
    )
    teacher = train_prior(prior, CPU)
    return DistillConfig(
        data=str(tmp_path / "data"), out=str(tmp_path / "run"), steps=4, batch=2, crop=64,
        warmup=1, every=2, ema=0.9, codecs=("jpeg",), teacher=str(teacher), network=NETWORK,
    )  # fmt: skip


def test_the_loss_is_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    real, fake, clean = torch.randn(3, 2, 3, 4, 4, generator=generator)
    found = cid_loss(real, fake, clean, 0.7)
    for index in range(2):
        r, f, c = (x[index] for x in (real, fake, clean))
        weight = 1 / (c - r).abs().mean()
        expected = weight * ((r - f) * (r - c) - 0.7 * (r - f) ** 2).mean()
        torch.testing.assert_close(found[index], expected)


def test_equal_scores_have_nothing_to_say() -> None:
    real, clean = torch.randn(2, 1, 3, 4, 4)
    assert cid_loss(real, real, clean, 1.0).tolist() == [0.0]


def test_levels_run_along_karras_s_grid() -> None:
    levels = karras_level(torch.linspace(0, 1, 5), 0.002, 0.6)
    torch.testing.assert_close(levels[[0, -1]], torch.tensor([0.6, 0.002]))
    assert bool((levels.diff() < 0).all())


def test_generator_and_fake_score_move_and_the_teacher_does_not(config: DistillConfig) -> None:
    trainer = DistillTrainer(config, CPU)
    trainer.start_from(config.teacher)
    trainer.read()
    before = {
        name: {k: v.clone() for k, v in network.state_dict().items()}
        for name, network in (("teacher", trainer.teacher), ("fake", trainer.fake))
    }
    attention = {
        k: v.clone() for k, v in trainer.network.state_dict().items() if ".attentions." in k
    }
    for _ in range(2):
        trainer.update(*trainer.draw())
    teacher, fake = trainer.teacher.state_dict(), trainer.fake.state_dict()
    assert all(torch.equal(v, teacher[k]) for k, v in before["teacher"].items())
    assert not all(torch.equal(v, fake[k]) for k, v in before["fake"].items())
    moved = trainer.network.state_dict()
    assert not all(torch.equal(v, moved[k]) for k, v in attention.items())
    # and the loss of the generator leaves no gradient in the fake score
    assert all(p.requires_grad for p in trainer.fake.parameters())


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    config: DistillConfig, tmp_path: Path
) -> None:
    whole = train_distill(config, CPU, start=config.teacher)
    broken = replace(config, out=str(tmp_path / "broken"))
    asked = iter([False, False, True])
    with pytest.raises(KeyboardInterrupt):
        train_distill(broken, CPU, start=config.teacher, stop=lambda: next(asked))
    again = train_distill(broken, CPU)
    one, two = (load_file(model / "attention.safetensors") for model in (whole, again))
    assert one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


@pytest.mark.skipif(missing is not None, reason=str(missing))
def test_the_card(config: DistillConfig) -> None:
    model = train_distill(replace(config, val=config.data, steps=1), CPU, start=config.teacher)
    card = ModelCard.read(model)
    assert card.role == "preprocessor"
    assert card.settings["base_sha256"] == get_model(config.teacher, "prior").sha256
    assert set(card.figures["training"]["validation"]) == {
        "lpips 44.4", "dists 44.4", "lpips 34.9", "dists 34.9",
    }  # fmt: skip
