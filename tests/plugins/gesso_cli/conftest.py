"""The command in this process, a tiny prior, and small pictures of every kind."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner, Result

from gesso import cards
from gesso.cards import ModelCard
from gesso.unet import WindowUNet
from gesso_cli.app import build
from gesso_cli.demo import photograph

Run = Callable[..., Result]

NOISE = {
    "jpeg": [[5, -1.3, 0.3, -2.0], [50, -1.5, 0.5, -0.4], [95, -2.8, 0.5, 1.4]],
    "webp": [[5, -1.0, 0.4, -2.3], [95, -3.1, 0.4, 1.0]],
    "avif": [[5, 1.1, 0.7, -3.7], [95, -3.0, 0.5, 1.2]],
}


@pytest.fixture(autouse=True)
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command registers is forgotten; no plug-in but gesso's own takes part."""
    monkeypatch.setattr(cards, "_registry", dict(cards._registry))
    monkeypatch.delenv("GESSO_DEBUG", raising=False)


@pytest.fixture
def run() -> Run:
    """``run("models", "--json")``: the command's output and exit code."""

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(build(), [str(argument) for argument in arguments])

    return call


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a prior with random weights, at a thousandth of a real one's cost."""
    torch.manual_seed(0)
    network = WindowUNet(channels=(8, 16), window=4, embedding=16)
    for parameter in network.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.05)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    network.save_pretrained(folder)
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
def model(tiny: Path, tmp_path: Path) -> Path:
    """A copy of it that a command may write to."""
    return Path(shutil.copytree(tiny, tmp_path / "model"))


@pytest.fixture(scope="session")
def pixels() -> NDArray[Any]:
    """Part of a photograph, (72, 96, 3) uint8."""
    return np.ascontiguousarray(np.asarray(photograph("astronaut"))[20:92, 180:276])


@pytest.fixture
def photo(tmp_path: Path, pixels: NDArray[Any]) -> Path:
    """A JPEG file of quality 20."""
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path, quality=20)
    return path
