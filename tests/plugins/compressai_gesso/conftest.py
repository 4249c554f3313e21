"""Tiny networks with random weights, a fake torch hub, and a small photograph."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data

from compressai_gesso.recipe import LAMBDAS, HyperpriorConfig
from compressai_gesso.training import HyperpriorTrainer
from gesso.runtime import Runtime


@pytest.fixture(scope="session")
def photo() -> Image.Image:
    """Part of a photograph, 96 x 80."""
    return Image.fromarray(data.astronaut()[40:120, 180:276])


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with hyperpriors 1 to 4 as `gesso train hyperprior` writes them, untrained."""
    folder = tmp_path_factory.mktemp("hyperpriors")
    for quality in LAMBDAS:
        config = HyperpriorConfig("data", "", quality=quality, channels=8, latents=12, seed=3)
        HyperpriorTrainer(config, Runtime("cpu", "fp32")).export(
            folder / f"hyperprior-{quality}", {}
        )
    return folder


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where CompressAI's own downloads would be; empty, and the user names no other place."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.delenv("GESSO_COMPRESSAI", raising=False)
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder
