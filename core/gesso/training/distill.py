"""Stage 1 of the preprocessor: a one-step generator distilled from the diffusion prior.

Consistent Score identity Distillation (CiD; "GenDR: Lightning Generative Detail Restorator",
2025), the rule that "Generative Preprocessing for Image Compression with Pre-trained Diffusion
Models" begins by: score identity distillation (SiD; Zhou et al., ICML 2024) with the picture
itself in place of the generated one in the identity term.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from gesso.estimator import nominal_error
from gesso.evaluation.perceptual import dists, lpips_alex
from gesso.generator import QPS
from gesso.runtime import Runtime
from gesso.training.attention import AttentionConfig, AttentionTrainer, based
from gesso.training.checkpoint import load_checkpoint, save_checkpoint
from gesso.training.family import karras_level
from gesso.training.loop import Batch, Log, train
from gesso.training.prior import edm_weight, mean_square

__all__ = ["DistillConfig", "DistillTrainer", "cid_loss", "karras_level", "train_distill"]

VALIDATION_QPS = (44.4, 34.9)


@dataclass(frozen=True)
class DistillConfig(AttentionConfig):
    """A run of ``gesso train distill``.

    Attributes:
        teacher: name of the prior whose score is distilled; a Stable Diffusion is its own.
        xi: weight of the score difference (CiD), 1 as reported.
        lr: SiD's; at 1e-4 the generator outran the fake score and fell apart in 300 steps.
        fake_lr: of the fake score, which learns what the generator makes.
        sigma_range: noise levels at which the scores are compared, those the prior knows;
            Stable Diffusion's are its schedule's.
    """

    verb: ClassVar[str] = "distill"
    options: ClassVar[tuple[str, ...]] = (*AttentionConfig.options, "teacher", "xi", "fake_lr")

    lr: float = 1e-5
    warmup: int = 50
    batch: int = 4
    steps: int = 1000
    every: int = 100
    ema: float = 0.99
    teacher: str = "prior"
    xi: float = 1.0
    fake_lr: float = 1e-4
    sigma_range: tuple[float, float] = (0.002, 0.6)


def cid_loss(real: Tensor, fake: Tensor, clean: Tensor, xi: float) -> Tensor:
    """w (f_phi - f_psi)(f_phi - z_h) - xi w |f_phi - f_psi|^2, (B,).

    SiD's loss with the high-quality picture z_h where it has the generated one, which is what
    ties the generator to its input. w is one over the mean |z_h - f_phi|, without gradient.

    Args:
        real, fake: (B, C, H, W), predictions of the prior and of the fake score for what the
            generator made, noised.
        clean: the picture that the generator was given.
        xi: weight of the difference.
    """
    gap = real - fake
    weight = 1 / (clean - real).detach().abs().mean((1, 2, 3)).clamp_min(1e-5)
    return weight * (gap * (real - clean) - xi * gap.square()).mean((1, 2, 3))


class DistillTrainer(AttentionTrainer):
    """Two networks in turn: the fake score follows the generator, the generator both scores."""

    config_type = DistillConfig
    summary = "one-step generator, distilled from the prior"
    measured = "distance of the generated picture to its source at rate index"
    then = "gesso train preprocess DATA --from {model} --out OUT"
    config: DistillConfig

    def __init__(self, config: DistillConfig, runtime: Runtime) -> None:
        super().__init__(config, runtime)
        self.teacher = self.family.teacher(config.teacher)
        self.fake = deepcopy(self.teacher).train().requires_grad_(True)
        # SiD's: without momentum, since what it learns from moves.
        self.fake_optimizer = torch.optim.AdamW(
            self.fake.parameters(), config.fake_lr, betas=(0.0, 0.99), weight_decay=0.0
        )
        self.fake_noise = torch.Generator().manual_seed(config.seed + 1)

    def draw(self) -> Batch:
        """Sources, classes, rate indices."""
        batch = self.config.batch
        sources = self.sampler.draw(batch, self.rng)
        labels = torch.from_numpy(self.rng.integers(0, len(self.labels) + 1, batch))
        qps = torch.from_numpy(self.rng.uniform(*QPS, batch)).float()
        return sources, labels, qps

    def update(self, *batch: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the fake score on what the generator makes now, then one of its own."""
        self._follow(*map(self.to_device, batch))
        # Until its own backward pass is over, which may evaluate the score once more.
        self.fake.requires_grad_(False)
        try:
            return super().update(*batch)
        finally:
            self.fake.requires_grad_(True)

    def _follow(self, source: Tensor, label: Tensor, qp: Tensor) -> None:
        with torch.no_grad():
            made = self.stepped(self.network, self.encoded(source), qp, label)
            made = self.family.space.bound(made)
        bounds = self.config.sigma_range
        sigma = self.family.fake_levels(bounds, len(made), self.fake_noise).to(made.device)
        found = self._score(self.fake, made, sigma, self.fake_noise)
        loss = (edm_weight(sigma, self.family.sigma_data) * mean_square(found - made)).mean()
        self.fake_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch states no types here
        norm = nn.utils.clip_grad_norm_(self.fake.parameters(), 1.0)
        if torch.isfinite(norm):
            self.fake_optimizer.step()

    def loss(self, *batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """:func:`cid_loss`; gradients flow through both scores into the generated picture."""
        source, label, qp = batch
        clean = self.encoded(source)
        made = self.stepped(self.network, clean, qp, label)
        sigma = self.family.levels(self.config.sigma_range, len(made), self.noise).to(made.device)
        state = self.noise.get_state()
        real = self._score(self.teacher, made, sigma, self.noise)
        # Both see the same noise.
        self.noise.set_state(state)
        fake = self._score(self.fake, made, sigma, self.noise)
        each = cid_loss(real, fake, clean, self.config.xi)
        level = torch.tensor([nominal_error(float(q)) for q in qp])
        return each.mean(), each.detach(), level

    def _score(
        self, network: nn.Module, made: Tensor, sigma: Tensor, generator: torch.Generator
    ) -> Tensor:
        noise = torch.randn(made.shape, generator=generator).to(made.device)
        with torch.autocast(made.device.type, torch.bfloat16):
            return self.family.score(network)(made + sigma[:, None, None, None] * noise, sigma)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """LPIPS and DISTS of the generated picture to its source."""
        if self.crops is None:
            return {}
        seen: dict[str, list[Tensor]] = {}
        with self.averaged() as network:
            for wanted in VALIDATION_QPS:
                for crop in torch.split(self.crops, 4):
                    source = self.to_device(crop)
                    qp = source.new_full((len(source),), wanted)
                    label = torch.ones(len(source), dtype=torch.long, device=source.device)
                    made = self.generated(network, source, qp, label).float().clamp(-1, 1)
                    pair = (source + 1) / 2, (made + 1) / 2
                    for name, metric in (("lpips", lpips_alex), ("dists", dists)):
                        seen.setdefault(f"{name} {wanted:g}", []).append(metric(*pair).cpu())
        return {key: round(float(torch.cat(values).mean()), 5) for key, values in seen.items()}

    def score(self, figures: Mapping[str, float]) -> float:
        """Distances: less is better."""
        return -super().score(figures)

    def save(self, folder: Path) -> None:
        """See :class:`Trainer`; the fake score lies beside it."""
        state = {"fake": self.fake.state_dict()}
        fake = folder.with_name("fake")
        save_checkpoint(fake, state, self.fake_optimizer, self.fake_noise, {"step": self.step})
        super().save(folder)

    def restore(self, folder: Path) -> None:
        """See :class:`Trainer`."""
        super().restore(folder)
        tensors, _ = load_checkpoint(folder.with_name("fake"), self.fake_optimizer, self.fake_noise)
        self.fake.load_state_dict(tensors["fake"])


def train_distill(
    config: DistillConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Distil a generator; see :func:`gesso.training.loop.train`."""
    trainer = DistillTrainer(based(config, start), runtime or Runtime())
    return train(trainer, start, log, stop)
