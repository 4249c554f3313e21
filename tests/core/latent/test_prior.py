"""Our own latent priors: as any latent checkpoint, held to the autoencoder they were trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tests.core.conftest import own_autoencoder, tiny_network
from typer.testing import CliRunner

import gesso
from gesso.cards import ModelCard, get_model, load
from gesso.checkpoints.latent import LatentSpace
from gesso.denoiser import EDMDenoiser
from gesso.errors import ModelError
from gesso.latent.prior import LatentPrior, modelled_autoencoder
from gesso.latent.repair import RepairOptions, repair
from gesso.runtime import Runtime
from gesso.space import fitted
from gesso_cli.app import build

from .conftest import own_prior

FP32 = Runtime("cpu", "fp32", tile=64, overlap=32)


@pytest.fixture
def autoencoder(tmp_path: Path) -> ModelCard:
    own_autoencoder(tmp_path / "autoencoder", scaling_factor=0.8, shift_factor=0.1)
    return get_model(str(tmp_path / "autoencoder"), "autoencoder")


@pytest.fixture
def folder(tmp_path: Path, autoencoder: ModelCard) -> Path:
    return own_prior(tmp_path / "prior", autoencoder)


def test_it_is_an_edm_prior_of_the_autoencoders_latents(
    folder: Path, autoencoder: ModelCard
) -> None:
    prior = load(str(folder), runtime=FP32)
    assert isinstance(prior, LatentPrior) and isinstance(prior.space, LatentSpace)
    # 8 latents of 4 pixels
    assert prior.grid == 32 and prior.tile is None and prior.space.factor == 4
    assert prior.space.autoencoder is load(autoencoder.name, "autoencoder", FP32)
    x, sigma = torch.randn(2, 4, 8, 16), torch.tensor([0.1, 2.0])
    with torch.inference_mode():
        found = prior(x, sigma)
        expected = EDMDenoiser(tiny_network(in_channels=4, patch=1).eval())(x, sigma)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("preset", ["fast", "medium"])
def test_it_enhances_as_any_prior(folder: Path, training_free: None, preset: Any) -> None:
    picture = (np.random.default_rng(0).random((70, 90, 3)) * 255).astype(np.uint8)
    found = [
        gesso.enhance(picture, "jpeg", 20, preset, model=str(folder), runtime=FP32, seed=seed)
        for seed in (0, 0, 1)
    ]
    assert found[0].shape == picture.shape and found[0].dtype == np.uint8
    assert np.array_equal(found[0], found[1]) and not np.array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((1024, 128), (960, 192)),
        ((960, 192), (960, 192)),
        ((1024, 0), (960, 0)),
        ((500, 248), (480, 192)),
        ((128, 64), (192, 96)),
    ],
)
def test_tiles_are_put_on_its_grid(
    tmp_path: Path, autoencoder: ModelCard, asked: tuple[int, int], given: tuple[int, int]
) -> None:
    # 24 latents of 4 pixels: neither divides the usual tile.
    folder = own_prior(tmp_path / "coarse", autoencoder, window=12)
    prior = load(str(folder), runtime=FP32)
    assert prior.grid == 96
    runtime = fitted(Runtime("cpu", "fp32", *asked), prior, prior.grid)
    assert (runtime.tile, runtime.overlap) == given
    picture = np.zeros((100, 530, 3), np.uint8)
    where = Runtime("cpu", "fp32", *asked)
    found = gesso.enhance(picture, sigma=0.1, steps=1, model=str(folder), runtime=where)
    assert found.shape == picture.shape


def test_the_command_takes_its_folder(folder: Path, tmp_path: Path) -> None:
    picture, out = tmp_path / "in.png", tmp_path / "out.png"
    Image.new("RGB", (40, 36), (90, 120, 30)).save(picture)
    wish = ["--model", folder, "--sigma", 0.1, "--device", "cpu"]
    result = CliRunner().invoke(build(), [str(a) for a in ("enhance", picture, "-o", out, *wish)])
    assert result.exit_code == 0, result.output
    with Image.open(out) as found, Image.open(picture) as given:
        assert found.size == (40, 36) and found.tobytes() != given.tobytes()
    listed = CliRunner().invoke(build(), ["models", str(folder), str(tmp_path / "autoencoder")])
    assert listed.exit_code == 0 and "autoencoder" in listed.output


def test_it_repairs_latents(folder: Path) -> None:
    prior = load(str(folder), runtime=FP32)
    latents = torch.randn(1, 4, 11, 5, generator=torch.Generator().manual_seed(0))
    found = repair(prior, latents, RepairOptions(3, 0.3, 0.05))
    assert found.shape == latents.shape and 0 < float((found - latents).abs().max()) < 10


def test_another_autoencoder_is_refused(folder: Path, autoencoder: ModelCard) -> None:
    # The same name, trained anew.
    own_autoencoder(autoencoder.folder, seed=1)
    gesso.cards._registry.clear()
    with pytest.raises(ModelError, match=r"as it was with SHA-256 .* bring that back"):
        load(str(folder), runtime=FP32)
    shutil.rmtree(autoencoder.folder)
    gesso.cards._registry.clear()
    with pytest.raises(ModelError, match=r"which is not here.*train the prior anew"):
        load(str(folder), runtime=FP32)


@pytest.mark.parametrize("stated", [None, "autoencoder", {"name": "autoencoder"}])
def test_a_card_that_names_none_is_refused(folder: Path, stated: Any) -> None:
    card = json.loads((folder / "card.json").read_text())
    card["settings"]["autoencoder"] = stated
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="does not say whose latents it models"):
        modelled_autoencoder(ModelCard.read(folder))


def test_channels_must_be_the_autoencoders(tmp_path: Path) -> None:
    own_autoencoder(tmp_path / "wide", latent_channels=8)
    card = get_model(str(tmp_path / "wide"), "autoencoder")
    folder = own_prior(tmp_path / "prior", card)
    with pytest.raises(ModelError, match=r"of 4 channels, its autoencoder's latents have 8"):
        load(str(folder), runtime=FP32)


def test_a_public_autoencoder_will_do(tmp_path: Path) -> None:
    from tests.core.checkpoints.conftest import tiny_vae

    tiny_vae().save_pretrained(tmp_path / "vae")
    card = get_model(str(tmp_path / "vae"), "autoencoder")
    prior = load(str(own_prior(tmp_path / "prior", card)), runtime=FP32)
    assert prior.grid == 16 and prior.space.autoencoder.scale == 0.18215
