"""Latents as pictures have them: smooth parts, an edge, noise; and tiny priors of latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.core.conftest import NOISE, tiny_network

from gesso.cards import ModelCard

WEIGHTS = "diffusion_pytorch_model.safetensors"


def landscape(height: int, width: int, channels: int = 4, seed: int = 0) -> NDArray[np.uint8]:
    """(height, width, channels) bytes."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 6, (2, max(height, width), channels)).cumsum(1)
    values = 128 + steps[0, :height, None] + steps[1, None, :width]
    values[height // 2 :, width // 3 :] += random.normal(0, 40, channels)
    values += random.normal(0, 4, values.shape)
    return np.clip(values, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def latents() -> NDArray[np.uint8]:
    """(64, 64, 4): of a picture of 512 x 512."""
    return landscape(64, 64)


def own_prior(folder: Path, autoencoder: ModelCard, **config: Any) -> Path:
    tiny_network(in_channels=4, patch=1, **config).save_pretrained(folder)
    ModelCard(
        name="latent-prior",
        role="prior",
        factory="gesso.latent.prior:load_latent_prior",
        folder=folder,
        weights=WEIGHTS,
        sha256="",
        settings={
            "autoencoder": {"name": autoencoder.name, "sha256": autoencoder.sha256},
            "noise": NOISE,
            "presets": {"fast": {"steps": 1}, "medium": {"steps": 2}},
        },
    ).write()
    return folder
