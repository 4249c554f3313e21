"""Training the estimator: it gains on decodes, it resumes bit for bit, its card names codecs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from skimage import data

from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso.runtime import Runtime
from gesso.training.posterior_mean import (
    PosteriorMeanConfig,
    PosteriorMeanTrainer,
    train_posterior_mean,
)
from gesso.training.prior import PriorConfig, train_prior

CPU = Runtime("cpu")
NETWORK = {"channels": (8, 16), "window": 4, "embedding": 16, "blocks": 1}


@pytest.fixture
def config(tmp_path: Path) -> PosteriorMeanConfig:
    (tmp_path / "data").mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(data, name)()[:280, :300]).save(tmp_path / "data" / f"{name}.png")
    folder = str(tmp_path / "data")
    return PosteriorMeanConfig(
        data=folder, val=folder, out=str(tmp_path / "run"), steps=6, batch=2, crop=32, lr=3e-3,
        warmup=2, every=3, ema=0.9, codecs=("jpeg", "jpeg", "webp"), network=NETWORK,
    )  # fmt: skip


def weights(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "diffusion_pytorch_model.safetensors")


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def test_it_learns_to_come_nearer_to_the_source(config: PosteriorMeanConfig) -> None:
    records = []
    long = replace(config, steps=150, every=150, batch=4, codecs=("jpeg",))
    train_posterior_mean(long, CPU, log=records.append)
    found = records[-1]["validation"]
    assert set(found) == {"jpeg 10", "jpeg 40"}
    # untrained, it returns the decode scaled by c_skip, which is far below 0
    assert found["jpeg 10"] > 0.05


def test_a_share_of_the_pictures_is_enlarged(config: PosteriorMeanConfig) -> None:
    trainer = PosteriorMeanTrainer(replace(config, enlarged=0.25), CPU)
    trainer.read()
    assert trainer.sampler.crops.enlarged == 0.25
    assert "--enlarged 0.25" in trainer.config.command()


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    config: PosteriorMeanConfig, tmp_path: Path
) -> None:
    whole = train_posterior_mean(config, CPU)
    broken = replace(config, out=str(tmp_path / "broken"))
    asked = iter([False, False, False, True])
    with pytest.raises(KeyboardInterrupt):
        train_posterior_mean(broken, CPU, stop=lambda: next(asked))
    assert same(weights(whole), weights(train_posterior_mean(broken, CPU)))


def test_the_card_names_its_codecs_and_its_command(config: PosteriorMeanConfig) -> None:
    card = ModelCard.read(train_posterior_mean(config, CPU))
    assert (card.role, card.settings["codecs"]) == ("estimator", ["jpeg", "webp"])
    assert card.recipe.startswith("gesso train posterior-mean data --val data --steps 6")
    assert "--codecs jpeg,jpeg,webp" in card.recipe
    assert card.make(CPU).labels == {"jpeg": 1, "webp": 2}


def test_it_begins_from_a_prior(config: PosteriorMeanConfig, tmp_path: Path) -> None:
    prior = train_prior(
        PriorConfig(
            config.data, str(tmp_path / "prior"), steps=2, batch=2, crop=32, network=NETWORK
        ),
        CPU,
    )
    begun = replace(config, out=str(tmp_path / "begun"), steps=1, lr=0.0, weight_decay=0.0)
    found = weights(train_posterior_mean(begun, CPU, start=prior))
    classes = found.pop("class_embedding.weight")
    assert classes.shape == (3, 16) and not classes.any()
    assert same(found, weights(prior))


def test_an_unknown_codec_raises(config: PosteriorMeanConfig) -> None:
    with pytest.raises(InputError, match="no codec named 'nonesuch'"):
        train_posterior_mean(replace(config, codecs=("nonesuch",)), CPU)
