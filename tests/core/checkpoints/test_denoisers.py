"""Each family's D(x, sigma) is what diffusers' own scheduler makes of the same network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    CMStochasticIterativeScheduler,
    DDIMScheduler,
    DDPMScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    PNDMScheduler,
    UNet2DModel,
)
from torch import Tensor

import gesso
from gesso.checkpoints.denoisers import Layout, VPDenoiser
from gesso.runtime import Runtime

FP32 = Runtime("cpu", "fp32")
BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def noisy(sigma: float, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    clean = torch.rand(1, channels, 16, 32, generator=generator) * 2 - 1
    return clean + sigma * torch.randn(clean.shape, generator=generator)


def ours(folder: Path, x: Tensor, sigma: float) -> Tensor:
    denoiser = gesso.load(str(folder), runtime=FP32)
    assert denoiser.grid == 2 and denoiser.tile == 32 and denoiser.device.type == "cpu"
    with torch.inference_mode():
        out = denoiser(x, torch.tensor([sigma]))
    assert isinstance(out, Tensor) and out.dtype == torch.float32
    return out


@torch.inference_mode()
def of_ddpm(scheduler: Any, network: UNet2DModel, x: Tensor, step: int, **given: Tensor) -> Tensor:
    """x0 as DDIM's step sees it, from the variance-exploding picture x."""
    bar = scheduler.alphas_cumprod[step]
    inner = bar.sqrt() * x
    out = network(inner, step, **given).sample[:, : x.shape[1]]
    ddim = DDIMScheduler.from_config(scheduler.config, clip_sample=False)
    ddim.set_timesteps(len(scheduler.alphas_cumprod))
    return ddim.step(out, step, inner).pred_original_sample


def sigma_of(scheduler: Any, step: int) -> float:
    bar = scheduler.alphas_cumprod[step].double()
    return float(((1 - bar) / bar).sqrt())


@pytest.mark.parametrize("step", [0, 250, 998])
@pytest.mark.parametrize(
    "scheduler",
    [
        DDPMScheduler(),
        DDPMScheduler(variance_type="learned_range"),
        DDIMScheduler(**BETAS, prediction_type="v_prediction"),
        DDIMScheduler(beta_schedule="squaredcos_cap_v2", prediction_type="sample"),
        DDIMScheduler(**BETAS, rescale_betas_zero_snr=True, prediction_type="v_prediction"),
        PNDMScheduler(**BETAS),
        EulerDiscreteScheduler(**BETAS),
    ],
    ids=["ddpm", "adm", "v", "sample", "zero-snr", "pndm", "euler"],
)
def test_variance_preserving_models(pixel: Any, scheduler: Any, step: int) -> None:
    learned = scheduler.config.get("variance_type") == "learned_range"
    folder = pixel(scheduler, out_channels=6 if learned else 3)
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    sigma = sigma_of(scheduler, step)
    x = noisy(sigma)
    expected = of_ddpm(scheduler, network, x, step)
    # float32 over a sigma of up to hundreds
    torch.testing.assert_close(ours(folder, x, sigma), expected, rtol=1e-4, atol=2e-4 * (1 + sigma))


def test_between_timesteps_time_is_linear_in_log_sigma_and_held_beyond() -> None:
    scheduler = DDPMScheduler()
    denoiser = VPDenoiser(torch.nn.Identity(), Layout(1), scheduler.alphas_cumprod)
    low, high = sigma_of(scheduler, 100), sigma_of(scheduler, 101)
    between = torch.tensor([low, (low * high) ** 0.5, high, 1e-6, 1e6])
    steps = denoiser.timestep(between)
    torch.testing.assert_close(
        steps, torch.tensor([100.0, 100.5, 101.0, 0.0, 999.0]), rtol=0, atol=2e-3
    )
    whole = VPDenoiser(torch.nn.Identity(), Layout(1), scheduler.alphas_cumprod, whole_steps=True)
    assert whole.timestep(between).tolist() in ([100, 100, 101, 0, 999], [100, 101, 101, 0, 999])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("sigma", [0.01, 0.2, 3.0])
def test_edm_models(pixel: Any, prediction: str, sigma: float) -> None:
    scheduler = EDMEulerScheduler(sigma_min=sigma, sigma_max=sigma, prediction_type=prediction)
    folder = pixel(scheduler)
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    scheduler.set_timesteps(1)
    step, x = scheduler.timesteps[0], noisy(sigma)
    with torch.inference_mode():
        out = network(scheduler.scale_model_input(x, step), step).sample
        expected = scheduler.step(out, step, x).pred_original_sample
    torch.testing.assert_close(ours(folder, x, sigma), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("index", [0, 20, 38])
def test_consistency_models(pixel: Any, index: int) -> None:
    scheduler = CMStochasticIterativeScheduler(clip_denoised=False)
    folder = pixel(scheduler)
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    # One step only: the scheduler then adds no noise to what it denoised.
    scheduler.set_timesteps(timesteps=[index])
    step, sigma = scheduler.timesteps[0], float(scheduler.sigmas[0])
    x = noisy(sigma)
    with torch.inference_mode():
        out = network(scheduler.scale_model_input(x, step), step).sample
        expected = scheduler.step(out, step, x).prev_sample
    torch.testing.assert_close(ours(folder, x, sigma), expected, rtol=1e-3, atol=1e-3)


def test_a_consistency_model_changes_nothing_at_the_least_noise(pixel: Any) -> None:
    folder = pixel(CMStochasticIterativeScheduler())
    x = noisy(0.002)
    for sigma in (0.002, 0.0001):
        torch.testing.assert_close(ours(folder, x, sigma), x)


def test_a_class_is_given_to_every_picture(pixel: Any) -> None:
    scheduler = DDPMScheduler()
    folder = pixel(scheduler, num_class_embeds=10)
    (folder / "gesso.json").write_text('{"class_label": 7}')
    network = UNet2DModel.from_pretrained(folder / "unet", low_cpu_mem_usage=False)
    x, sigma = noisy(sigma_of(scheduler, 300)), sigma_of(scheduler, 300)
    expected, other = (
        of_ddpm(scheduler, network, x, 300, class_labels=torch.tensor([label])) for label in (7, 3)
    )
    torch.testing.assert_close(ours(folder, x, sigma), expected, rtol=1e-4, atol=1e-3)
    assert float((expected - other).abs().max()) > 1e-2
    denoiser = gesso.load(str(folder), runtime=FP32)
    both = denoiser(torch.cat([x, x]), torch.tensor([sigma, sigma]))
    torch.testing.assert_close(both[1:], expected, rtol=1e-4, atol=1e-3)


def test_half_precision_stays_inside_the_network(pixel: Any) -> None:
    folder = pixel(DDPMScheduler())
    x = noisy(0.1)
    exact = ours(folder, x, 0.1)
    rough = gesso.load(str(folder), runtime=Runtime("cpu", "bf16"))
    assert next(rough.network.parameters()).dtype == torch.bfloat16
    out = rough(x, torch.tensor([0.1]))
    assert out.dtype == torch.float32
    assert float((out - exact).abs().max()) < 0.02
