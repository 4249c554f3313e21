"""A checkpoint's own DDIM: its levels, and its way up and down as diffusers goes it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, PNDMScheduler, UNet2DModel

import gesso
from gesso.checkpoints.ddim import ddim_levels
from gesso.checkpoints.denoisers import VPDenoiser
from gesso.errors import ModelError
from gesso.latent.repair import RepairOptions, repair
from gesso.runtime import Runtime
from gesso.sampling import ddim_invert, ddim_sample

from .conftest import tiny_unet, write_latent

FP32 = Runtime("cpu", "fp32")
# As Stable Diffusion 2.1 has it.
STABLE = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "set_alpha_to_one": False,
    "clip_sample": False,
}
STEPS = 5


def latent_model(folder: Path, scheduler: Any) -> tuple[VPDenoiser, UNet2DModel]:
    unet = tiny_unet(in_channels=4, out_channels=4, sample_size=16)
    write_latent(folder, scheduler, unet)
    denoiser = gesso.load(str(folder), runtime=FP32)
    assert isinstance(denoiser, VPDenoiser)
    return denoiser, unet.eval()


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(2, 4, 8, 12, generator=torch.Generator().manual_seed(1))


def up(z: torch.Tensor, unet: UNet2DModel, scheduler: DDIMScheduler) -> torch.Tensor:
    """diffusers' DDIM inversion, its network told the timestep it leaves, as Eq. 1 has it."""
    inverse = DDIMInverseScheduler.from_config(scheduler.config)
    inverse.set_timesteps(STEPS)
    ratio = scheduler.config.num_train_timesteps // STEPS
    for t in inverse.timesteps.tolist():
        left = t - ratio
        if left >= 0 or not scheduler.config.set_alpha_to_one:
            out = unet(z, max(left, 0)).sample
        else:
            # From abar 1, which is no timestep's: the network sees the next one.
            a = scheduler.alphas_cumprod[t]
            out = unet(a.sqrt() * z, t).sample
            if scheduler.config.prediction_type == "v_prediction":
                # With abar 1 the scheduler takes the velocity for the noise.
                out = a.sqrt() * out + (1 - a).sqrt() * a.sqrt() * z
        z = inverse.step(out, t, z).prev_sample
    return z


def down(z: torch.Tensor, unet: UNet2DModel, scheduler: DDIMScheduler) -> torch.Tensor:
    scheduler.set_timesteps(STEPS)
    for t in scheduler.timesteps.tolist():
        z = scheduler.step(unet(z, t).sample, t, z).prev_sample
    return z


