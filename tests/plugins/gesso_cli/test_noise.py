"""`gesso noise`: a preset learns how much noise to add."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import Result

from gesso import enhancer
from gesso.cards import ModelCard
from gesso.frame import Frame
from gesso.noise import estimated_rmse, sigma_for, softened
from gesso.target import Target
from gesso.training import levels
from gesso_cli.demo import photograph

Run = Callable[..., Result]


@pytest.fixture
def val(tmp_path: Path) -> Path:
    folder = tmp_path / "val"
    folder.mkdir()
    picture = np.asarray(photograph("astronaut"))
    for index in range(2):
        Image.fromarray(picture[100 * index : 100 * index + 64, 200:264]).save(
            folder / f"{index}.png"
        )
    return folder


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "QPS", (44.0, 28.0))
    monkeypatch.setattr(levels, "LEVELS", (0.1, 1.0))
    monkeypatch.setattr(levels, "SIDE", 64)


@pytest.mark.parametrize("free", [True, False])
def test_what_looks_best_goes_into_the_card(
    free: bool, run: Run, model: Path, val: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, bool]] = []
    real = enhancer.enhance_frame

    def spied(frame, target, options):  # type: ignore[no-untyped-def]  # as enhance_frame
        table = enhancer.error_table(ModelCard.read(model), "decoded" if free else "posterior_mean")
        asked.append(
            (options.sigma / float(estimated_rmse(table, target, frame)[0]), options.posterior_mean)
        )
        return real(frame, target, options)

    monkeypatch.setattr(enhancer, "enhance_frame", spied)
    before = ModelCard.read(model)
    arguments = ("--codecs", "jpeg", "--json", *(["--training-free"] if free else []))
    result = run("noise", model, val, *arguments)
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert asked == [(pytest.approx(ratio), not free) for _ in range(12) for ratio in (0.1, 1.0)]
    mode = "decoded" if free else "posterior_mean"
    card = ModelCard.read(model)
    own = card.settings["presets"]["fast"]
    assert own["noise_scale"][mode]["jpeg"] == found["noise_scale"]["jpeg"]
    assert [qp for qp, _ in found["noise_scale"]["jpeg"]] == pytest.approx([28, 44], abs=0.5)
    assert all(0.1 <= ratio <= 1 for _, ratio in found["noise_scale"]["jpeg"])
    assert own["softness"][mode] == found["softness"]
    # other codecs go on by what there was before, other presets by what they had
    assert "hevc" in own["noise_scale"][mode]
    others = {name: value for name, value in card.settings["presets"].items() if name != "fast"}
    assert others == {k: v for k, v in before.settings["presets"].items() if k != "fast"}
    assert [(row["quality"], row["enlarged"]) for row in found["change"]] == [
        (quality, factor) for factor in (1, 1.5, 2.5) for quality in (11, 80)
    ]
    assert card.verify()


def test_a_drop_is_what_psnr_falls_by(run: Run, model: Path, val: Path) -> None:
    result = run("noise", model, val, "--codecs", "webp", "--drop", "0.3", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    card = ModelCard.read(model)
    own = card.settings["presets"]["fast"]
    assert own["noise_scale"]["posterior_mean"]["webp"] == found["noise_scale"]["webp"]
    for drops in found["drops"]["webp"].values():
        assert sum(drops) / 2 == pytest.approx(0.3, abs=0.2)
    # by the error alone: a soft picture is given what a sharp one is
    ramp = Frame.of(torch.linspace(0, 1, 64).expand(1, 3, 64, 64))
    target = Target("webp", 30)
    expected = sigma_for(
        enhancer.error_table(card, "posterior_mean"), found["noise_scale"]["webp"], target, ramp
    )
    assert torch.equal(enhancer._sigmas(card, own, target, ramp, replace(ramp)), expected)


def test_it_is_told_in_words(run: Run, model: Path, val: Path) -> None:
    result = run("noise", model, val, "--codecs", "jpeg")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("jpeg: noise over error ") and " at QP 43.82" in lines[0]
    assert lines[1].startswith("soft pictures: (sharpness / ")
    assert lines[2].startswith("jpeg 11: LPIPS x DISTS ") and lines[-1].startswith(
        "jpeg 80, enlarged by 2.5: LPIPS x DISTS "
    )
    result = run("noise", model, val, "--codecs", "jpeg", "--drop", "0.3")
    assert "jpeg 11: PSNR falls by 0." in result.stdout
    assert result.stdout.splitlines()[-1] == "soft pictures: as much as sharp ones"


def test_what_was_found_is_what_enhance_goes_by(run: Run, model: Path, val: Path) -> None:
    found = json.loads(run("noise", model, val, "--codecs", "jpeg", "--json").stdout)
    card = ModelCard.read(model)
    decoded = Frame.of(Image.open(val / "0.png").convert("RGB"))
    soft = Frame.of(decoded.rgb.cumsum(3) / decoded.rgb.cumsum(3).amax())
    target = Target("jpeg", 11)
    table = enhancer.error_table(card, "posterior_mean")
    expected = estimated_rmse(table, target, decoded) * found["noise_scale"]["jpeg"][-1][1]
    expected *= softened(found["softness"], soft)
    preset = card.settings["presets"]["fast"]
    found_there = enhancer._sigmas(card, preset, target, decoded, soft)
    assert float(found_there[0]) == pytest.approx(float(expected[0]), rel=0.01)


def test_what_is_wrong_is_named(run: Run, model: Path, val: Path, tmp_path: Path) -> None:
    card = (model / "card.json").read_bytes()
    for arguments, said in {
        (val, val): "card.json",
        (model, tmp_path / "nonesuch"): "is not a folder; give one that holds pictures",
        (model, val, "--codecs", "nonesuch"): "no codec named 'nonesuch'",
        (model, val, "--codecs", ","): "no codec asked for",
        (model, val, "--preset", "slow"): "has no preset 'slow'",
    }.items():
        result = run("noise", *arguments)
        assert (result.exit_code, said in result.stderr) == (1, True), (arguments, result.stderr)
    assert (model / "card.json").read_bytes() == card
