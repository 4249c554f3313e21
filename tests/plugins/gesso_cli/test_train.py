"""`gesso train prior`: from a folder of pictures to a model that works."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from typer.testing import Result

from gesso.cards import ModelCard
from gesso.evaluation.perceptual import missing_dists, missing_lpips_alex
from gesso.training.prior import PriorTrainer
from gesso.unet import WindowUNet
from gesso_cli.demo import photograph
from gesso_cli.training import configure

Run = Callable[..., Result]
TINY = ("--channels", "8,16", "--window", "4", "--embedding", "16", "--blocks", "1")
SMALL = (*TINY, "--batch", "2", "--crop", "32", "--warmup", "2", "--every", "4", "--device", "cpu")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("astronaut", "coffee"):
        crop = np.asarray(photograph(name))[:270, :280]
        Image.fromarray(crop).save(folder / f"{name}.png")
    return folder


def test_it_trains_goes_on_and_writes_a_card(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    begin = ("train", "prior", folder, "--out", out, "--val", folder, *SMALL, "--seed", 5)
    result = run(*begin, "--steps", 8, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["model"] == str(out / "model")
    assert document["last"]["step"] == 8
    lines = result.stderr.splitlines()
    assert lines[0].startswith("gesso: beginning: gesso train prior data --val data --steps 8")
    assert lines[1].startswith("gesso: step 4, loss ") and "PSNR in dB at sigma 0.02: " in lines[1]
    assert "pictures/s" in lines[1]
    model = out / "model"
    assert lines[-1] == f"gesso: the model is {model}; next: gesso calibrate {model} VAL"

    result = run("train", "prior", folder, "--out", out, "--steps", 12, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("gesso: going on: gesso train prior data --val data --steps 12")
    assert [line.split(",")[0] for line in result.stderr.splitlines()[1:-1]] == ["gesso: step 12"]
    card = ModelCard.read(out / "model")
    assert (card.name, card.role, card.seed) == ("run", "prior", 5)
    assert card.recipe.endswith("--channels 8,16")
    card.verify()
    assert WindowUNet.from_pretrained(out / "model", low_cpu_mem_usage=False).config.window == 4

    again = run("train", "prior", folder, "--out", out, "--steps", 12, "--device", "cpu")
    assert again.exit_code == 0
    assert "12 steps were done already; pass more --steps" in again.stderr


def test_the_recipe_of_the_card_is_the_command(folder: Path, tmp_path: Path) -> None:
    """Its options are those of this command, and give the same configuration."""
    given = {"steps": 7, "batch": 2, "lr": 0.01, "warmup": 3, "cooldown": 0.5, "seed": 9}
    network = {"channels": [8, 16], "window": 4, "heads": None}
    config = configure(PriorTrainer, folder, tmp_path / "run", folder, None, given, network)
    words = config.command().split()
    assert words[:4] == ["gesso", "train", "prior", "data"]
    stated = dict(zip(words[4::2], words[5::2], strict=True))
    assert {k[2:]: float(v) for k, v in stated.items() if k[2:] in given} == given
    assert (stated["--channels"], stated["--window"], stated["--val"]) == ("8,16", "4", "data")


def test_a_model_to_begin_with_decides_the_network(tiny: Path, folder: Path, run: Run) -> None:
    out = folder.parent / "run"
    config = configure(PriorTrainer, folder, out, None, tiny, {}, {})
    assert config.network == {"channels": (8, 16), "window": 4, "embedding": 16}
    small = ("--batch", 2, "--crop", 64, "--steps", 1, "--lr", 0, "--device", "cpu")
    result = run("train", "prior", folder, "--out", out, "--from", tiny, *small)
    assert result.exit_code == 0, result.stderr
    result = run("train", "prior", folder, "--out", folder / "x", "--from", folder, *small)
    assert result.exit_code == 1
    assert "data holds no model to begin with" in result.stderr


def test_a_checkpoint_of_another_network_is_refused(run: Run, folder: Path) -> None:
    out = folder.parent / "run"
    begin = ("train", "prior", folder, "--out", out, *SMALL)
    assert run(*begin, "--steps", 1).exit_code == 0
    result = run(*begin, "--steps", 2, "--channels", "8,24")
    assert result.exit_code == 1
    assert "is of another network" in result.stderr
    (out / "checkpoint" / "state.json").write_text("{")
    result = run(*begin, "--steps", 2)
    assert result.exit_code == 1
    assert "is no checkpoint; remove its folder to start anew" in result.stderr


def test_bad_data_is_named(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    cases: dict[str, tuple[Any, ...]] = {
        "no pictures in": (tmp_path / "empty",),
        "is not a folder": (tmp_path / "nonesuch",),
        "no picture is at least 512 pixels": (folder, "--crop", 512),
        "--crop must be a multiple of 16, got 40": (folder, "--crop", 40),
        "is no list of numbers": (folder, "--channels", "8,x"),
    }
    for said, arguments in cases.items():
        result = run("train", "prior", "--out", tmp_path / "run", *SMALL, *arguments)
        assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
    (folder / "cut.png").write_bytes((folder / "coffee.png").read_bytes()[:999])
    result = run("train", "prior", folder, "--out", tmp_path / "run", *SMALL)
    assert result.exit_code == 1
    assert f"{folder / 'cut.png'} is no whole picture" in result.stderr


def test_a_dry_run_goes_all_the_way_and_leaves_nothing(run: Run, folder: Path) -> None:
    out = folder.parent / "run"
    (folder / "notes.png").write_text("no picture")
    Image.new("RGB", (8, 8)).save(folder / "small.png")
    (folder.parent / "val").mkdir()
    (folder.parent / "val" / "a.png").write_bytes((folder / "coffee.png").read_bytes())
    arguments = (folder, "--val", folder.parent / "val", "--out", out, *SMALL, "--steps", 1000)
    result = run("train", "prior", *arguments, "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "resumed, exported and loaded: all of it works" in result.stdout
    assert "the real run, 1000 steps of 2 x 32 x 32, would take about" in result.stdout
    assert "notes.png is no picture" in result.stderr
    assert "1 pictures are smaller than --crop 32 and are not used" in result.stderr
    assert not out.exists()
    document = json.loads(run("train", "prior", *arguments, "--dry-run", "--json").stdout)
    assert document["pictures"] == 2
    assert document["pictures_per_second"] > 0
    spent = 1000 * 2 / document["pictures_per_second"]
    spent += 1000 / 4 * document["seconds_per_validation"]
    assert document["estimated_seconds"] == pytest.approx(spent)


def test_ctrl_c_checkpoints_and_says_how_to_go_on(folder: Path) -> None:
    out = folder.parent / "run"
    script = "from gesso_cli.app import main; main()"
    arguments = ("train", "prior", folder, "--out", out, *SMALL, "--steps", 100_000)
    command = [sys.executable, "-c", script, *map(str, arguments)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not (out / "log.jsonl").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read().splitlines()
        assert process.wait(60) == 130
    stopping = "gesso: stopping after this step; Ctrl-C again stops at once, without a checkpoint"
    after = said[said.index(stopping) + 1 :]
    # The step that was under way may still report its loss, and no other after it.
    if after[0].startswith("gesso: step "):
        del after[0]
    assert after == [
        f"gesso: stopped; the same command goes on from {out / 'checkpoint'}",
        "gesso: interrupted",
    ]
    state = json.loads((out / "checkpoint" / "state.json").read_text())
    reported = json.loads((out / "log.jsonl").read_text().splitlines()[-1])["step"]
    assert state["step"] >= reported


@pytest.fixture
def diffusion(tmp_path: Path) -> Path:
    """A Stable Diffusion of a few thousand random weights, in diffusers' folders."""
    torch.manual_seed(0)
    place = tmp_path / "sd"
    levels: dict[str, Any] = {"block_out_channels": (8, 8), "norm_num_groups": 4}
    parts: dict[str, Any] = {
        "unet": UNet2DConditionModel(
            **levels, sample_size=16, layers_per_block=1, attention_head_dim=4,
            cross_attention_dim=12,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ),
        "vae": AutoencoderKL(
            **levels, down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        "scheduler": DDIMScheduler(prediction_type="v_prediction"),
    }  # fmt: skip
    for name, part in parts.items():
        part.save_pretrained(place / name)
    index = {name: ["diffusers", type(part).__name__] for name, part in parts.items()}
    (place / "model_index.json").write_text(json.dumps(index))
    save_file({"prompt_embeds": torch.randn(7, 12)}, place / "prompt_embeds.safetensors")
    return place


missing = missing_lpips_alex() or missing_dists()


@pytest.mark.skipif(missing is not None, reason=str(missing))
def test_both_stages_in_stable_diffusion(
    run: Run, folder: Path, diffusion: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gesso.training.preprocess.MEASURED", 2)
    monkeypatch.setattr("gesso_cli.rehearsal.MOST", 1)
    small = ("--batch", 1, "--crop", 32, "--codecs", "jpeg", "--device", "cpu")
    one, two = folder.parent / "one", folder.parent / "two"
    begin = ("train", "distill", folder, "--out", one, "--from", diffusion, *small)
    rehearsed = run(*begin, "--steps", 9, "--dry-run", "--json")
    assert rehearsed.exit_code == 0, rehearsed.stderr
    assert "parameters" in rehearsed.stderr and "TFLOP" in rehearsed.stderr
    assert json.loads(rehearsed.stdout)["footprint"]["tuned"] > 0
    assert run(*begin, "--steps", 1).exit_code == 0
    # Where the run was begun is in its checkpoint.
    result = run("train", "distill", folder, "--out", one, "--steps", 2, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    begin = ("train", "preprocess", folder, "--out", two, "--from", one / "model", *small)
    result = run(*begin, "--steps", 1)
    assert result.exit_code == 0, result.stderr
    card = ModelCard.read(two / "model")
    assert (card.name, card.settings["base"]) == ("two", str(diffusion))
