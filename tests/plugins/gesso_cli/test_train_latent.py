"""`gesso train autoencoder` and `gesso train prior --space latent`, the latter on the former."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from diffusers import AutoencoderTiny
from PIL import Image
from typer.testing import Result

from gesso.cards import ModelCard
from gesso.training import autoencoder
from gesso_cli.demo import photograph

Run = Callable[..., Result]
SHAPE = (
    "--encoder_block_out_channels", "8,8,8", "--decoder_block_out_channels", "8,8,8",
    "--num_encoder_blocks", "0,1,1", "--num_decoder_blocks", "1,1,0",
)  # fmt: skip
SMALL = ("--batch", "2", "--crop", "32", "--warmup", "1", "--every", "2", "--device", "cpu")
ALONE = ("--lpips", "0", "--dists", "0", "--palettes", "16,32")
TINY = ("--channels", "8,16", "--window", "4", "--embedding", "16", "--blocks", "1")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(autoencoder, "SETTLE", 1)
    folder = tmp_path / "data"
    folder.mkdir()
    Image.fromarray(np.asarray(photograph("coffee"))[:130, :140]).save(folder / "coffee.png")
    return folder


@pytest.fixture
def model(run: Run, folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "ae"
    begin = ("train", "autoencoder", folder, "--out", out, *SHAPE, *SMALL, *ALONE)
    result = run(*begin, "--steps", 4, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["steps"] == 4
    next_ = f"next: gesso train prior --space latent DATA --autoencoder {out / 'model'}"
    assert next_ in result.stderr.splitlines()[-1]
    return out / "model"


def test_the_autoencoder_and_its_recipe(model: Path) -> None:
    card = ModelCard.read(model)
    assert (card.name, card.role) == ("ae", "autoencoder")
    assert "--palettes 16,32" in card.recipe and "--num_decoder_blocks 1,1,0" in card.recipe
    assert set(card.settings["palettes"]) == {"16", "32"}
    network = AutoencoderTiny.from_pretrained(model, low_cpu_mem_usage=False)
    assert tuple(network.config.num_decoder_blocks) == (1, 1, 0)


def test_a_dry_run_of_it(run: Run, folder: Path, tmp_path: Path) -> None:
    begin = ("train", "autoencoder", folder, "--out", tmp_path / "no", *SHAPE, *SMALL, *ALONE)
    result = run(*begin, "--steps", 40, "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["parameters"] > 5000
    assert not (tmp_path / "no").exists()


def test_a_prior_of_its_latents_repairs_them(
    run: Run, folder: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "prior"
    begin = ("train", "prior", folder, "--out", out, "--space", "latent", "--autoencoder", model)
    for extra in (("--dry-run",), ()):
        result = run(*begin, *TINY, *SMALL, "--steps", 4, *extra)
        assert result.exit_code == 0, result.stderr
    card = ModelCard.read(out / "model")
    assert card.recipe.startswith("gesso train prior --space latent data")
    table = ("at-size", folder, "--bytes", 150, "--side", 96, "--codecs", "jpeg")
    repair = ("--prior", out / "model", "--steps", "1,2", "--start", "0.5")
    result = run(*table, "--autoencoder", model, *repair, "--metrics", "psnr", "--json", "-")
    assert result.exit_code == 0, result.stderr
    lines = json.loads(result.stdout)["lines"]
    assert [line["line"] for line in lines] == [
        "jpeg", "latent", "latent + inversion (steps 1, start 0.5)",
        "latent + inversion (steps 2, start 0.5)",
    ]  # fmt: skip
    assert lines[1]["size"] == lines[2]["size"] == lines[3]["size"]
    assert lines[1]["psnr"] != lines[2]["psnr"]


def test_without_a_prior_the_table_says_so(run: Run, folder: Path, model: Path) -> None:
    table = ("at-size", folder, "--bytes", 150, "--side", 96, "--codecs", "", "--metrics", "psnr")
    result = run(*table, "--autoencoder", model)
    assert result.exit_code == 0, result.stderr
    assert "1 pictures, 96 x 96 in the middle, at 150 bytes" in result.stdout
    assert "skipped latent + inversion: no prior is known for the latents" in result.stderr


def test_an_autoencoder_is_for_latents_alone(run: Run, folder: Path, tmp_path: Path) -> None:
    begin = ("train", "prior", folder, "--out", tmp_path / "x", "--autoencoder", "mine")
    result = run(*begin)
    assert result.exit_code != 0 and "--autoencoder is for --space latent" in result.stderr
