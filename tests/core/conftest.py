"""Tiny models with random weights: every mechanism of real ones at a thousandth of their cost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderTiny

from gesso import cards
from gesso.cards import ModelCard, register_model
from gesso.unet import WindowUNet

NOISE = {
    "jpeg": [[5, -1.3, 0.3, -2.0], [50, -1.5, 0.5, -0.4], [95, -2.8, 0.5, 1.4]],
    "webp": [[5, -1.0, 0.4, -2.3], [95, -3.1, 0.4, 1.0]],
}


def tiny_network(seed: int = 0, **config: object) -> WindowUNet:
    """A U-Net whose zero-initialised layers are filled, so that all of it takes part."""
    torch.manual_seed(seed)
    network = WindowUNet(**({"channels": (8, 16), "window": 4, "embedding": 16, **config}))
    for parameter in network.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network


def tiny_autoencoder(seed: int = 0, **config: Any) -> AutoencoderTiny:
    """One latent sample for 4 x 4 pixels."""
    torch.manual_seed(seed)
    stated = {
        "encoder_block_out_channels": (8, 8, 8),
        "decoder_block_out_channels": (8, 8, 8),
        "num_encoder_blocks": (1, 1, 1),
        "num_decoder_blocks": (1, 1, 1),
    }
    return AutoencoderTiny(**(stated | config))


def own_autoencoder(folder: Path, seed: int = 0, **config: Any) -> ModelCard:
    """A folder of weights in fp16, with its card."""
    tiny_autoencoder(seed, **config).half().save_pretrained(folder)
    ModelCard(
        name="tiny-autoencoder",
        role="autoencoder",
        factory="gesso.autoencoder:load_autoencoder",
        folder=folder,
        weights="diffusion_pytorch_model.safetensors",
        sha256="",
    ).write()
    return ModelCard.read(folder)


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, by name or as a folder, is forgotten after it."""
    monkeypatch.setattr(cards, "_registry", dict(cards._registry))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A diffusers model folder with its card."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_network().save_pretrained(folder)
    ModelCard(
        name="tiny",
        role="prior",
        factory="gesso.denoiser:load_prior",
        folder=folder,
        weights="diffusion_pytorch_model.safetensors",
        sha256="",
        settings={
            "noise": NOISE,
            "noise_scale": {"decoded": 1.5},
            "presets": {"fast": {"steps": 1}, "medium": {"steps": 2}},
        },
    ).write()
    return folder


@pytest.fixture
def tiny(tiny_folder: Path) -> Iterator[ModelCard]:
    """The tiny prior, registered under the name ``tiny``."""
    card = ModelCard.read(tiny_folder)
    register_model(card)
    yield card
    cards._registry.pop("tiny")


@pytest.fixture
def training_free(monkeypatch: pytest.MonkeyPatch) -> None:
    """No estimator is there: a tiny prior's tiles are too small for the embedded one."""
    monkeypatch.setattr("gesso.enhancer.models", lambda role: {})
