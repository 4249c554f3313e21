"""Autoencoders: ours by their card, public ones by their folder or their pipeline's."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, UNet2DModel
from safetensors.torch import load_file, save_file
from tests.core.checkpoints.conftest import tiny_vae
from tests.core.conftest import own_autoencoder, tiny_autoencoder

import gesso
from gesso.autoencoder import Autoencoder
from gesso.cards import ModelCard, get_model, load
from gesso.checkpoints.latent import LatentSpace
from gesso.errors import ModelError
from gesso.runtime import Runtime

FP32 = Runtime("cpu", "fp32")
WEIGHTS = "diffusion_pytorch_model.safetensors"


def pipeline(folder: Path, network: Any) -> Path:
    """An unconditional latent model around an autoencoder."""
    unet = UNet2DModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    parts = {"unet": unet, "vae": network, "scheduler": DDIMScheduler()}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
    index = {name: ["diffusers", type(part).__name__] for name, part in parts.items()}
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "LDMPipeline", **index}))
    return folder


@pytest.fixture
def pixels() -> torch.Tensor:
    return torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_our_own_is_loaded_by_its_card(tmp_path: Path, pixels: torch.Tensor) -> None:
    own_autoencoder(tmp_path / "own", latent_magnitude=5, scaling_factor=0.7, shift_factor=0.1)
    autoencoder = load(str(tmp_path / "own"), "autoencoder", FP32)
    assert isinstance(autoencoder, Autoencoder)
    assert (autoencoder.factor, autoencoder.channels, autoencoder.magnitude) == (4, 4, 5.0)
    assert (autoencoder.scale, autoencoder.shift) == (0.7, 0.1)
    assert autoencoder.device == torch.device("cpu")
    network = tiny_autoencoder().half().float()
    with torch.inference_mode():
        latents = autoencoder.encode(pixels)
        assert latents.shape == (2, 4, 4, 6) and latents.dtype == torch.float32
        torch.testing.assert_close(latents, network.encode(pixels).latents)
        torch.testing.assert_close(autoencoder.decode(latents), network.decode(latents).sample)


def test_weights_that_are_not_the_cards_are_refused(tmp_path: Path) -> None:
    card = own_autoencoder(tmp_path)
    content = bytearray(card.path.read_bytes())
    content[-1] ^= 1
    card.path.write_bytes(content)
    with pytest.raises(ModelError, match=r"SHA-256.*train it anew"):
        card.make(FP32)
    other = own_autoencoder(tmp_path)
    (tmp_path / WEIGHTS).rename(tmp_path / "diffusion_pytorch_model.fp16.safetensors")
    with pytest.raises(ModelError, match="card does not name"):
        other.make(FP32)


@pytest.mark.parametrize("fault", ["missing", "unexpected", "shape"])
def test_weights_that_do_not_fit_their_config_are_refused(tmp_path: Path, fault: str) -> None:
    card = own_autoencoder(tmp_path)
    tensors = load_file(tmp_path / WEIGHTS)
    name = sorted(tensors)[0]
    if fault == "unexpected":
        tensors["other.weight"] = torch.zeros(1)
    elif fault == "missing":
        del tensors[name]
    else:
        tensors[name] = torch.zeros(3)
    save_file(tensors, tmp_path / WEIGHTS, {"format": "pt"})
    card.write()
    with pytest.raises(ModelError, match="do not fit their config"):
        ModelCard.read(tmp_path).make(FP32)


def test_half_precision_is_for_convolutions(tmp_path: Path, pixels: torch.Tensor) -> None:
    half, full = Runtime("cpu", "bf16"), FP32
    folder = own_autoencoder(tmp_path / "own").folder
    found = load(str(folder), "autoencoder", half)
    assert next(found.network.parameters()).dtype == torch.bfloat16
    with torch.inference_mode():
        latents = found.encode(pixels)
        exact = load(str(folder), "autoencoder", full).encode(pixels)
    assert latents.dtype == torch.float32
    assert 0 < float((latents - exact).abs().max()) < 0.05
    tiny_vae().save_pretrained(tmp_path / "large")
    kept = load(str(tmp_path / "large"), "autoencoder", half)
    assert next(kept.network.parameters()).dtype == torch.float32


@pytest.mark.parametrize("scaling", [0.18215, 0.13025])
def test_a_public_folder_is_an_autoencoder(
    tmp_path: Path, pixels: torch.Tensor, scaling: float
) -> None:
    tiny_vae(scaling_factor=scaling, shift_factor=0.25).save_pretrained(tmp_path / "large")
    autoencoder = load(str(tmp_path / "large"), "autoencoder", FP32)
    assert (autoencoder.factor, autoencoder.channels) == (2, 4)
    assert (autoencoder.scale, autoencoder.shift) == (scaling, 0.25)
    # 23.22 for Stable Diffusion's, as the original notebook has it.
    assert math.isclose(autoencoder.magnitude * scaling, 127.5 * 0.18215**2)
    network = tiny_vae(scaling_factor=scaling)
    with torch.inference_mode():
        latents = autoencoder.encode(pixels)
        torch.testing.assert_close(latents, network.encode(pixels).latent_dist.mode())
        torch.testing.assert_close(autoencoder.decode(latents), network.decode(latents).sample)
    with pytest.raises(ModelError, match="is no prior"):
        get_model(str(tmp_path / "large"), "prior")


def test_a_public_tiny_one_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tiny_autoencoder().save_pretrained(tmp_path / "tiny")
    card = get_model(str(tmp_path / "tiny"), "autoencoder")
    assert card.role == "autoencoder" and "AutoencoderTiny" in card.summary
    assert load(card.name, "autoencoder", FP32).magnitude == 3
    assert capfd.readouterr().err == ""
    network = tmp_path / "tiny" / WEIGHTS
    save_file({k: v + 1 for k, v in load_file(network).items()}, network, {"format": "pt"})
    with pytest.raises(ModelError, match="has changed"):
        card.make(FP32)


@pytest.mark.parametrize("first", ["prior", "autoencoder"])
def test_a_pipeline_lends_its_own(tmp_path: Path, first: Any) -> None:
    folder = pipeline(tmp_path / "pipeline", tiny_vae())
    # In either order: the folder is known as one of them then.
    for role in (first, "autoencoder", "prior", "autoencoder"):
        card = get_model(str(folder), role)
        assert card.role == role
        assert card.folder == (folder / "vae" if role == "autoencoder" else folder)
    vae = load(str(folder), "autoencoder", FP32)
    assert vae.factor == 2
    assert get_model(str(folder / "vae"), "autoencoder") == get_model(str(folder), "autoencoder")


def test_a_latent_model_may_have_a_tiny_one(tmp_path: Path, pixels: torch.Tensor) -> None:
    folder = pipeline(
        tmp_path / "pipeline", tiny_autoencoder(scaling_factor=0.5, shift_factor=0.25)
    )
    denoiser = load(str(folder), "prior", FP32)
    assert denoiser.grid == 8 and denoiser.space.factor == 4
    network = tiny_autoencoder()
    with torch.inference_mode():
        latents = (network.encode(pixels).latents - 0.25) * 0.5
        torch.testing.assert_close(denoiser.space.encode(pixels), latents)
        pictures = network.decode(latents / 0.5 + 0.25).sample
        torch.testing.assert_close(denoiser.space.decode(latents), pictures)
    picture = np.zeros((20, 36, 3), np.uint8)
    found = gesso.enhance(picture, sigma=0.1, steps=1, model=str(folder), runtime=FP32)
    assert found.shape == picture.shape


def test_raw_latents_are_the_way_back_of_scaled_ones() -> None:
    space = LatentSpace(Autoencoder(tiny_vae(shift_factor=0.5)))
    latents = torch.randn(1, 4, 3, 5)
    torch.testing.assert_close(space.raw(space.scaled(latents)), latents)
    # Nothing is measured before it is asked for.
    assert "levels" not in vars(space)


@pytest.mark.parametrize(
    ("network", "word"),
    [
        (lambda: tiny_vae(in_channels=1), "pictures have 3"),
        (lambda: tiny_vae(latents_mean=[0.0] * 4), "states latents_mean"),
        (
            lambda: tiny_autoencoder(upsampling_scaling_factor=3),
            "4 times smaller and 9 times larger",
        ),
        (lambda: tiny_vae(scaling_factor=0), "scaling_factor 0; it must be a positive number"),
        (lambda: tiny_autoencoder(latent_magnitude=None), "latent_magnitude None"),
    ],
    ids=["grey", "mean", "factor", "scale", "magnitude"],
)
def test_what_does_not_fit_is_named(tmp_path: Path, network: Any, word: str) -> None:
    network().save_pretrained(tmp_path / "odd")
    with pytest.raises(ModelError, match=word):
        load(str(tmp_path / "odd"), "autoencoder", FP32)


def test_other_folders_name_the_mend(tmp_path: Path) -> None:
    folder = pipeline(tmp_path / "pipeline", tiny_vae())
    with pytest.raises(ModelError, match=r"holds a UNet2DModel; as autoencoders gesso runs"):
        get_model(str(folder / "unet"), "autoencoder")
    for file in (folder / "vae").iterdir():
        file.unlink()
    (folder / "vae").rmdir()
    with pytest.raises(ModelError, match="has no vae; pass the folder of"):
        get_model(str(folder), "autoencoder")
    with pytest.raises(ModelError, match="no autoencoder named 'none'"):
        get_model("none", "autoencoder")
    network = UNet2DModel(
        block_out_channels=(32,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",)
    )
    with pytest.raises(ModelError, match="is a UNet2DModel"):
        Autoencoder(network)


def test_gradients_are_checkpointed_where_diffusers_does_it_right(pixels: torch.Tensor) -> None:
    for network in (tiny_autoencoder(), tiny_vae()):
        autoencoder = Autoencoder(network.train())
        plain = autoencoder.encode(pixels)
        autoencoder.checkpoint_gradients()
        torch.testing.assert_close(autoencoder.encode(pixels), plain)
