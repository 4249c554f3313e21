"""Weights in 8 bits: near to what they were, read wherever whole ones are, never mixed up."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from gesso.cards import ModelCard, get_model
from gesso.errors import InputError, ModelError
from gesso.runtime import Runtime
from gesso.storage import read_weights, shrink, shrunk
from gesso.training.loop import load_weights
from gesso.unet import WindowUNet

CPU = Runtime("cpu", "fp32")


@given(st.integers(0, 2**32), st.floats(1e-6, 1e4))
def test_a_weight_is_off_by_half_a_step_of_its_channel_at_most(seed: int, size: float) -> None:
    weight = size * torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(seed))
    found = shrunk({"a": weight})
    assert found["a"].dtype == torch.int8 and found["a.scale"].shape == (5,)
    back = found["a"].float() * found["a.scale"][:, None, None, None]
    peak = weight.abs().flatten(1).amax(1)[:, None, None, None]
    assert bool(((back - weight).abs() <= peak / 254 * 1.001).all())


def test_zeros_stay_and_vectors_are_halves(tmp_path: Path) -> None:
    given = {"zero": torch.zeros(2, 3), "bias": torch.tensor([0.1, 3.0]), "step": torch.ones(())}
    save_file(shrunk(given), tmp_path / "w.safetensors")
    found = read_weights(tmp_path / "w.safetensors")
    assert found.keys() == given.keys()
    assert torch.equal(found["zero"], given["zero"])
    assert torch.equal(found["bias"], given["bias"].half())


def test_whole_weights_are_read_as_they_are(tmp_path: Path) -> None:
    given = {"a": torch.randn(2, 3).half(), "a.scale": torch.randn(2)}
    save_file(given, tmp_path / "w.safetensors")
    found = read_weights(tmp_path / "w.safetensors")
    assert found.keys() == given.keys() and all(torch.equal(found[k], given[k]) for k in given)


def test_a_shrunk_model_is_half_as_large_and_does_the_same(
    tiny_folder: Path, tmp_path: Path
) -> None:
    card = ModelCard.read(tiny_folder)
    found = shrink(card, tmp_path / "small")
    assert found == ModelCard.read(tmp_path / "small")
    assert replace(found, folder=card.folder, weights=card.weights, sha256=card.sha256) == card
    stored = sum(t.nbytes for t in load_file(found.path).values())
    assert stored < 0.6 * sum(t.nbytes for t in load_file(card.path).values())
    umask = os.umask(0)
    os.umask(umask)
    assert found.path.stat().st_mode & 0o777 == 0o666 & ~umask
    x, sigma = torch.randn(1, 3, 32, 32), torch.tensor([0.2])
    one, two = card.make(CPU)(x, sigma), found.make(CPU)(x, sigma)
    assert not torch.equal(one, two)
    assert float((one - two).square().mean()) < 1e-3 * float((one - x).square().mean())


def test_training_begins_from_a_shrunk_model(tiny_folder: Path, tmp_path: Path) -> None:
    found = shrink(ModelCard.read(tiny_folder), tmp_path / "small")
    network = WindowUNet.from_config(WindowUNet.load_config(str(tiny_folder)))
    load_weights(network, found.folder, "class_embedding.")
    expected = read_weights(found.path)
    assert all(torch.equal(v, expected[k].float()) for k, v in network.state_dict().items())


def test_what_cannot_be_shrunk_is_said(tiny_folder: Path, tmp_path: Path) -> None:
    card = ModelCard.read(tiny_folder)
    small = shrink(card, tmp_path / "small")
    with pytest.raises(InputError, match="in 8 bits already"):
        shrink(small, tmp_path / "smaller")
    with pytest.raises(InputError, match="small holds something already"):
        shrink(card, tmp_path / "small")
    with pytest.raises(InputError, match="cannot be shrunk"):
        shrink(get_model(None, "autoencoder"), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_factor_that_is_missing_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    small = shrink(ModelCard.read(tiny_folder), tmp_path / "small")
    weights = load_file(small.path)
    key = next(k for k in weights if k.endswith(".scale"))
    save_file({k: v for k, v in weights.items() if k != key}, small.path)
    small.write()
    with pytest.raises(ModelError, match=f"8 bits without {key}"):
        ModelCard.read(small.folder).make(CPU)
