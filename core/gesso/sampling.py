"""Samplers: plain functions of a denoiser, a noisy picture and noise levels.

All of them start in the middle of the trajectory: ``x`` is a decoded picture plus
noise of the first level, as system E ("Fast Training-free Perceptual Image
Compression", forward process then denoising) does it. Pictures are (B, 3, H, W) on
[-1, 1]; a denoiser is ``D(x, sigma (B,)) -> x0``.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from gesso.denoiser import Denoiser

__all__ = ["denoise", "dpm_solver", "euler_sde", "karras_sigmas"]

# One grey level of 8 bits: what noise is left below it cannot be seen.
SIGMA_MIN = 0.008
Draw = Callable[[int], Tensor]


def karras_sigmas(steps: int, sigma: float, rho: float = 7.0) -> Tensor:
    """``steps`` levels from ``sigma`` down, then 0 (Karras et al. 2022, Eq. 5)."""
    low = min(SIGMA_MIN, sigma / 4)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (sigma ** (1 / rho) + ramp * (low ** (1 / rho) - sigma ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)]).float()


def denoise(denoiser: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """One evaluation: the posterior mean (Tweedie)."""
    return denoiser(x, x.new_full((len(x),), sigma))


def dpm_solver(denoiser: Denoiser, x: Tensor, sigma: float, steps: int) -> Tensor:
    """Probability-flow ODE by DPM-Solver++(2M) (Lu et al. 2022), on diffusers' scheduler.

    Args:
        denoiser: evaluated ``steps`` times.
        x: picture plus noise of level ``sigma``.
        sigma: first level; the others follow Karras' schedule.
        steps: number of evaluations.
    """
    from diffusers.schedulers.scheduling_edm_dpmsolver_multistep import (
        EDMDPMSolverMultistepScheduler,
    )

    class CleanPrediction(EDMDPMSolverMultistepScheduler):
        """The scheduler for models that already return x0."""

        def convert_model_output(self, model_output: Tensor, sample: Tensor) -> Tensor:
            return model_output

    if steps == 1:
        return denoise(denoiser, x, sigma)
    scheduler = CleanPrediction(sigma_min=min(SIGMA_MIN, sigma / 4), sigma_max=sigma)
    scheduler.set_timesteps(steps)
    for level, timestep in zip(scheduler.sigmas[:-1].tolist(), scheduler.timesteps, strict=True):
        x = scheduler.step(denoise(denoiser, x, level), timestep, x).prev_sample
    return x


def euler_sde(denoiser: Denoiser, x: Tensor, sigmas: Tensor, draw: Draw) -> Tensor:
    """Reverse SDE by Euler's ancestral steps (Karras et al. 2022; system E, medium and slow).

    Args:
        denoiser: evaluated once per level but the last.
        x: picture plus noise of level ``sigmas[0]``.
        sigmas: falling levels, the last one 0.
        draw: fresh white noise of x's shape for step 1, 2, ...
    """
    levels = cast(list[float], sigmas.tolist())
    for step, (high, low) in enumerate(pairwise(levels), start=1):
        clean = denoise(denoiser, x, high)
        up = (low**2 * (high**2 - low**2) / high**2) ** 0.5
        down = (low**2 - up**2) ** 0.5
        x = clean + (x - clean) * (down / high)
        if up > 0:
            x = x + up * draw(step)
    return x
