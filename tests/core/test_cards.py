"""Cards: what is read is checked, and nothing but safetensors is loaded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

import gesso
from gesso.cards import (
    ModelCard,
    default_prior,
    embedded,
    get_model,
    load,
    models,
    register_model,
)
from gesso.errors import ModelError
from gesso.options import PRESETS, SAMPLERS
from gesso.runtime import Runtime

FP32 = Runtime("cpu", "fp32")


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_card_survives_being_written_and_read(copy: Path) -> None:
    card = ModelCard.read(copy)
    assert card.name == "tiny" and len(card.sha256) == 64
    card.write()
    assert ModelCard.read(copy) == card


def test_a_prior_loads_and_denoises(tiny: ModelCard) -> None:
    denoiser = load("tiny", runtime=FP32)
    assert denoiser is load("tiny", runtime=FP32)
    assert denoiser.grid == 16 and denoiser.device.type == "cpu"
    x = torch.randn(2, 3, 32, 48)
    assert denoiser(x, torch.tensor([0.1, 0.5])).shape == x.shape


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damaged_weights_are_refused(copy: Path, damage: str) -> None:
    card = ModelCard.read(copy)
    content = bytearray(card.path.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
    if damage == "cut":
        del content[-100:]
    card.path.write_bytes(content)
    if damage == "remove":
        card.path.unlink()
    with pytest.raises(ModelError, match=r"tiny.*reinstall"):
        card.make(FP32)


def test_weights_that_do_not_fit_their_config_are_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"channels": [8, 24]}))
    with pytest.raises(ModelError, match="do not fit their config"):
        ModelCard.read(copy).make(FP32)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"weights": "model.bin"}, "only a safetensors"),
        ({"weights": "../other.safetensors"}, "only a safetensors"),
        ({"role": "wizard"}, "prior, estimator, preprocessor"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_cards_that_ask_for_the_wrong_thing_are_refused(
    copy: Path, change: dict[str, str], word: str
) -> None:
    content = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(content | change))
    with pytest.raises(ModelError, match=word):
        ModelCard.read(copy)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"name": "x"}'])
def test_broken_cards_name_their_file(tmp_path: Path, content: str) -> None:
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(ModelError, match=r"card\.json is not a model card"):
        ModelCard.read(tmp_path)


@pytest.mark.parametrize("factory", ["gesso.nothing:f", "gesso.denoiser:nothing", "gesso"])
def test_a_missing_factory_is_named(copy: Path, factory: str) -> None:
    content = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps(content | {"factory": factory}))
    with pytest.raises(ModelError, match="cannot be built by"):
        ModelCard.read(copy).make(FP32)


def test_names_are_unique(tiny: ModelCard, copy: Path) -> None:
    register_model(tiny)
    with pytest.raises(ModelError, match="registered already"):
        register_model(ModelCard.read(copy))


def test_look_up_is_by_name_and_role(tiny: ModelCard) -> None:
    assert get_model("tiny", "prior") is models("prior")["tiny"]
    with pytest.raises(ModelError, match="'tiny' is no preprocessor"):
        get_model("tiny", "preprocessor")
    with pytest.raises(ModelError, match=r"no prior named 'x'; there are: .*tiny"):
        get_model("x", "prior")


def test_the_embedded_prior_is_whole_and_small() -> None:
    card = get_model(None, "prior")
    assert card in embedded()
    card.verify()
    assert card.path.stat().st_size <= 30e6
    assert card.licence and card.data and card.recipe and card.summary and card.figures
    assert set(card.settings["noise"]) >= {"jpeg", "webp", "avif"}
    assert "medium" in card.settings["presets"]


def test_the_embedded_prior_denoises() -> None:
    from skimage import data

    denoiser = gesso.load(runtime=FP32)
    clean = torch.from_numpy(data.astronaut()[:128, 128:256]).permute(2, 0, 1)[None] / 127.5 - 1
    generator = torch.Generator().manual_seed(0)
    for sigma, gain in ((0.05, 3.0), (0.2, 8.0), (0.4, 10.0)):
        noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
        with torch.inference_mode():
            out = denoiser(noisy, torch.tensor([sigma]))
        before, after = ((x - clean).square().mean().log10() * -10 for x in (noisy, out))
        assert float(after - before) > gain


def test_a_sampler_has_a_prior_of_its_own() -> None:
    by_sampler = {name: default_prior(name) for name in (None, *SAMPLERS)}
    assert by_sampler == {
        None: "consistency-decoded",
        "one-step": "consistency-decoded",
        "multistep": "consistency-decoded",
        "ode": "prior",
        "sde": "prior",
        "dps": "prior",
    }
    for preset in PRESETS:
        for name in ("consistency-decoded", "consistency", "prior"):
            assert preset in get_model(name, "prior").settings["presets"]


def test_without_the_posterior_mean_no_part_has_seen_a_decode() -> None:
    for sampler in (None, *SAMPLERS):
        name = default_prior(sampler, posterior_mean=False)
        assert name in ("consistency", "prior")
        assert "--decoded" not in get_model(name, "prior").recipe
