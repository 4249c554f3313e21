"""Tune a prior into a consistency model: one evaluation from any noise level.

Song et al., "Consistency Models" (2023), by the easy schedule of Geng et al.,
"Consistency Models Made Easy" (2024): consistency training without a teacher, begun
from the diffusion model, whose own objective is the schedule's first stage. The distance may
look through networks, and an adversary may pull beside it, as in Kim et al., "Consistency
Trajectory Models" (2024). Noise may be added to posterior means in place of pictures, as in
Ohayon et al., "Posterior-Mean Rectified Flow" (2025).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor

from gesso.cards import load
from gesso.denoiser import Denoiser, EDMDenoiser
from gesso.errors import InputError
from gesso.estimator import Estimator
from gesso.evaluation.perceptual import dists, lpips_alex
from gesso.runtime import Runtime
from gesso.training.adversary import Adversary
from gesso.training.estimates import EstimateSampler
from gesso.training.loop import Batch, Log, train
from gesso.training.prior import PriorConfig, PriorTrainer, mean_square, tamed

__all__ = ["ConsistencyConfig", "ConsistencyTrainer", "earlier_level", "train_consistency"]

# Decodes from the lowest qualities up ask for 0.1 to 0.02.
VALIDATION_SIGMAS = (0.03, 0.06, 0.1)
# An estimate's error is about half the noise that it was made from, and about as much noise is
# added to it again as its error is, or a little less.
RISE = (1.5, 4.0)
# The noise on an estimate of a decode, in shares of that estimate's own error: a level suits
# a whole picture, and its parts differ as much.
SPREAD = (0.4, 2.5)


@dataclass(frozen=True)
class ConsistencyConfig(PriorConfig):
    """A run of ``gesso train consistency``; it should begin from a prior.

    Attributes:
        stages: halvings of the distance between the two levels of a pair over the run.
        lpips: weight of LPIPS (AlexNet) beside the pseudo-Huber distance; Song et al. 2023
            found it the better metric of the two they tried. 0 trains without it.
        dists: weight of DISTS beside it.
        adversarial: how strong the adversary's pull is, as a share of that of the distances.
        restored: share of each batch in which the noise is added not to the picture but to
            what ``teacher`` makes of it at ``RISE`` times that noise. Such an estimate lacks the
            texture that one of a decode lacks, and no decode is seen for it.
        teacher: name of a prior that ends at the posterior mean.
        decoded: share of each batch in which the noise is added to what ``estimator`` makes of
            a real decode.
        estimator: name of an estimator of decodes.
        codecs: what codes those; one that is named twice is drawn twice as often.
        enlarged: share of those pictures that are enlarged by 1.2 to 2.5 before they are coded.
    """

    verb: ClassVar[str] = "consistency"
    options: ClassVar[tuple[str, ...]] = (
        *PriorConfig.options, "p_mean", "p_std", "stages", "lpips", "dists", "adversarial",
        "restored", "teacher", "decoded", "estimator", "codecs",
        "enlarged",
    )  # fmt: skip

    lr: float = 3e-4
    p_mean: float = -2.9
    p_std: float = 0.6
    sigma_range: tuple[float, float] = (0.008, 0.6)
    stages: int = 6
    lpips: float = 1.0
    dists: float = 1.0
    adversarial: float = 0.1
    adversary_lr: float = 3e-4
    restored: float = 0.5
    teacher: str = "prior"
    decoded: float = 0.0
    estimator: str = "posterior-mean"
    codecs: tuple[str, ...] = ("jpeg", "webp", "avif")
    enlarged: float = 0.0


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

    def __init__(self, config: ConsistencyConfig, runtime: Runtime) -> None:
        if config.restored + config.decoded > 1:
            raise InputError(
                f"--restored {config.restored:g} and --decoded {config.decoded:g} are shares of "
                "one batch; lower one, so that they make 1 at most"
            )
        super().__init__(config, runtime)
        self.adversary = Adversary(config.adversary_lr, runtime.device)
        self.teacher: Denoiser | None = None
        if config.restored:
            self.teacher = cast(Denoiser, load(config.teacher, "prior", runtime))
        self.estimates: EstimateSampler | None = None
        self.held_out: Mapping[str, Tensor] = {}

    def read(self) -> None:
        """See :class:`Trainer`."""
        super().read()
        config = self.config
        if config.decoded:
            estimator = cast(Estimator, load(config.estimator, "estimator", self.runtime))
            self.estimates = EstimateSampler(config, estimator)
            if self.crops is not None:
                self.held_out = self.estimates.held_out(self.crops)

    def draw(self) -> Batch:
        """Clean crops, and what is made of the decodes of the first of them."""
        config = self.config
        (clean,) = super().draw()
        count = round(config.decoded * config.batch)
        if self.estimates is None or not count:
            return (clean,)
        sources, estimates = self.estimates.draw(count, self.step)
        return torch.cat([sources, clean[count:]]), estimates

    @property
    def stage(self) -> float:
        """Rises by one over every equal part of the run, from 2, where targets are clean."""
        return 2 + math.floor(self.config.stages * self.step / max(1, self.config.steps))

    def loss(self, *batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Geng et al. 2024, Eq. 8, with the pseudo-Huber metric of Song and Dhariwal 2024."""
        clean = batch[0]
        begun, sigma, targeted = self._begun(*batch)
        # The clean picture is the only target that a pair from an estimate has.
        lower = earlier_level(sigma, self.stage) * targeted
        noise = torch.randn(clean.shape, generator=self.noise).to(clean.device)
        model = EDMDenoiser(self.network)
        with torch.autocast(clean.device.type, torch.bfloat16):
            with torch.no_grad():
                target = model(begun + noise * _column(lower), lower.clamp_min(1e-4))
                target = torch.where(_column(lower) > 0, target, clean)
            estimate = model(begun + noise * _column(sigma), sigma)
        # The pairs' distance shrinks with every stage; their loss should not.
        weight = 1 / (sigma * (sigma - lower)).sqrt()
        each, slope = self._judged(clean, target, estimate.detach().float(), weight)
        return (estimate.float() * slope).sum(), each, sigma

    def _begun(
        self, clean: Tensor, estimates: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """(what the noise is added to, its levels, 1 where that is the picture itself, else 0).

        Estimates of decodes come first, then the teacher's, then pictures as they are.
        """
        sigma = self.sigmas(len(clean)).to(clean.device)
        begun, targeted = clean.clone(), torch.ones_like(sigma)
        first = 0
        if estimates is not None:
            first = len(estimates)
            begun[:first] = estimates
            sigma[:first] = self._spread(mean_square(estimates - clean[:first]).sqrt())
        # Each share is rounded by itself.
        last = min(len(clean), first + round(self.config.restored * len(clean)))
        if self.teacher is not None and last > first:
            low, high = RISE
            rise = low + (high - low) * torch.rand(last - first, generator=self.noise).to(sigma)
            white = torch.randn(clean[first:last].shape, generator=self.noise).to(clean.device)
            begun[first:last] = self._smooth(clean[first:last], rise * sigma[first:last], white)
        targeted[:last] = 0
        return begun, sigma, targeted

    def _spread(self, error: Tensor) -> Tensor:
        """Noise levels for estimates of that root mean square error, (B,)."""
        low, high = map(math.log, SPREAD)
        share = torch.rand(len(error), generator=self.noise).to(error) * (high - low) + low
        return (error * share.exp()).clamp(*self.config.sigma_range)

    @torch.no_grad()
    def _smooth(self, clean: Tensor, sigma: Tensor, white: Tensor) -> Tensor:
        teacher = cast(Denoiser, self.teacher)
        with torch.autocast(clean.device.type, torch.bfloat16):
            return teacher(clean + _column(sigma) * white, sigma).float().clamp(-1, 1)

    def _judged(
        self, clean: Tensor, target: Tensor, made: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(distance of each, slope of their tamed mean and of the adversary's verdict)."""
        config = self.config
        made.requires_grad_()
        pair = (target + 1) / 2, (made + 1) / 2
        distance = _pseudo_huber(made - target)
        with torch.autocast(made.device.type, torch.bfloat16):
            for metric, share in ((lpips_alex, config.lpips), (dists, config.dists)):
                if share:
                    distance = distance + share * metric(*pair).float().flatten()
        each = weight * distance
        (slope,) = torch.autograd.grad(tamed(each).mean(), made)
        if config.adversarial:
            slope = self.adversary.pull(clean, made, slope, config.adversarial)
        return each.detach(), slope

    def update(self, *batch: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the model, then one of the adversary on what it made."""
        found = super().update(*batch)
        self.adversary.catch_up()
        return found

    def save(self, folder: Path) -> None:
        """See :class:`Trainer`; the adversary, if it pulls, lies beside it."""
        if self.config.adversarial:
            self.adversary.save(folder.with_name("adversary"))
        super().save(folder)

    def restore(self, folder: Path) -> None:
        """See :class:`Trainer`."""
        super().restore(folder)
        if self.config.adversarial:
            self.adversary.restore(folder.with_name("adversary"))

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """LPIPS (AlexNet) and DISTS of one evaluation, on held-out pictures.

        From each noise level on the picture and on the teacher's estimate of it, and from the
        estimates of decodes with as much noise as their error.
        """
        if self.crops is None:
            return {}
        generator = torch.Generator().manual_seed(1)
        white, other = (torch.randn(self.crops.shape, generator=generator) for _ in range(2))
        seen: dict[str, list[Tensor]] = {}
        with self.averaged() as network:
            for few in torch.split(torch.arange(len(self.crops)), 8):
                clean, noise = self.to_device(self.crops[few]), self.to_device(white[few])
                for key, begun, level in self._beginnings(clean, few, other):
                    noisy = begun + _column(level) * noise
                    with torch.autocast(self.runtime.device.type, torch.bfloat16):
                        out = EDMDenoiser(network)(noisy, level).float().clamp(-1, 1)
                        pair = (clean + 1) / 2, (out + 1) / 2
                        for name, metric in (("lpips", lpips_alex), ("dists", dists)):
                            value = metric(*pair).float().cpu().flatten()
                            seen.setdefault(f"{name} {key}", []).append(value)
        return {key: round(float(torch.cat(values).mean()), 5) for key, values in seen.items()}

    def _beginnings(
        self, clean: Tensor, few: Tensor, other: Tensor
    ) -> Iterator[tuple[str, Tensor, Tensor]]:
        """(name, what noise is added to, its levels) for held-out pictures ``few``."""
        for sigma in VALIDATION_SIGMAS:
            level = clean.new_full((len(few),), sigma)
            yield f"{sigma:g}", clean, level
            if self.teacher:
                smooth = self._smooth(clean, sum(RISE) / 2 * level, self.to_device(other[few]))
                yield f"{sigma:g} restored", smooth, level
        for name, estimates in self.held_out.items():
            begun = self.to_device(estimates[few])
            yield name, begun, mean_square(begun - clean).sqrt()

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
