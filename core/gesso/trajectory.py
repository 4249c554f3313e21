"""A picture on its way: noise, then the sampler, tile by tile."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor

from gesso.denoiser import Denoiser
from gesso.errors import InputError, ModelError
from gesso.frame import Frame
from gesso.options import SAMPLERS, Sampler
from gesso.runtime import Progress, Runtime
from gesso.sampling import (
    Draw,
    dpm_solver,
    dps_sde,
    euler_sde,
    karras_sigmas,
    low_frequencies_of,
    multistep_consistency,
)
from gesso.space import Space, fitted, space_of, trained_tile
from gesso.tiling import Box, run_tiled, tile_starts

__all__ = ["STEP_SIZE", "Degrade", "Plan", "sampler_of", "travel"]

# Up to this many evaluations the ODE is the better sampler, beyond it the SDE: system E's
# finding. With our own prior the ODE is still ahead at 20; pass sampler= for that.
ODE_STEPS = 15
# Of the low frequencies that consistency models leave alone, in samples: what the noise is added
# to is nearer to the source there. Of a few from 1.2 to 6 on validation crops: narrow ones cost
# texture, wide ones likeness.
LOW_PASS = 4.0
# Of the constraint: of 0.01 to 1 the best in LPIPS and DISTS on validation pictures at JPEG q10.
STEP_SIZE = 0.03

Degrade = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Plan:
    """How pictures are treated.

    Attributes:
        sigmas: noise level for each picture, (B,), on [-1, 1] pixels.
        sampler: ``one-step`` and ``multistep`` (consistency models), ``ode``, ``sde``, or
            ``dps``, the SDE constrained by the codec.
        steps: model evaluations.
        seed: of the noise.
        degrade: the codec as a differentiable function of RGB on [0, 1], for ``dps``.
        observed: the decoded pictures that ``dps`` holds to, where it does not start from them.
        step_size: of ``dps``.
        s_noise: ratio of the noise that is added to the level that the model is told (Karras
            et al. 2022, Algorithm 2): denoisers take off a little too much.
        last_level: of ``multistep``, over its first.
    """

    sigmas: Tensor
    sampler: Sampler
    steps: int
    seed: int = 0
    degrade: Degrade | None = field(default=None, repr=False)
    observed: Frame | None = field(default=None, repr=False)
    step_size: float = STEP_SIZE
    s_noise: float = 1.0
    last_level: float = 0.75

    def __post_init__(self) -> None:
        if not all(math.isfinite(s) and s > 0 for s in self.sigmas.tolist()):
            raise InputError(
                f"noise levels {self.sigmas.tolist()} must be positive and finite; pass sigma="
            )


def sampler_of(settings: Mapping[str, Any], steps: int) -> Sampler:
    """A preset's sampler; where it names none, the one that suits the number of evaluations."""
    named = settings.get("sampler") or ("ode" if steps <= ODE_STEPS else "sde")
    if named not in SAMPLERS:
        raise ModelError(f"no sampler {named!r}; there are {', '.join(SAMPLERS)}")
    return cast(Sampler, named)


def travel(frame: Frame, plan: Plan, denoiser: Denoiser, runtime: Runtime) -> Frame:
    """Send every picture of ``frame`` through; noise depends on its places alone."""
    runtime = fitted(runtime, denoiser, denoiser.grid)
    tiles = frame.batch
    for length in (frame.height, frame.width):
        tiles *= len(tile_starts(length, runtime.tile, runtime.overlap))
    model = _Bounded(denoiser, tiles * plan.steps, runtime.progress)

    def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
        observed = pixels
        if plan.observed and plan.sampler == "dps":
            whole = slice(index, index + 1)
            observed = torch.cat(
                [plan.observed.window(b.top, b.left, b.height, b.width, whole) for b in boxes]
            )
        start, decoded = (
            (x * 2 - 1).to(model.device, memory_format=torch.channels_last)
            for x in (pixels, observed)
        )
        places = None if frame.places is None else frame.places[index]

        def draw(step: int) -> Tensor:
            where = (plan.seed, step, model.device, places)
            return torch.cat([model.space.noise(box, *where) for box in boxes])

        return (_one(start, decoded, draw, float(plan.sigmas[index]), plan, model) + 1) / 2

    same_tiles = runtime.tile == trained_tile(denoiser)
    # The constraint of dps needs gradients, and a tensor of inference mode has none.
    with torch.no_grad() if plan.sampler == "dps" else torch.inference_mode():
        return run_tiled(frame, process, denoiser.grid, runtime, whole=same_tiles)


def _one(
    start: Tensor, decoded: Tensor, draw: Draw, sigma: float, plan: Plan, model: _Bounded
) -> Tensor:
    """Tiles of one picture, (n, 3, h, w) on [-1, 1]; ``draw`` gives their noise."""
    space = model.space
    level = space.level(sigma)
    reference = space.encode(start)
    x = (reference + level * plan.s_noise * draw(0)).contiguous(memory_format=torch.channels_last)
    if plan.sampler in ("one-step", "multistep"):
        steps = 1 if plan.sampler == "one-step" else plan.steps
        levels = torch.linspace(level, plan.last_level * level, steps)
        hold = partial(low_frequencies_of, reference, deviation=LOW_PASS)
        x = multistep_consistency(model, x, levels, draw, plan.s_noise, hold)
    elif plan.sampler == "ode":
        x = dpm_solver(model, x, level, plan.steps)
    elif plan.sampler == "sde" or plan.degrade is None:
        x = euler_sde(model, x, karras_sigmas(plan.steps, level), draw)
    else:
        levels = karras_sigmas(plan.steps, level)
        x = dps_sde(model, x, levels, draw, _degrade(plan.degrade, space), decoded, plan.step_size)
    return space.decode(x)


def _degrade(codec: Degrade, space: Space) -> Degrade:
    """The codec on estimates of a space, to [-1, 1]."""
    return lambda clean: codec((space.decode(clean) + 1) / 2) * 2 - 1


class _Bounded:
    """A denoiser whose estimates are possible pictures, and that reports each tile's evaluation."""

    def __init__(self, denoiser: Denoiser, total: int, progress: Progress | None) -> None:
        self.denoiser, self.total, self.progress, self.done = denoiser, total, progress, 0
        self.grid, self.device, self.space = denoiser.grid, denoiser.device, space_of(denoiser)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        # White noise hardly ever exceeds four deviations: no estimate may need more of it.
        reach = 4 * sigma[:, None, None, None]
        clean = self.denoiser(x, sigma).clamp(x - reach, x + reach)
        clean = self.space.bound(clean)
        self.done += len(x)
        if self.progress:
            self.progress(self.done, self.total)
        return clean
