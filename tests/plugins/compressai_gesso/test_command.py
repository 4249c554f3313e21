"""`gesso train hyperprior`: from a folder of pictures to a codec."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer
from PIL import Image
from skimage import data
from typer.testing import CliRunner, Result

from compressai_gesso.command import add, configure
from compressai_gesso.plugin import gesso_commands
from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso_cli.app import Guarded

Run = Callable[..., Result]
SMALL = (
    "--channels", 8, "--latents", 12, "--batch", 2, "--crop", 64, "--warmup", 2, "--every", 4,
    "--device", "cpu",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(data, name)()[:270, 40:320]).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def run() -> Run:
    def call(*arguments: object) -> Result:
        app = typer.Typer(cls=Guarded)
        gesso_commands(app)
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


def test_it_joins_the_group_there_is() -> None:
    app, group = typer.Typer(), typer.Typer()
    group.command("prior")(lambda: print("the prior"))
    app.add_typer(group, name="train")
    add(app)
    assert len(app.registered_groups) == 1
    assert CliRunner().invoke(app, ["train", "prior"]).stdout == "the prior\n"
    shown = CliRunner().invoke(app, ["train", "hyperprior", "--help"], env={"COLUMNS": "120"})
    assert "Train a scale hyperprior" in shown.stdout


def test_it_trains_goes_on_and_writes_a_card(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    begin = ("train", "hyperprior", folder, "--out", out, "--val", folder, *SMALL, "--seed", 5)
    result = run(*begin, "--steps", 8, "--quality", 3, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["model"] == str(out / "model") and document["last"]["step"] == 8
    lines = result.stderr.splitlines()
    said = "gesso: beginning: gesso train hyperprior data --val data --quality 3 --steps 8"
    assert lines[0].startswith(said)
    assert lines[1].startswith("gesso: step 4, loss ") and " bpp, " in lines[1]
    assert lines[-1] == f"gesso: the model is {out / 'model'}"

    more = ("train", "hyperprior", folder, "--out", out, "--steps", 12, "--device", "cpu")
    result = run(*more)
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("gesso: going on: gesso train hyperprior data --val data")
    assert [line.split(",")[0] for line in result.stderr.splitlines()[1:-1]] == ["gesso: step 12"]
    card = ModelCard.read(out / "model")
    assert (card.name, card.seed, card.settings) == ("hyperprior-3", 5, {"lambda": 0.014})
    assert card.recipe.endswith("--seed 5 --channels 8 --latents 12")
    card.verify()
    assert "12 steps were done already; pass more --steps" in run(*more).stderr

    small = ("--steps", 1, "--batch", 1, "--crop", 64, "--lr", 0, "--device", "cpu")
    start = ("train", "hyperprior", folder, "--out", tmp_path / "two", "--from", out / "model")
    result = run(*start, *small)
    assert result.exit_code == 0, result.stderr
    assert "--from model" in ModelCard.read(tmp_path / "two" / "model").recipe


def test_the_recipe_of_the_card_is_the_command(folder: Path, tmp_path: Path) -> None:
    """Its options are those of this command, and give the same configuration."""
    given = {"steps": 7, "batch": 2, "lr": 0.01, "aux_lr": 0.1, "lmbda": 0.5, "seed": 9}
    words = configure(folder, tmp_path / "run", folder, None, given).command().split()
    assert words[:4] == ["gesso", "train", "hyperprior", "data"]
    stated = dict(zip(words[4::2], words[5::2], strict=True))
    assert stated.pop("--val") == "data"
    assert {key[2:].replace("-", "_"): float(value) for key, value in stated.items()} == given


def test_bad_input_is_one_line(run: Run, folder: Path, tmp_path: Path) -> None:
    cases: dict[str, tuple[object, ...]] = {
        "is not a folder": (tmp_path / "nonesuch", *SMALL),
        "no picture is at least 512": (folder, *SMALL, "--crop", 512),
        "--crop must be a multiple of 64, got 72": (folder, *SMALL, "--crop", 72),
        "is not a model card": (folder, *SMALL, "--from", folder),
        "is not to be had here": (folder, *SMALL, "--device", "tpu9"),
    }
    for said, arguments in cases.items():
        result = run("train", "hyperprior", "--out", tmp_path / "run", *arguments)
        assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
    out = tmp_path / "run" / "checkpoint"
    out.mkdir(parents=True)
    (out / "state.json").write_text("{")
    with pytest.raises(InputError, match="is no checkpoint; remove its folder"):
        configure(folder, out.parent, None, None, {})


def test_a_dry_run_goes_all_the_way_and_leaves_nothing(run: Run, folder: Path) -> None:
    out = folder.parent / "run"
    arguments = ("train", "hyperprior", folder, "--out", out, "--val", folder, *SMALL)
    result = run(*arguments, "--steps", 1000, "--dry-run", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["pictures_per_second"] > 0 and document["parameters"] > 1000
    spent = 1000 * 2 / document["pictures_per_second"]
    spent += 1000 / 4 * document["seconds_per_validation"]
    assert document["estimated_seconds"] == pytest.approx(spent)
    assert not out.exists()


def test_ctrl_c_checkpoints_and_says_how_to_go_on(folder: Path) -> None:
    out = folder.parent / "run"
    script = (
        "import typer; from gesso_cli.app import Guarded; from compressai_gesso.command import add;"
        "app = typer.Typer(cls=Guarded); add(app); app()"
    )
    arguments = ("train", "hyperprior", folder, "--out", out, *SMALL, "--steps", 100_000)
    command = [sys.executable, "-c", script, *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + 120
        while not (out / "checkpoint").is_dir() and time.monotonic() < end:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130
    assert f"stopped; the same command goes on from {out / 'checkpoint'}" in said
    assert json.loads((out / "checkpoint" / "state.json").read_text())["step"] >= 4