CONFIGS = {
    "sd": STABLE,
    "sd-v": {**STABLE, "prediction_type": "v_prediction"},
    "alpha-one": {**STABLE, "set_alpha_to_one": True},
    "alpha-one-v": {**STABLE, "set_alpha_to_one": True, "prediction_type": "v_prediction"},
    "no-offset": {**STABLE, "steps_offset": 0},
    "trailing": {**STABLE, "timestep_spacing": "trailing"},
    "zero-snr-v": {**STABLE, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction"},
    "linear": {"beta_schedule": "linear", "clip_sample": False},
    "cosine": {**STABLE, "beta_schedule": "squaredcos_cap_v2"},
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_up_and_down_as_diffusers(
    tmp_path: Path, latents: torch.Tensor, config: dict[str, Any]
) -> None:
    scheduler = DDIMScheduler(**config)
    denoiser, unet = latent_model(tmp_path / "ldm", scheduler)
    levels = denoiser.rising(STEPS, 1.0)
    # What a schedule that begins at abar < 1 calls clean is sqrt(abar) of ours.
    least, most = (1 + levels[[0, -1]].square()).sqrt().tolist()
    with torch.inference_mode():
        noise = up(latents, unet, scheduler)
        x = ddim_invert(denoiser, latents * least, levels)
        close = {"rtol": 1e-3, "atol": 1e-3}
        torch.testing.assert_close(x / most, noise, **close)
        assert float((noise - latents).abs().mean()) > 0.3
        # 3 decimals of 30: what both hold at a level of sigma 30.
        back = ddim_sample(denoiser, noise * most, levels.flip(0)) / least
        expected = down(noise, unet, scheduler)
        torch.testing.assert_close(back, expected, rtol=1e-3, atol=1e-4 * most)
        whole = repair(denoiser, latents, RepairOptions(STEPS, 1.0))
        torch.testing.assert_close(whole, expected, rtol=2e-3, atol=5e-4 * most)


def test_each_step_up_is_equation_1(tmp_path: Path, latents: torch.Tensor) -> None:
    scheduler = DDIMScheduler(**STABLE)
    denoiser, unet = latent_model(tmp_path / "ldm", scheduler)
    steps = [0, 1, 201, 401, 601]
    a = scheduler.alphas_cumprod.double()
    with torch.inference_mode():
        z = latents
        for t, u in pairwise(steps):
            eps = unet(z, t).sample
            # Eq. 1, letter by letter
            z = (a[u] / a[t]).sqrt().float() * z + (
                a[u].sqrt() * ((1 / a[u] - 1).sqrt() - (1 / a[t] - 1).sqrt())
            ).float() * eps
        levels = (1 / a[steps] - 1).sqrt()
        x = ddim_invert(denoiser, latents / a[0].sqrt().float(), levels)
    torch.testing.assert_close(x * a[601].sqrt().float(), z, rtol=1e-3, atol=1e-3)


def test_levels_are_of_the_timesteps_that_the_config_states() -> None:
    bars = DDIMScheduler(**STABLE).alphas_cumprod.double()
    sigma = (1 / bars - 1).sqrt()

    def at(*timesteps: int) -> torch.Tensor:
        return sigma[list(timesteps)]

    torch.testing.assert_close(ddim_levels(STABLE, 4, 1.0), at(0, 1, 251, 501, 751))
    # 20 of 500: two timesteps apart
    assert len(ddim_levels(STABLE, 20, 0.04)) == 21
    torch.testing.assert_close(ddim_levels(STABLE, 20, 0.04)[-1:], at(39))
    # There are no more than 40 in that share.
    torch.testing.assert_close(ddim_levels(STABLE, 60, 0.04)[-1:], at(40))
    assert len(ddim_levels(STABLE, 60, 0.04)) == 41
    trailing = {**STABLE, "timestep_spacing": "trailing"}
    torch.testing.assert_close(ddim_levels(trailing, 2, 0.5), at(0, 249, 499))
    one = {**trailing, "set_alpha_to_one": True}
    levels = ddim_levels(one, 4, 1.0)
    assert levels[0] == 0
    torch.testing.assert_close(levels[1:], at(249, 499, 749, 999))
    # The offset of a schedule that is passed whole leads beyond its end.
    assert float(ddim_levels(STABLE, 1000, 1.0)[-1]) == float(sigma[-1])


@pytest.mark.parametrize("share", [0.0, 5e-324, 1e-9])
def test_the_least_share_is_one_timestep(share: float) -> None:
    levels = ddim_levels(STABLE, 7, share)
    assert len(levels) == 2 and 0 < levels[0] < levels[1] < 0.05


def test_a_level_of_no_signal_is_the_last_with_some() -> None:
    config = {**STABLE, "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}
    levels = ddim_levels(config, 4, 1.0)
    assert bool(levels.isfinite().all()) and levels[-1] > 100
    scheduler = DDIMScheduler(**config)
    assert scheduler.alphas_cumprod[-1] == 0
    bar = float(scheduler.alphas_cumprod[-2])
    assert float(levels[-1]) == pytest.approx((1 / bar - 1) ** 0.5)


def test_another_scheduler_of_the_family_states_the_same() -> None:
    stated = {n: v for n, v in STABLE.items() if n != "clip_sample"}
    config = dict(PNDMScheduler(**stated, skip_prk_steps=True).config)
    torch.testing.assert_close(ddim_levels(config, 5, 0.5), ddim_levels(STABLE, 5, 0.5))


def test_a_damaged_schedule_is_named() -> None:
    with pytest.raises(ModelError, match="schedule is damaged"):
        ddim_levels({**STABLE, "timestep_spacing": "random"}, 5, 0.5)


def test_the_share_below_a_level(tmp_path: Path) -> None:
    denoiser, _ = latent_model(tmp_path / "ldm", DDIMScheduler(**STABLE))
    sigma = (1 / DDIMScheduler(**STABLE).alphas_cumprod.double() - 1).sqrt()
    for timestep in (10, 500, 998):
        assert denoiser.share(float(sigma[timestep]) * 1.0001) == (timestep + 1) / 1000
    assert denoiser.share(1e-9) == 0 and denoiser.share(99.0) == 1
