"""Training a prior of latents: what it reads, what it learns, the card that ties it to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data
from tests.core.conftest import own_autoencoder

from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso.runtime import Runtime
from gesso.space import space_of
from gesso.training.latent_prior import (
    LatentPriorConfig,
    LatentPriorTrainer,
    train_latent_prior,
)

CPU = Runtime("cpu", "fp32")
NETWORK = {"channels": (8, 16), "window": 4, "embedding": 16, "blocks": 1}


@pytest.fixture
def config(tmp_path: Path) -> LatentPriorConfig:
    (tmp_path / "data").mkdir()
    Image.fromarray(data.astronaut()[:260, 128:390]).save(tmp_path / "data" / "one.png")
    card = own_autoencoder(tmp_path / "autoencoder", scaling_factor=0.8, shift_factor=0.1)
    return LatentPriorConfig(
        data=str(tmp_path / "data"), val=str(tmp_path / "data"), out=str(tmp_path / "run"),
        steps=4, batch=4, crop=64, warmup=1, every=2, ema=0.9, network=NETWORK,
        autoencoder=str(card.folder),
    )  # fmt: skip


def test_what_it_learns_from_are_scaled_latents(config: LatentPriorConfig) -> None:
    trainer = LatentPriorTrainer(config, CPU)
    trainer.read()
    (crops,) = trainer.draw()
    assert crops.shape == (4, 4, 16, 16)
    # one picture at three sizes, each mirrored too
    assert len(trainer.latents) == 6
    model = trainer.autoencoder
    rgb = data.astronaut()[:260, 128:390][:260, :260]
    pixels = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        expected = (model.encode(pixels)[0] - model.shift) * model.scale
    torch.testing.assert_close(trainer.latents[0], expected)


def test_the_card_names_the_autoencoder(config: LatentPriorConfig) -> None:
    folder = train_latent_prior(config, CPU)
    card = ModelCard.read(folder)
    autoencoder = ModelCard.read(config.autoencoder)
    assert card.role == "prior"
    assert card.settings["autoencoder"]["sha256"] == autoencoder.sha256
    denoiser = card.make(CPU)
    assert space_of(denoiser).__class__.__name__ == "LatentSpace"
    with torch.inference_mode():
        found = denoiser(torch.zeros(1, 4, 16, 16), torch.full((1,), 0.5))
    assert found.shape == (1, 4, 16, 16)
    assert set(card.figures["training"]["validation"]) == {"0.1", "0.2", "0.4", "0.8"}


def test_it_learns(config: LatentPriorConfig) -> None:
    trainer = LatentPriorTrainer(replace(config, steps=200, lr=3e-3), CPU)
    trainer.read()
    before = trainer.validate()
    for _ in range(120):
        trainer.update(*trainer.draw())
    after = trainer.validate()
    assert all(after[sigma] > before[sigma] + 0.5 for sigma in ("0.4", "0.8"))


def test_a_crop_must_be_whole_windows_and_there(config: LatentPriorConfig) -> None:
    with pytest.raises(InputError, match="multiple of 32"):
        LatentPriorTrainer(replace(config, crop=48), CPU)
    trainer = LatentPriorTrainer(replace(config, crop=512), CPU)
    with pytest.raises(InputError, match="512 pixels wide"):
        trainer.read()


def test_the_command_says_how_to_train_it_again(config: LatentPriorConfig) -> None:
    words = replace(config, autoencoder="mine").command()
    assert words.startswith("gesso train prior --space latent data")
    assert "--autoencoder mine" in words
