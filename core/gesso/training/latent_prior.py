"""Train a prior of latents: an unconditional EDM denoiser of what an autoencoder encodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gesso.autoencoder import Autoencoder
from gesso.cards import get_model
from gesso.denoiser import EDMDenoiser
from gesso.errors import InputError
from gesso.runtime import Runtime
from gesso.training.data import picture_files, read_rgb, to_model_range
from gesso.training.loop import Batch, Log, train
from gesso.training.prior import PriorConfig, PriorTrainer, mean_square

__all__ = ["LatentPriorConfig", "LatentPriorTrainer", "train_latent_prior"]

VALIDATION_SIGMAS = (0.1, 0.2, 0.4, 0.8)
SCALES = (1.0, 0.7, 0.5)


@dataclass(frozen=True)
class LatentPriorConfig(PriorConfig):
    """A run of ``gesso train prior --space latent``.

    Attributes:
        autoencoder: name or folder of the model whose latents are learned.
        crop: side in pixels of what a crop of latents stands for.
        p_mean, p_std: of ln(sigma), for latents of unit variance.
    """

    verb: ClassVar[str] = "prior --space latent"
    options: ClassVar[tuple[str, ...]] = (*PriorConfig.options, "autoencoder")

    autoencoder: str = "autoencoder"
    crop: int = 256
    p_mean: float = -1.2
    p_std: float = 1.0
    sigma_range: tuple[float, float] = (0.01, 3.0)


class LatentPriorTrainer(PriorTrainer):
    """White noise on scaled latents, taken off again; pictures are encoded once, beforehand."""

    config_type = LatentPriorConfig
    summary = "unconditional EDM denoiser of latents"
    factory = "gesso.latent.prior:load_latent_prior"
    measured = "error in dB below unit variance at sigma"
    then = "gesso at-size VAL --prior {model}"
    config: LatentPriorConfig

    def __init__(self, config: LatentPriorConfig, runtime: Runtime) -> None:
        card = get_model(config.autoencoder, "autoencoder")
        self.autoencoder: Autoencoder = card.make(Runtime(runtime.device_name))
        self.settings = {"autoencoder": {"name": card.name, "sha256": card.sha256}}
        super().__init__(config, runtime)
        unit = self.network.grid * self.autoencoder.factor
        if config.crop % unit:
            raise InputError(f"--crop must be a multiple of {unit}, got {config.crop}")

    def shape(self) -> dict[str, object]:
        """See :class:`Trainer`; latents of unit variance, whole samples."""
        fixed = {"in_channels": self.autoencoder.channels, "patch": 1, "sigma_data": 1.0}
        return {**self.config.network, **fixed}

    def read(self) -> None:
        """See :class:`Trainer`; every picture at three sizes, as it is and mirrored."""
        files = picture_files(self.config.data)
        side = self.config.crop // self.autoencoder.factor
        self.latents = self._encoded(files, SCALES, side)
        if not self.latents:
            raise InputError(
                f"no picture is at least {self.config.crop} pixels wide and high; lower --crop"
            )
        areas = np.array([x.shape[1] * x.shape[2] for x in self.latents], dtype=np.float64)
        self.chances = areas**0.5 / (areas**0.5).sum()
        val = self.config.val
        self.crops = None
        if val:
            held_out = self._encoded(picture_files(val), (1.0,), side)[::2]
            if not held_out:
                raise InputError(f"pictures in {val} are smaller than --crop {self.config.crop}")
            self.crops = torch.stack([x[:, :side, :side] for x in held_out])

    @torch.inference_mode()
    def _encoded(self, files: Sequence[Path], scales: Sequence[float], side: int) -> list[Tensor]:
        """Scaled latents (C, h, w) of all pictures with ``side`` samples or more either way."""
        found, factor, model = [], self.autoencoder.factor, self.autoencoder
        for path in files:
            for scale in scales:
                rgb = read_rgb(path, scale)
                height, width = (length // factor * factor for length in rgb.shape[:2])
                if min(height, width) < side * factor:
                    continue
                for view in (rgb[:height, :width], rgb[:height, :width][:, ::-1]):
                    raw = model.encode(to_model_range(np.array(view)[None]))
                    found.append(((raw[0] - model.shift) * model.scale).cpu())
        return found

    def draw(self) -> Batch:
        """Crops of scaled latents, (batch, C, h, w)."""
        side = self.config.crop // self.autoencoder.factor
        crops = []
        for index in self.rng.choice(len(self.latents), self.config.batch, p=self.chances):
            whole = self.latents[int(index)]
            top = int(self.rng.integers(whole.shape[1] - side + 1))
            left = int(self.rng.integers(whole.shape[2] - side + 1))
            crops.append(whole[:, top : top + side, left : left + side])
        return (torch.stack(crops),)

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """How far below the latents' own variance the error of one denoising is, in dB."""
        if self.crops is None:
            return {}
        white = torch.randn(self.crops.shape, generator=torch.Generator().manual_seed(1))
        result = {}
        with self.averaged() as network, torch.autocast(self.runtime.device.type, torch.bfloat16):
            for sigma in VALIDATION_SIGMAS:
                noisy = self.to_device(self.crops + sigma * white)
                level = torch.full((len(noisy),), sigma, device=self.runtime.device)
                error = mean_square(EDMDenoiser(network)(noisy, level).cpu() - self.crops)
                result[str(sigma)] = float(-10 * error.log10().mean())
        return result


def train_latent_prior(
    config: LatentPriorConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Train a prior of latents; see :func:`gesso.training.loop.train`."""
    return train(LatentPriorTrainer(config, runtime or Runtime()), start, log, stop)
