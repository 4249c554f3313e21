"""`gesso models`: what is there, and whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import Result

import gesso_cli.options
from gesso.cards import ModelCard, models, register_model
from gesso.errors import ModelError
from gesso.options import PRESETS, SAMPLERS, EnhanceOptions
from gesso_cli.models import parameters
from gesso_cli.options import (
    PresetName,
    SamplerName,
    enhance_options,
    known_model,
    numbers,
    runtime_of,
)

Run = Callable[..., Result]


def test_the_table_shows_every_model(run: Run, tiny: Path) -> None:
    register_model(ModelCard.read(tiny))
    result = run("models")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    # A long cell goes on below, behind an empty name.
    rows = {line.split()[0]: line for line in lines if not line.startswith(" ")}
    assert set(rows) == {"name", *models()}
    assert "ok" in rows["prior"] and "medium" in rows["prior"]


def test_json_holds_the_whole_card(run: Run, tiny: Path) -> None:
    card = ModelCard.read(tiny)
    register_model(card)
    [row] = [row for row in json.loads(run("models", "--json").stdout) if row["name"] == "tiny"]
    assert (row["role"], row["sha256"], row["problem"]) == ("prior", card.sha256, "")
    assert row["bytes"] == card.path.stat().st_size
    assert row["settings"] == card.settings
    assert (row["presets"], row["codecs"]) == (["fast", "medium"], ["jpeg", "webp", "avif"])


def test_damaged_weights_are_shown_and_fail(run: Run, tiny: Path, tmp_path: Path) -> None:
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "diffusion_pytorch_model.safetensors").write_bytes(b"short")
    register_model(ModelCard.read(tmp_path))
    result = run("models")
    assert result.exit_code == 1
    assert "damaged" in result.stdout
    assert result.stderr.startswith("gesso: diffusion_pytorch_model.safetensors of 'tiny' has SHA")


def test_parameters_are_counted_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(())}, path, {"format": "pt"})
    assert parameters(path) == 7
    path.write_bytes(b"\xff" * 20)
    assert parameters(path) is None
    assert parameters(tmp_path / "nonesuch") is None


def test_a_folder_of_diffusers_is_shown_alone(run: Run, tmp_path: Path) -> None:
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    network = UNet2DModel(
        sample_size=16,
        block_out_channels=(8,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        norm_num_groups=4,
    )
    pipeline = DDPMPipeline(unet=network, scheduler=DDPMScheduler())
    pipeline.save_pretrained(tmp_path, max_shard_size="8KB")
    result = run("models", str(tmp_path), "prior", "--json")
    assert result.exit_code == 0, result.output
    ours, prior = json.loads(result.output)
    assert prior["name"] == "prior"
    assert ours["name"] == ours["folder"] == str(tmp_path)
    assert ours["parameters"] == sum(p.numel() for p in network.parameters())
    assert ours["presets"] == ["fast", "medium", "slow"]
    assert run("models", str(tmp_path / "nonesuch")).exit_code != 0


def test_a_folder_is_a_model(tiny: Path) -> None:
    assert known_model(str(tiny)) == "tiny"
    assert models()["tiny"].folder == tiny
    assert known_model(None) == "consistency-decoded"
    assert known_model(None, training_free=True) == "consistency"
    assert known_model(None, sampler="dps") == "prior"
    with pytest.raises(ModelError, match="holds no model"):
        known_model(str(tiny.parent))


def test_a_folder_whose_name_is_taken_goes_by_its_path(tiny: Path, tmp_path: Path) -> None:
    known_model(str(tiny))
    for file in tiny.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    assert known_model(str(tmp_path)) == str(tmp_path)
    assert known_model(str(tiny)) == "tiny"


def test_presets_are_the_core_s() -> None:
    assert tuple(preset.value for preset in PresetName) == PRESETS
    assert tuple(sampler.value for sampler in SamplerName) == SAMPLERS


def test_each_preset_has_a_model_and_options_reach_the_library() -> None:
    fast = enhance_options(None, PresetName.fast)
    assert (fast.model, fast.preset, fast.posterior_mean) == ("consistency-decoded", "fast", True)
    free = enhance_options(None, PresetName.fast, training_free=True)
    assert (free.model, free.posterior_mean) == ("consistency", False)
    slow = enhance_options(None, PresetName.slow, 0.5, 7, 0.1, 3, True, True, 0.2, SamplerName.dps)
    assert slow == EnhanceOptions(
        "prior", "slow", 0.5, 7, 0.1, 3, posterior_mean=False, faithful=True, step_size=0.2,
        sampler="dps",
    )  # fmt: skip


def test_every_shared_option_is_public() -> None:
    assert sorted(gesso_cli.options.__all__) == gesso_cli.options.__all__


def test_lists_of_numbers() -> None:
    assert numbers("10, 20,40", float) == [10, 20, 40]
    assert numbers("8,16", int) == [8, 16]
    for text in ("", "a", "1,,x", "1.5"):
        with pytest.raises(ValueError, match=r"is no list of numbers; write them as 10,20,40"):
            numbers(text, int)


@pytest.mark.parametrize("tile", [128, 192, 256, 512, 1024, 2048])
def test_tiles_and_their_overlap_fit_the_grid(tile: int) -> None:
    runtime = runtime_of("cpu", "fp32", tile)
    assert runtime.tile == tile
    assert 0 < runtime.overlap <= tile // 2
    assert (tile - runtime.overlap) % 64 == 0
