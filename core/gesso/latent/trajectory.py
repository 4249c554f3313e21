"""Which noise levels decoded latents pass on their way up, and back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from gesso.denoiser import Denoiser
from gesso.sampling import karras_sigmas

__all__ = ["Scheduled", "Trajectory", "level_of", "trajectory"]

# Of Stable Diffusion: the square root of beta, times 1000, at the first and last timestep.
LOW, HIGH = math.sqrt(0.85), math.sqrt(12.0)


@runtime_checkable
class Scheduled(Protocol):
    """A denoiser whose own schedule says which levels are passed."""

    def rising(self, steps: int, share: float) -> Tensor:
        """So many levels above the first, up to that share of the schedule."""

    def share(self, sigma: float) -> float:
        """The part of the schedule that lies below a level, in [0, 1]."""


@dataclass(frozen=True)
class Trajectory:
    """Levels of :func:`gesso.sampling.ddim_invert` and :func:`gesso.sampling.ddim_sample`.

    Attributes:
        clean: the level that counts as clean: 0, or that of a schedule's first timestep.
        up: rising levels; fewer than two where nothing is inverted.
        down: falling levels, to ``clean``.
    """

    clean: float
    up: Tensor
    down: Tensor


def trajectory(denoiser: Denoiser, steps: int, strength: float, start: float) -> Trajectory:
    """The levels of a repair.

    Denoisers with a schedule, as variance-preserving checkpoints have, pass levels of their own
    DDIM. Other priors pass Karras' levels up to :func:`level_of` the strength.

    Args:
        denoiser: which network it is for.
        steps: levels above the clean end.
        strength: share of the schedule that is passed, in [0, 1].
        start: level that the latents are at; above the top of the way there is no way up.
    """
    if isinstance(denoiser, Scheduled):
        levels = denoiser.rising(steps, max(strength, denoiser.share(start) if start else 0.0))
    else:
        levels = karras_sigmas(steps, max(level_of(strength), start)).double().flip(0)
    first = levels.new_tensor([start])
    clean = cast(float, levels[0].item())
    if not start:
        return Trajectory(clean, levels, levels.flip(0))
    if levels[-1] > start and strength > 0:
        return Trajectory(clean, torch.cat([first, levels[levels > start]]), levels.flip(0))
    return Trajectory(clean, first, torch.cat([levels[levels < start], first]).flip(0))


def level_of(strength: float) -> float:
    """The noise level at that share of Stable Diffusion's schedule, for latents of unit variance.

    Its betas in continuous time (Song et al. 2021, score-based SDEs, Appendix C): sigma^2 + 1 is
    the exponential of their integral.
    """
    at = LOW + strength * (HIGH - LOW)
    return math.sqrt(math.expm1((at**3 - LOW**3) / (3 * (HIGH - LOW))))
