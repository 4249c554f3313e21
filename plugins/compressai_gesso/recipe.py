"""What decides a run of `gesso train hyperprior`, and the command that repeats it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gesso.errors import InputError

__all__ = ["LAMBDAS", "HyperpriorConfig"]

# Quality to lambda: about 0.15, 0.3, 0.55 and 1 bits per pixel on photographs.
LAMBDAS = {1: 0.0012, 2: 0.004, 3: 0.014, 4: 0.0483}
GRID = 64  # pixels per sample of the hyperlatent
# Fields that the command states where they are not the defaults.
RECIPE = (
    "val", "quality", "lmbda", "steps", "batch", "crop", "lr", "warmup", "cooldown", "aux_lr",
    "ema", "seed", "channels", "latents",
)  # fmt: skip


@dataclass(frozen=True)
class HyperpriorConfig:
    """Everything that decides a run; written beside its weights.

    Attributes:
        data: folder of training pictures.
        val: folder of held-out pictures that choose the best weights; None keeps the last.
        out: folder for checkpoints, the log and the finished model.
        quality: 1 to 4; names the model and gives lambda.
        lmbda: weight of the distortion in ``lmbda * 255^2 * MSE + bpp``; None is the
            quality's own (CompressAI spells it so, lambda being a word of Python).
        steps: optimiser steps in all.
        batch, crop: pictures per step and their side in pixels, a multiple of 64.
        lr: of Muon and Adam, after ``warmup`` steps and until the last ``cooldown`` share of them,
            over which it falls linearly to 0. A run can be cut short by resuming its
            checkpoint with fewer ``steps``.
        aux_lr: of the entropy bottleneck's quantiles, which have a loss of their own.
        ema: decay of the averaged weights, which are the ones that are shipped.
        seed: of weights, crops and noise.
        every: steps between validations and checkpoints.
        channels, latents: N and M of the paper.
        name, licence, about: for the card: of the model, of its weights, and of the data.
    """

    data: str
    out: str
    val: str | None = None
    quality: int = 2
    lmbda: float | None = None
    steps: int = 20_000
    batch: int = 4
    crop: int = 128
    lr: float = 1e-3
    warmup: int = 100
    cooldown: float = 0.5
    aux_lr: float = 1e-2
    ema: float = 0.998
    seed: int = 0
    every: int = 500
    channels: int = 64
    latents: int = 96
    name: str | None = None
    licence: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        if self.quality not in LAMBDAS:
            raise InputError(f"quality must be 1 to 4, got {self.quality}")
        if self.crop % GRID:
            raise InputError(f"--crop must be a multiple of {GRID}, got {self.crop}")

    @property
    def distortion_weight(self) -> float:
        """Lambda: ``lmbda``, else that of the quality."""
        return LAMBDAS[self.quality] if self.lmbda is None else self.lmbda

    def command(self, start: str | Path | None = None) -> str:
        """The command that runs this configuration again; folders by their names alone."""
        words = ["gesso train hyperprior", Path(self.data).name]
        if start:
            words += ["--from", Path(start).name]
        defaults = HyperpriorConfig("", "")
        for key in RECIPE:
            value = getattr(self, key)
            if value is not None and value != getattr(defaults, key):
                text = Path(value).name if key == "val" else str(value)
                words += [f"--{key.replace('_', '-')}", text]
        return " ".join(words)

    def learning_rate(self, step: int) -> float:
        """Warm-up, plateau, linear cool-down."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return self.lr * min(rise, fall, 1.0)
