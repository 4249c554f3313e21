"""Published architectures on the meta device: their configs build, with the stated parameters.

The configs are those of the repositories' own JSON; the one of ADM says in UNet2DModel's terms
what guided-diffusion's README states for 256x256_diffusion_uncond.pt.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet2DModel

RESNET = {
    "attention_head_dim": 64,
    "attn_norm_num_groups": 32,
    "resnet_time_scale_shift": "scale_shift",
    "downsample_type": "resnet",
    "upsample_type": "resnet",
}
# stabilityai/stable-diffusion-2-1, unet/config.json and vae/config.json
STABLE_UNET = {
    "act_fn": "silu",
    "attention_head_dim": [5, 10, 20, 20],
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 1024,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "downsample_padding": 1,
    "dual_cross_attention": False,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "out_channels": 4,
    "sample_size": 96,
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
    "upcast_attention": True,
    "use_linear_projection": True,
}
STABLE_VAE = {
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 768,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
# openai/diffusers-cd_imagenet64_l2, unet/config.json
CONSISTENCY = RESNET | {
    "block_out_channels": [192, 384, 576, 768],
    "down_block_types": ["ResnetDownsampleBlock2D", *["AttnDownBlock2D"] * 3],
    "layers_per_block": 3,
    "num_class_embeds": 1000,
    "sample_size": 64,
    "up_block_types": [*["AttnUpBlock2D"] * 3, "ResnetUpsampleBlock2D"],
}
# openai/guided-diffusion: --image_size 256 --num_channels 256 --num_res_blocks 2
# --attention_resolutions 32,16,8 --num_head_channels 64 --resblock_updown True
# --use_scale_shift_norm True --learn_sigma True --class_cond False
ADM = RESNET | {
    "block_out_channels": [256, 256, 512, 512, 1024, 1024],
    "down_block_types": [*["ResnetDownsampleBlock2D"] * 3, *["AttnDownBlock2D"] * 3],
    "layers_per_block": 2,
    "out_channels": 6,
    "sample_size": 256,
    "up_block_types": [*["AttnUpBlock2D"] * 3, *["ResnetUpsampleBlock2D"] * 3],
}
PUBLISHED = [
    (UNet2DConditionModel, STABLE_UNET, 865_910_724),
    (AutoencoderKL, STABLE_VAE, 83_653_863),
    (UNet2DModel, CONSISTENCY, 295_899_267),
    (UNet2DModel, ADM, 552_814_086),
]


@pytest.mark.parametrize(("kind", "config", "count"), PUBLISHED, ids=["sd", "vae", "cd", "adm"])
def test_parameters_are_those_published(kind: Any, config: dict[str, Any], count: int) -> None:
    with torch.device("meta"):
        network = kind.from_config(config)
    assert sum(p.numel() for p in network.parameters()) == count


def test_a_tile_of_stable_diffusion_is_96_latents_wide() -> None:
    with torch.device("meta"):
        vae, unet = (
            AutoencoderKL.from_config(STABLE_VAE),
            UNet2DConditionModel.from_config(STABLE_UNET),
        )
        latents = vae.encode(torch.zeros(1, 3, 768, 768)).latent_dist.mode()
        assert latents.shape == (1, 4, STABLE_UNET["sample_size"], STABLE_UNET["sample_size"])
        out = unet(latents, torch.zeros(1), torch.zeros(1, 77, 1024)).sample
        assert vae.decode(out).sample.shape == (1, 3, 768, 768)


@pytest.mark.parametrize(
    ("config", "wishes", "grid", "tile", "channels"),
    [(CONSISTENCY, {"class_label": 0}, 8, 64, 3), (ADM, {}, 32, 256, 6)],
    ids=["cd", "adm"],
)
def test_tiles_of_pixel_models(
    config: dict[str, Any], wishes: dict[str, int], grid: int, tile: int, channels: int
) -> None:
    """One tile of the size that gesso will use, through shapes alone."""
    from pathlib import Path

    from gesso.checkpoints.folder import Checkpoint, Part, Wishes
    from gesso.checkpoints.loading import _layout
    from gesso.checkpoints.weights import Weights
    from gesso.runtime import Runtime

    part = Part(Path(), "UNet2DModel", config, Weights(None, ()))
    checkpoint = Checkpoint(Path(), "vp", part, {}, None, None, Wishes(**wishes), ())
    layout = _layout(checkpoint, Runtime("cpu", "fp32"))
    assert (layout.grid, layout.tile) == (grid, tile)
    with torch.device("meta"):
        network = UNet2DModel.from_config(config).eval()
        labels = torch.zeros(1, dtype=torch.long) if "num_class_embeds" in config else None
        x, step = torch.zeros(1, 3, tile, tile), torch.zeros(1)
        assert network(x, step, labels).sample.shape == (1, channels, tile, tile)
