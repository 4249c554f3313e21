"""Tune a prior into a consistency model: one evaluation from any noise level.

Song et al., "Consistency Models" (2023), by the easy schedule of Geng et al.,
"Consistency Models Made Easy" (2024): consistency training without a teacher, begun
from the diffusion model, whose own objective is the schedule's first stage.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from gesso.denoiser import EDMDenoiser
from gesso.evaluation.perceptual import dists, lpips_alex
from gesso.runtime import Runtime
from gesso.training.loop import Log, train
from gesso.training.prior import PriorConfig, PriorTrainer, mean_square, tamed

__all__ = ["ConsistencyConfig", "ConsistencyTrainer", "earlier_level", "train_consistency"]

VALIDATION_SIGMAS = (0.1, 0.2)


@dataclass(frozen=True)
class ConsistencyConfig(PriorConfig):
    """A run of ``gesso train consistency``; it should begin from a prior.

    Attributes:
        stages: halvings of the distance between the two levels of a pair over the run.
        lpips: weight of LPIPS (AlexNet) beside the pseudo-Huber distance; Song et al. 2023
            found it the better metric of the two they tried. 0 trains without it.
    """

    verb: ClassVar[str] = "consistency"
    options: ClassVar[tuple[str, ...]] = (*PriorConfig.options, "stages", "lpips")

    lr: float = 3e-4
    p_mean: float = -1.9
    p_std: float = 0.7
    sigma_range: tuple[float, float] = (0.008, 0.6)
    stages: int = 6
    lpips: float = 0.5


def earlier_level(sigma: Tensor, stage: float) -> Tensor:
    """The lower level of a pair: r = t (1 - n(t) / 2^stage), n(t) = 1 + 8 sigmoid(-t).

    Geng et al. 2024, Eq. 12 with q = 2, k = 8, b = 1; at 0 the target is the clean picture.
    """
    ratio = 1 - (1 + 8 * torch.sigmoid(-sigma)) / 2**stage
    return sigma * ratio.clamp_min(0)


class ConsistencyTrainer(PriorTrainer):
    """Pairs of noise levels with one noise: the estimate at the higher follows the lower."""

    config_type = ConsistencyConfig
    summary = "consistency model of pictures, one evaluation from any noise level"
    measured = "distance to the source at sigma"
    config: ConsistencyConfig

    @property
    def stage(self) -> float:
        """Rises by one over every equal part of the run, from 2, where targets are clean."""
        return 2 + math.floor(self.config.stages * self.step / max(1, self.config.steps))

    def loss(self, *batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Geng et al. 2024, Eq. 8, with the pseudo-Huber metric of Song and Dhariwal 2024."""
        (clean,) = batch
        sigma = self.sigmas(len(clean)).to(clean.device)
        lower = earlier_level(sigma, self.stage)
        noise = torch.randn(clean.shape, generator=self.noise).to(clean.device)
        model = EDMDenoiser(self.network)
        with torch.autocast(clean.device.type, torch.bfloat16):
            with torch.no_grad():
                target = model(clean + noise * _column(lower), lower.clamp_min(1e-4))
                target = torch.where(_column(lower) > 0, target, clean)
            estimate = model(clean + noise * _column(sigma), sigma)
        # The pairs' distance shrinks with every stage; their loss should not.
        weight = 1 / (sigma * (sigma - lower)).sqrt()
        distance = _pseudo_huber(estimate - target)
        if self.config.lpips:
            seen = lpips_alex((target + 1) / 2, (estimate + 1) / 2)
            distance = distance + self.config.lpips * seen
        each = weight * distance
        return tamed(each).mean(), each.detach(), sigma

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """LPIPS (AlexNet) and DISTS of one evaluation per noise level, on held-out pictures."""
        if self.crops is None:
            return {}
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(self.crops.shape, generator=generator)
        seen: dict[str, list[Tensor]] = {}
        with self.averaged() as network:
            for sigma in VALIDATION_SIGMAS:
                for clean, white in zip(
                    torch.split(self.crops, 8), torch.split(noise, 8), strict=True
                ):
                    noisy, clean = self.to_device(clean + sigma * white), self.to_device(clean)
                    level = torch.full((len(clean),), sigma, device=self.runtime.device)
                    with torch.autocast(self.runtime.device.type, torch.bfloat16):
                        out = EDMDenoiser(network)(noisy, level).clamp(-1, 1)
                    for name, metric in (("lpips", lpips_alex), ("dists", dists)):
                        value = metric((clean + 1) / 2, (out + 1) / 2)
                        seen.setdefault(f"{name} {sigma:g}", []).append(value.cpu())
        return {key: round(float(torch.cat(values).mean()), 5) for key, values in seen.items()}

    def score(self, figures: Mapping[str, float]) -> float:
        """Distances: less is better."""
        return -super().score(figures)


def _column(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _pseudo_huber(error: Tensor) -> Tensor:
    """sqrt(mean e^2 + c^2) - c with c = 0.00054 (Song and Dhariwal 2024, for sums), (B,)."""
    c = 0.00054
    return (mean_square(error) + c**2).sqrt() - c


def train_consistency(
    config: ConsistencyConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Tune a consistency model; see :func:`gesso.training.loop.train`."""
    return train(ConsistencyTrainer(config, runtime or Runtime()), start, log, stop)
