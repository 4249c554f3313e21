"""Tiny random checkpoints, written by diffusers itself in its own format."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ConsistencyModelPipeline,
    ControlNetModel,
    DDPMPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from PIL import Image

from gesso import cards

Pixel = Callable[..., Path]


def tiny_unet(**config: Any) -> UNet2DModel:
    """Two levels, with attention at the lower one."""
    torch.manual_seed(0)
    stated = {
        "sample_size": 32,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 8,
        "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    }
    return UNet2DModel(**(stated | config))


def tiny_text_unet(**config: Any) -> UNet2DConditionModel:
    torch.manual_seed(1)
    stated = {
        "sample_size": 16,
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "cross_attention_dim": 12,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    }
    return UNet2DConditionModel(**(stated | config))


def tiny_vae(**config: Any) -> AutoencoderKL:
    """Two levels: one latent sample for 2 x 2 pixels."""
    torch.manual_seed(2)
    stated = {
        "block_out_channels": (8, 8),
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
        "norm_num_groups": 4,
        "latent_channels": 4,
    }
    return AutoencoderKL(**(stated | config))


def tiny_controlnet(**config: Any) -> ControlNetModel:
    """For :func:`tiny_text_unet` and :func:`tiny_vae`; trained, so that it adds something."""
    torch.manual_seed(3)
    stated = {
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "norm_num_groups": 4,
        "attention_head_dim": 4,
        "cross_attention_dim": 12,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "conditioning_embedding_out_channels": (4, 8),
    }
    network = ControlNetModel(**(stated | config))
    for parameter in network.parameters():
        if not parameter.detach().any():
            torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.fixture
def pixel(tmp_path: Path) -> Pixel:
    """Writes a pipeline of a U-Net and a scheduler, and names its folder."""

    def write(scheduler: Any, save: dict[str, Any] | None = None, **config: Any) -> Path:
        folder = tmp_path / "pipeline"
        network = tiny_unet(**config)
        consistency = "CMStochastic" in type(scheduler).__name__
        pipeline = ConsistencyModelPipeline if consistency else DDPMPipeline
        pipeline(unet=network, scheduler=scheduler).save_pretrained(folder, **(save or {}))
        return folder

    return write


def write_latent(folder: Path, scheduler: Any, unet: Any = None, vae: Any = None) -> Path:
    """The layout of StableDiffusionPipeline without its text encoder."""
    unet = unet or tiny_text_unet()
    parts = {"unet": unet, "vae": vae or tiny_vae(), "scheduler": scheduler}
    index: dict[str, Any] = {"_class_name": "StableDiffusionPipeline"}
    for name, part in parts.items():
        part.save_pretrained(folder / name)
        index[name] = ["diffusers", type(part).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture
def picture() -> Image.Image:
    """70 x 44: whole tiles in neither direction."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(3, 6, 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse[None], (44, 70), mode="bilinear")[0]
    return Image.fromarray((smooth.permute(1, 2, 0) * 255).byte().numpy())


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    """Folders known by their path are forgotten again."""
    yield
    for name in [name for name in cards._registry if "/" in name]:
        del cards._registry[name]
    cards._make.cache_clear()
