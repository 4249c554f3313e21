"""Samplers: plain functions of a denoiser, a noisy picture and noise levels.

All but :func:`ddim_invert` start in the middle of the trajectory: ``x`` is a decoded picture
plus noise of the first level, as system E ("Fast Training-free Perceptual Image
Compression", forward process then denoising) does it. Pictures are (B, 3, H, W) on
[-1, 1]; a denoiser is ``D(x, sigma (B,)) -> x0``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor
from torch.nn import functional as F

from gesso.denoiser import Denoiser

__all__ = [
    "Draw",
    "ddim_invert",
    "ddim_sample",
    "denoise",
    "dpm_solver",
    "dps_sde",
    "euler_sde",
    "karras_sigmas",
    "low_frequencies_of",
    "multistep_consistency",
]

# One grey level of 8 bits: what noise is left below it cannot be seen.
SIGMA_MIN = 0.008
Draw = Callable[[int], Tensor]
# Side of the windows over which dps_sde measures how far it is from the file, in pixels.
WINDOW = 64
# Residuals below a tenth of a grey level of 8 bits pull ever less, and not by their sign alone.
RESOLUTION = 0.0008


def karras_sigmas(steps: int, sigma: float, rho: float = 7.0) -> Tensor:
    """``steps`` levels from ``sigma`` down, then 0 (Karras et al. 2022, Eq. 5)."""
    low = min(SIGMA_MIN, sigma / 4)
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    levels = (sigma ** (1 / rho) + ramp * (low ** (1 / rho) - sigma ** (1 / rho))) ** rho
    return torch.cat([levels, levels.new_zeros(1)]).float()


def denoise(denoiser: Denoiser, x: Tensor, sigma: float) -> Tensor:
    """One evaluation: the posterior mean (Tweedie)."""
    return denoiser(x, x.new_full((len(x),), sigma))


def low_frequencies_of(reference: Tensor, x: Tensor, deviation: float) -> Tensor:
    """``x`` with the low frequencies of ``reference``: x + low(reference - x).

    Choi et al., "ILVR: conditioning method for denoising diffusion probabilistic models", ICCV
    2021, Eq. 8, with a Gaussian as the low pass.

    Args:
        reference, x: (B, C, H, W).
        deviation: of the Gaussian, in samples.
    """
    reach = math.ceil(3 * deviation)
    places = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = (-(places**2) / (2 * deviation**2)).exp()
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    low = F.pad(reference - x, (reach,) * 4, mode="replicate")
    low = F.conv2d(low, kernel, groups=x.shape[1])
    return x + F.conv2d(low, kernel.transpose(2, 3), groups=x.shape[1])


def multistep_consistency(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    draw: Draw,
    s_noise: float = 1.0,
    hold: Callable[[Tensor], Tensor] = lambda clean: clean,
) -> Tensor:
    """Noise onto the last estimate, and a new one of that: each knows more of the texture.

    Multistep consistency sampling (Song et al., "Consistency models", 2023, Algorithm 1).

    Args:
        denoiser: a consistency model; evaluated once per level.
        x: picture plus noise of level ``sigmas[0]``.
        sigmas: levels; one is :func:`denoise`.
        draw: fresh white noise of x's shape for step 1, 2, ...
        s_noise: ratio of the noise that is added to the level that the model is told.
        hold: what becomes of every estimate, so that they do not go astray.
    """
    first, *others = cast(list[float], sigmas.tolist())
    clean = hold(denoise(denoiser, x, first))
    for step, level in enumerate(others, start=1):
        clean = hold(denoise(denoiser, clean + level * s_noise * draw(step), level))
    return clean


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


def ddim_invert(denoiser: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """Follow the probability flow from a picture to the noise that it comes from.

    DDIM inversion ("Post-processing Based Image Coding via Stable Diffusion", Eq. 1) divided by
    sqrt(a): with sigma = sqrt(1 / a - 1) and x = z / sqrt(a), its step is
    x += (sigma_(t+1) - sigma_t) eps(z_t, t), and eps = (x - D(x, sigma_t)) / sigma_t.

    Args:
        denoiser: evaluated once per level but the last.
        x: (B, C, H, W), clean plus noise of level ``sigmas[0]``, whatever that noise is.
        sigmas: rising levels. Where the first is 0, which no network knows, it is told the
            second.

    Returns:
        x at level ``sigmas[-1]``.
    """
    for low, high in pairwise(cast(list[float], sigmas.tolist())):
        told = low or high
        x = x + (high - low) / told * (x - denoise(denoiser, x, told))
    return x


def ddim_sample(denoiser: Denoiser, x: Tensor, sigmas: Tensor) -> Tensor:
    """The way back: DDIM without noise (Song et al. 2021, Eq. 12 at eta 0).

    Args:
        denoiser: evaluated once per level but the last.
        x: (B, C, H, W) at level ``sigmas[0]``.
        sigmas: falling levels; the last may be 0.
    """
    for high, low in pairwise(cast(list[float], sigmas.tolist())):
        clean = denoise(denoiser, x, high)
        x = clean + low / high * (x - clean)
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
        x = _ancestral(x, denoise(denoiser, x, high), high, low, draw, step)
    return x


def _ancestral(x: Tensor, clean: Tensor, high: float, low: float, draw: Draw, step: int) -> Tensor:
    up = (low**2 * (high**2 - low**2) / high**2) ** 0.5
    down = (low**2 - up**2) ** 0.5
    x = clean + (x - clean) * (down / high)
    return x + up * draw(step) if up > 0 else x


def dps_sde(
    denoiser: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    draw: Draw,
    degrade: Callable[[Tensor], Tensor],
    observed: Tensor,
    step_size: float,
) -> Tensor:
    """:func:`euler_sde` held to the coded picture by diffusion posterior sampling.

    After each step, x -= step_size * sigma_i * grad_x ||observed - degrade(D(x))|| (Chung et al.
    2023; system E, Eq. 16-17, slow). The norm is taken over windows of 64 x 64 pixels and
    added up, each times the root of its number of samples: then a pixel's pull has a root
    mean square of about ``step_size * sigma_i``, whatever the size of picture or tile.
    (The paper's norm over a whole picture of 256 x 256 is 1 / 443 of that.)

    Args:
        denoiser: differentiable; evaluated, and differentiated, once per level but the last.
        x: as for :func:`euler_sde`.
        sigmas: as for :func:`euler_sde`.
        draw: as for :func:`euler_sde`.
        degrade: the codec as a differentiable function of the denoiser's estimates.
        observed: (B, 3, H, W), what the decoder gave, in the range of ``degrade``'s results.
        step_size: 0 is :func:`euler_sde`.
    """
    levels = cast(list[float], sigmas.tolist())
    # Also within a caller's inference mode, whose tensors take no part in gradients.
    with torch.inference_mode(False), torch.enable_grad():
        x, observed = x.clone(), observed.clone()
        for step, (high, low) in enumerate(pairwise(levels), start=1):
            x = x.detach().requires_grad_()
            clean = denoise(denoiser, x, high)
            (pull,) = torch.autograd.grad(_distance(observed, degrade(clean)), x)
            with torch.no_grad():
                x = _ancestral(x, clean, high, low, draw, step) - step_size * high * pull
    return x.detach()


def _distance(observed: Tensor, found: Tensor) -> Tensor:
    """The sum over windows of sqrt(n) ||difference||, n the samples of a window."""
    square = (observed - found).float().square().mean(1, keepdim=True)
    # Windows that reach over the border have fewer samples.
    mean = F.avg_pool2d(square, WINDOW, ceil_mode=True, count_include_pad=False)
    size = F.avg_pool2d(torch.ones_like(square), WINDOW, ceil_mode=True, divisor_override=1)
    samples = size * observed.shape[1]
    return (samples * ((mean + RESOLUTION**2).sqrt() - RESOLUTION)).sum()
