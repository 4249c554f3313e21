"""Train the prior: an unconditional EDM denoiser of natural pictures (Karras et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from gesso.denoiser import EDMDenoiser
from gesso.runtime import Runtime
from gesso.training.data import CropSampler, picture_files, validation_crops
from gesso.training.loop import Batch, Log, Trainer, TrainingConfig, train

__all__ = ["PriorConfig", "PriorTrainer", "edm_weight", "mean_square", "tamed", "train_prior"]

# An untrained network has a loss of 1; beyond this the loss grows by its logarithm.
OUTLIER = 4.0
VALIDATION_SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.4)
VALIDATION_SIDE = 256


@dataclass(frozen=True)
class PriorConfig(TrainingConfig):
    """A run of ``gesso train prior``.

    Attributes:
        p_mean, p_std: ln(sigma) is drawn from N(p_mean, p_std^2), clipped to ``sigma_range``.
    """

    verb: ClassVar[str] = "prior"

    p_mean: float = -2.1
    p_std: float = 0.9
    sigma_range: tuple[float, float] = (0.002, 0.6)


class PriorTrainer(Trainer):
    """White noise on clean crops, taken off again."""

    config_type = PriorConfig
    summary = "unconditional EDM denoiser of pictures"
    measured = "PSNR in dB at sigma"
    config: PriorConfig

    def read(self) -> None:
        """See :class:`Trainer`."""
        self.sampler = CropSampler.from_files(picture_files(self.config.data), self.config.crop)
        val = self.config.val
        self.crops = validation_crops(picture_files(val), VALIDATION_SIDE) if val else None

    def draw(self) -> Batch:
        """Clean crops, (batch, 3, crop, crop) on [-1, 1]."""
        return (self.sampler.draw(self.config.batch, self.rng),)

    def sigmas(self, count: int) -> Tensor:
        """Noise levels, (count,), lognormal."""
        config = self.config
        log_sigma = torch.randn(count, generator=self.noise) * config.p_std + config.p_mean
        return log_sigma.exp().clamp(*config.sigma_range)

    def loss(self, *batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """EDM Eq. 8 with lambda = 1/c_out^2."""
        (clean,) = batch
        sigma = self.sigmas(len(clean)).to(clean.device)
        noise = torch.randn(clean.shape, generator=self.noise).to(clean.device)
        noisy = clean + noise * sigma[:, None, None, None]
        with torch.autocast(clean.device.type, torch.bfloat16):
            denoised = EDMDenoiser(self.network)(noisy, sigma)
        each = edm_weight(sigma, self.network.sigma_data) * mean_square(denoised - clean)
        return tamed(each).mean(), each.detach(), sigma

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Denoising PSNR in dB per sigma on the centre of every held-out picture."""
        if self.crops is None:
            return {}
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(self.crops.shape, generator=generator)
        result = {}
        with self.averaged() as network, torch.autocast(self.runtime.device.type, torch.bfloat16):
            for sigma in VALIDATION_SIGMAS:
                error = []
                for clean, white in zip(
                    torch.split(self.crops, 8), torch.split(noise, 8), strict=True
                ):
                    noisy = self.to_device(clean + sigma * white)
                    level = torch.full((len(clean),), sigma, device=self.runtime.device)
                    out = EDMDenoiser(network)(noisy, level).cpu().clamp(-1, 1)
                    error.append(mean_square(out - clean) / 4)
                result[str(sigma)] = float(-10 * torch.cat(error).log10().mean())
        return result


def edm_weight(sigma: Tensor, sigma_data: float) -> Tensor:
    """lambda(sigma) = 1/c_out^2 (Karras et al. 2022, Table 1): a unit loss at every level."""
    return (sigma.square() + sigma_data**2) / (sigma * sigma_data).square()


def mean_square(error: Tensor) -> Tensor:
    """(B, C, H, W) to its mean square, (B,)."""
    return error.square().mean((1, 2, 3))


def tamed(each: Tensor) -> Tensor:
    """Losses that grow by their logarithm beyond ``OUTLIER``.

    At small sigma a rare picture of hard edges outweighs its batch a thousandfold.
    """
    return torch.where(each < OUTLIER, each, OUTLIER * (1 + (each / OUTLIER).log()))


def train_prior(
    config: PriorConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Train a prior; see :func:`gesso.training.loop.train`."""
    return train(PriorTrainer(config, runtime or Runtime()), start, log, stop)
