"""The footprint of Stable Diffusion: counted at its real size without its weights."""

from __future__ import annotations

import torch

from gesso.training.footprint import Footprint, _Meter, footprint

# The configs of Stable Diffusion 2.1, as far as diffusers' defaults are others.
UNET = {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "sample_size": 96,
    "use_linear_projection": True,
}
VAE = {
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
    "layers_per_block": 2,
}


def test_stable_diffusion_2_1() -> None:
    found = footprint(UNET, VAE, 1, 256)
    assert (found.parameters, found.tuned) == (865_910_724, 99_926_400)
    assert found.weights == 4 * (865_910_724 + 83_653_863)
    assert found.optimiser == 16 * found.tuned
    assert 0.5 * 2**30 < found.activations < 4 * 2**30
    assert 1.5e12 < found.operations < 4e12
    assert found.describe().startswith("a U-Net of 865,910,724 parameters, 99,926,400 of them")


def test_distilling_takes_two_more_networks() -> None:
    unet = {
        "block_out_channels": [32, 64],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "cross_attention_dim": 16,
    }
    plain, distill = (footprint(unet, {}, 1, 64, distill=d) for d in (False, True))
    assert distill.weights - plain.weights == 8 * plain.parameters
    assert distill.optimiser - plain.optimiser == 12 * plain.parameters
    assert isinstance(plain, Footprint) and plain.tuned == distill.tuned


def test_bytes_are_counted_while_they_are_alive() -> None:
    x = torch.zeros(256, device="meta")
    with _Meter() as meter:
        for _ in range(5):
            x = x + 1
            x.mul_(2)
        del x
    assert (meter.peak, meter.now) == (2048, 0)


def test_a_tiny_autoencoder_takes_less() -> None:
    unet = {
        "block_out_channels": [32, 64],
        "down_block_types": ["CrossAttnDownBlock2D", "DownBlock2D"],
        "up_block_types": ["UpBlock2D", "CrossAttnUpBlock2D"],
        "cross_attention_dim": 16,
    }
    large, tiny = (footprint(unet, vae, 1, 64) for vae in (VAE, {"_class_name": "AutoencoderTiny"}))
    assert tiny.parameters == large.parameters
    assert tiny.weights < large.weights - 4 * 80_000_000
    assert 0 < tiny.operations < large.operations
