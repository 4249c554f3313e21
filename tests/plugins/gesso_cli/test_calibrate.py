"""`gesso calibrate`: a model's card learns how real codecs err."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from gesso.cards import ModelCard
from gesso.codec import get_codec
from gesso.training import calibrate
from gesso_cli.calibrate import PRESETS
from gesso_cli.demo import photograph

Run = Callable[..., Result]


@pytest.fixture
def val(tmp_path: Path) -> Path:
    folder = tmp_path / "val"
    folder.mkdir()
    picture = np.asarray(photograph("astronaut"))
    for index in range(9):
        crop = picture[50 * index : 50 * index + 64, 40 * index : 40 * index + 64]
        Image.fromarray(crop).save(folder / f"{index}.png")
    return folder


@pytest.fixture(autouse=True)
def few_qualities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "QUALITIES", (10, 50, 90))


def test_the_tables_go_into_the_card(run: Run, model: Path, val: Path) -> None:
    before = ModelCard.read(model)
    result = run("calibrate", model, val, "--codecs", "jpeg,webp", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    files = sorted(val.iterdir())
    expected = {
        name: calibrate.fit_noise_table(files, get_codec(name), (10, 50, 90))
        for name in ("jpeg", "webp")
    }
    assert document["noise"] == expected
    assert list(document["anchors"]) == ["webp"]
    assert [quality for quality, _ in document["anchors"]["webp"]] == [10, 50, 90]
    card = ModelCard.read(model)
    assert card.settings["noise"] == {
        **before.settings["noise"],
        **{name: [row[:4] for row in rows] for name, rows in expected.items()},
    }
    assert card.settings["noise_scale"] == before.settings["noise_scale"]
    assert card.settings["presets"] == before.settings["presets"]
    assert card.verify()


def test_tables_are_printed(run: Run, model: Path, val: Path) -> None:
    result = run("calibrate", model, val, "--codecs", "webp")
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines() if line.strip()]
    assert lines[0] == ["webp"]
    assert lines[1] == ["quality", "a", "b", "log2", "bpp", "log2", "rmse", "QP"]
    assert [line[0] for line in lines[2:]] == ["10", "50", "90"]
    qp = [float(line[-1]) for line in lines[2:]]
    assert qp == sorted(qp, reverse=True)


def test_check_prints_the_error_of_left_out_pictures(run: Run, model: Path, val: Path) -> None:
    result = run("calibrate", model, val, "--codecs", "jpeg", "--check", "--json")
    assert result.exit_code == 0, result.stderr
    alone, informed = json.loads(result.stdout)["residual_db"]["jpeg"]
    assert 0 < informed < 10 and 0 < alone < 10


def test_a_model_without_a_card_gets_one(run: Run, model: Path, val: Path) -> None:
    (model / "card.json").unlink()
    result = run("calibrate", model, val, "--codecs", "jpeg", "--name", "mine")
    assert result.exit_code == 0, result.stderr
    card = ModelCard.read(model)
    assert (card.name, card.settings["presets"]) == ("mine", PRESETS)
    assert card.verify()


def test_what_is_wrong_is_named(run: Run, model: Path, val: Path, tmp_path: Path) -> None:
    card = (model / "card.json").read_bytes()
    for arguments, said in {
        (val, val): "holds no model; give what gesso train wrote",
        (model, tmp_path / "nonesuch"): "is not a folder; give one that holds pictures",
        (model, val, "--codecs", "nonesuch"): "no codec named 'nonesuch'",
        (model, val, "--codecs", ","): "no codec asked for",
    }.items():
        result = run("calibrate", *arguments)
        assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
    for index in range(2):
        (val / f"{index}.png").unlink()
    assert "7 pictures are too few" in run("calibrate", model, val).stderr
    weights = model / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes() + b"x")
    assert "has SHA-256" in run("calibrate", model, val).stderr
    assert (model / "card.json").read_bytes() == card
