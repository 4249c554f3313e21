"""Models that remember what they were asked, and a latent codec of random weights."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.core.conftest import NOISE, tiny_autoencoder, tiny_network

import gesso_hooks
from gesso import cards
from gesso.cards import ModelCard
from gesso.frame import Frame
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.target import Target
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager

WEIGHTS = "diffusion_pytorch_model.safetensors"


class Model:
    """A plug-in that answers both hooks with ``change`` and remembers what it was asked."""

    def __init__(self, change: Callable[[Frame], Frame]) -> None:
        self.change = change
        self.asked: list[tuple[Target | None, PreprocessOptions | EnhanceOptions]] = []

    @hookimpl
    def gesso_before_encode(
        self, frame: Frame, target: Target, options: PreprocessOptions
    ) -> Frame:
        self.asked.append((target, options))
        return self.change(frame)

    @hookimpl
    def gesso_after_decode(
        self, frame: Frame, target: Target | None, options: EnhanceOptions
    ) -> Frame:
        self.asked.append((target, options))
        return self.change(frame)


@pytest.fixture
def plug() -> Iterator[Callable[[Callable[[Frame], Frame]], Model]]:
    """``plug(change)``: a model for this test."""
    there: list[Model] = []

    def plug(change: Callable[[Frame], Frame]) -> Model:
        there.append(Model(change))
        manager().register(there[-1])
        return there[-1]

    yield plug
    for model in there:
        manager().unregister(model)


def _autoencoder(folder: Path, name: str, seed: int, settings: dict[str, Any]) -> ModelCard:
    network: Any = tiny_autoencoder(seed)
    with torch.no_grad():  # an untrained one makes one latent of all, and paints it black
        network.encoder.layers[-1].weight.mul_(20)
        network.decoder.layers[-1].weight.mul_(20)
        network.decoder.layers[-1].bias.fill_(0.5)
    network.half().save_pretrained(folder)
    ModelCard(
        name=name,
        role="autoencoder",
        factory="gesso.autoencoder:load_autoencoder",
        folder=folder,
        weights=WEIGHTS,
        sha256="",
        settings=settings,
    ).write()
    return ModelCard.read(folder)


@pytest.fixture(scope="session")
def latent_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of a tiny default autoencoder, with palettes, of another, and of a prior."""
    root, random = tmp_path_factory.mktemp("latent"), np.random.default_rng(0)
    palettes = {
        str(size): base64.b64encode(
            random.integers(108, 148, (size, 4), np.uint8).tobytes()
        ).decode()
        for size in (16, 32, 64)
    }
    own = _autoencoder(root / "own", "autoencoder", 0, {"palettes": palettes})
    _autoencoder(root / "other", "other", 1, {})
    tiny_network(in_channels=4, patch=1).save_pretrained(root / "prior")
    ModelCard(
        name="latent-prior",
        role="prior",
        factory="gesso.latent.prior:load_latent_prior",
        folder=root / "prior",
        weights=WEIGHTS,
        sha256="",
        settings={
            "autoencoder": {"name": "autoencoder", "sha256": own.sha256},
            "noise": NOISE,
            "presets": {"fast": {"steps": 1}},
        },
    ).write()
    return {name: root / name for name in ("own", "other", "prior")}


@pytest.fixture
def latent(latent_folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The latent codec has a tiny autoencoder and prior in this test."""
    gesso_hooks.load()
    own, prior = (ModelCard.read(latent_folders[name]) for name in ("own", "prior"))
    monkeypatch.setattr(
        cards, "_registry", {**cards._registry, "autoencoder": own, "latent-prior": prior}
    )
    return latent_folders


@pytest.fixture
def no_autoencoder(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """``no_autoencoder()``: from there on there is none."""

    def forget() -> None:
        gesso_hooks.load()
        left = {n: c for n, c in cards._catalogue().items() if c.role != "autoencoder"}
        monkeypatch.setattr(cards, "_registry", {})
        monkeypatch.setattr(cards, "embedded", lambda: tuple(left.values()))

    return forget
