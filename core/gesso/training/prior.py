"""Train the prior: an unconditional EDM denoiser of natural pictures (Karras et al. 2022)."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gesso.cards import ModelCard
from gesso.denoiser import EDMDenoiser
from gesso.errors import InputError
from gesso.runtime import Runtime
from gesso.training.checkpoint import load_checkpoint, save_checkpoint
from gesso.training.data import CropSampler, picture_files, validation_crops
from gesso.unet import WindowUNet

__all__ = ["PriorConfig", "PriorTrainer", "train_prior"]

# An untrained network has a loss of 1; beyond this the loss grows by its logarithm.
OUTLIER = 4.0
VALIDATION_SIGMAS = (0.02, 0.05, 0.1, 0.2, 0.4)
Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class PriorConfig:
    """Everything that decides a run; written beside its weights.

    Attributes:
        data: folder of training pictures.
        val: folder of held-out pictures that choose the best weights; None keeps the last.
        out: folder for checkpoints, the log and the finished model.
        steps: optimiser steps in all.
        batch, crop: pictures per step and their side in pixels.
        lr: of AdamW, after ``warmup`` steps and until the last ``cooldown`` share of them,
            over which it falls linearly to 0. A run can be cut short by resuming its
            checkpoint with fewer ``steps``.
        ema: decay of the averaged weights, which are the ones that are shipped.
        p_mean, p_std: ln(sigma) is drawn from N(p_mean, p_std^2), clipped to ``sigma_range``.
        seed: of weights, crops and noise.
        network: arguments of :class:`gesso.unet.WindowUNet`.
        name, licence, about: for the card: of the model, of its weights, and of the data.
    """

    data: str
    out: str
    val: str | None = None
    steps: int = 20_000
    batch: int = 16
    crop: int = 128
    lr: float = 1e-3
    warmup: int = 300
    cooldown: float = 0.3
    weight_decay: float = 1e-2
    ema: float = 0.999
    p_mean: float = -2.1
    p_std: float = 0.9
    sigma_range: tuple[float, float] = (0.002, 0.6)
    seed: int = 0
    every: int = 500
    network: Mapping[str, Any] = field(default_factory=dict)
    name: str = "prior"
    licence: str = ""
    about: str = ""

    def command(self) -> str:
        """The command that runs this configuration again; folders by their names alone."""
        words = ["gesso train prior", Path(self.data).name]
        defaults = PriorConfig("", "")
        for key in ("val", "steps", "batch", "crop", "lr", "warmup", "cooldown", "ema", "seed"):
            value = getattr(self, key)
            if value is not None and value != getattr(defaults, key):
                words += [f"--{key}", Path(value).name if key == "val" else str(value)]
        for key, value in self.network.items():
            listed = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
            words += [f"--{key}", listed]
        return " ".join(words)

    def learning_rate(self, step: int) -> float:
        """Warm-up, plateau, linear cool-down."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return self.lr * min(rise, fall, 1.0)


class PriorTrainer:
    """One training run: draws batches, steps, averages, validates, checkpoints."""

    def __init__(self, config: PriorConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.noise = torch.Generator().manual_seed(config.seed)
        self.network = WindowUNet(**config.network)
        self.place(self.network)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            config.lr,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self.step, self.best, self.seconds = 0, -math.inf, 0.0
        if config.crop % self.network.grid:
            raise InputError(f"--crop must be a multiple of {self.network.grid}, got {config.crop}")

    def place(self, network: nn.Module) -> None:
        """Move to the device, in the memory layout that convolutions like best."""
        network.to(self.runtime.device)
        network.to(memory_format=torch.channels_last)

    def loss(self, clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(mean loss, loss per picture, sigma per picture), EDM Eq. 8 with lambda = 1/c_out^2."""
        config = self.config
        log_sigma = torch.randn(len(clean), generator=self.noise) * config.p_std + config.p_mean
        sigma = log_sigma.exp().clamp(*config.sigma_range).to(clean.device)
        noise = torch.randn(clean.shape, generator=self.noise).to(clean.device)
        noisy = clean + noise * sigma[:, None, None, None]
        with torch.autocast(clean.device.type, torch.bfloat16):
            denoised = EDMDenoiser(self.network)(noisy, sigma)
        sd = self.network.sigma_data
        weight = (sigma.square() + sd**2) / (sigma * sd).square()
        each = weight * (denoised - clean).square().mean((1, 2, 3))
        # At small sigma a rare picture of hard edges outweighs its batch a thousandfold.
        tamed = torch.where(each < OUTLIER, each, OUTLIER * (1 + (each / OUTLIER).log()))
        return tamed.mean(), each.detach(), sigma

    def update(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """One optimiser step; returns (loss, sigma) per picture."""
        started = time.monotonic()
        rate = self.config.learning_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        clean = clean.to(self.runtime.device).contiguous(memory_format=torch.channels_last)
        mean, each, sigma = self.loss(clean)
        self.optimizer.zero_grad(set_to_none=True)
        mean.backward()  # type: ignore[no-untyped-call]  # torch states no types here
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        # A rare non-finite batch must not poison the weights or their average.
        if torch.isfinite(norm):
            self.optimizer.step()
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        torch._foreach_lerp_(list(self.average.values()), list(state.values()), 1 - decay)
        self.step += 1
        self.seconds += time.monotonic() - started
        return each, sigma

    @contextlib.contextmanager
    def averaged(self) -> Iterator[WindowUNet]:
        """The network with its averaged weights, restored afterwards."""
        current = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        try:
            yield self.network.eval()
        finally:
            self.network.load_state_dict(current)
            self.network.train()

    @torch.inference_mode()
    def validate(self, crops: Tensor) -> dict[str, float]:
        """Denoising PSNR in dB per sigma on (N, 3, H, W) crops, with fixed noise."""
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(crops.shape, generator=generator)
        result = {}
        with self.averaged() as network, torch.autocast(self.runtime.device.type, torch.bfloat16):
            for sigma in VALIDATION_SIGMAS:
                error = []
                for clean, white in zip(torch.split(crops, 8), torch.split(noise, 8), strict=True):
                    noisy = (clean + sigma * white).to(self.runtime.device)
                    level = torch.full((len(clean),), sigma, device=self.runtime.device)
                    out = EDMDenoiser(network)(noisy, level).cpu().clamp(-1, 1)
                    error.append((out - clean).square().mean((1, 2, 3)) / 4)
                result[str(sigma)] = float(-10 * torch.cat(error).log10().mean())
        return result

    def save(self, folder: Path) -> None:
        """Checkpoint into ``folder``: weights, average, optimiser, random states."""
        save_checkpoint(
            folder,
            {"network": self.network.state_dict(), "average": self.average},
            self.optimizer,
            self.noise,
            {
                "step": self.step,
                "best": self.best,
                "seconds": self.seconds,
                "rng": self.rng.bit_generator.state,
                "config": asdict(self.config),
            },
        )

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint of :meth:`save`; its network must be the same."""
        tensors, state = load_checkpoint(folder, self.optimizer, self.noise)
        try:
            self.network.load_state_dict(tensors["network"])
        except RuntimeError as error:
            raise InputError(
                f"the checkpoint in {folder} is of another network; "
                "give the options it was begun with, or another --out"
            ) from error
        # A file has its own order; the averaging pairs tensors by the network's.
        average = tensors["average"]
        self.average = {k: average[k].to(self.runtime.device) for k in self.average}
        self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
        self.rng.bit_generator.state = state["rng"]

    def start_from(self, folder: str | Path) -> None:
        """Begin from finished weights in diffusers' format instead of random ones."""
        try:
            weights = WindowUNet.from_pretrained(
                str(folder), local_files_only=True, low_cpu_mem_usage=False
            ).state_dict()
            self.network.load_state_dict(weights)
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"cannot begin from {folder}: no model of this network is there ({error})"
            ) from error
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def export(self, folder: Path, figures: Mapping[str, Any]) -> None:
        """Write the averaged weights as a diffusers model, fp16 safetensors, with a card.

        The card has no noise table yet; ``gesso calibrate`` fits one.
        """
        with self.averaged() as network:
            half = WindowUNet(**dict(self.config.network))
            half.load_state_dict(network.state_dict())
            half.half().save_pretrained(str(folder))
        millions = sum(p.numel() for p in half.parameters()) / 1e6
        ModelCard(
            name=self.config.name,
            role="prior",
            factory="gesso.denoiser:load_prior",
            folder=folder,
            weights="diffusion_pytorch_model.safetensors",
            sha256="",
            summary=f"unconditional EDM denoiser of pictures, {millions:.1f} M parameters",
            licence=self.config.licence,
            data=self.config.about,
            recipe=self.config.command(),
            seed=self.config.seed,
            figures=figures,
        ).write()


def train_prior(
    config: PriorConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Train to ``config.steps``, going on from ``config.out`` when it holds a checkpoint.

    Returns the folder of the finished model (``out/model``): the averaged weights of the
    best validation (or the last ones without ``val``), in diffusers' format. ``log``
    receives one record per report: the step, loss per sigma bin, pictures per second and,
    with ``val``, denoising PSNR per sigma. The same records go to ``out/log.jsonl``.
    ``stop`` is asked after every step; when it says True, the run is checkpointed.

    Raises:
        InputError: no pictures, a crop that does not fit, or a foreign checkpoint.
        KeyboardInterrupt: ``stop`` said so; the next call goes on from there.
    """
    trainer = PriorTrainer(config, runtime or Runtime())
    out, checkpoint = Path(config.out), Path(config.out) / "checkpoint"
    out.mkdir(parents=True, exist_ok=True)
    if checkpoint.is_dir():
        trainer.restore(checkpoint)
    elif start:
        trainer.start_from(start)
    sampler = CropSampler.from_files(picture_files(config.data), config.crop)
    crops = validation_crops(picture_files(config.val), 256) if config.val else None
    losses: list[tuple[Tensor, Tensor]] = []
    began, first = time.monotonic(), trainer.step
    while trainer.step < config.steps:
        losses.append(trainer.update(sampler.draw(config.batch, trainer.rng)))
        if stop and trainer.step < config.steps and stop():
            trainer.save(checkpoint)
            raise KeyboardInterrupt
        if trainer.step % config.every and trainer.step < config.steps:
            if log and trainer.step % 20 == 0:
                log({"step": trainer.step, "loss": _mean_loss(losses[-20:])})
            continue
        rate = (trainer.step - first) * config.batch / (time.monotonic() - began)
        record: dict[str, Any] = {
            "step": trainer.step,
            "loss": _mean_loss(losses),
            "loss_per_sigma": _loss_per_sigma(losses),
            "lr": config.learning_rate(trainer.step),
            "pictures_per_second": round(rate, 2),
        }
        losses = []
        score = float(trainer.step)
        if crops is not None:
            record["psnr"] = trainer.validate(crops)
            score = sum(record["psnr"].values()) / len(record["psnr"])
            record["score"] = round(score, 4)
        if score > trainer.best:
            trainer.best = score
            trainer.export(out / "model", {"training": record})
        trainer.save(checkpoint)
        with (out / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        if log:
            log(record)
    return out / "model"


def _mean_loss(losses: list[tuple[Tensor, Tensor]]) -> float:
    return round(float(torch.cat([each for each, _ in losses]).mean()), 5)


def _loss_per_sigma(losses: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Mean loss in octaves of sigma, keyed by each bin's lower edge."""
    each = torch.cat([loss for loss, _ in losses]).cpu()
    octave = torch.cat([sigma for _, sigma in losses]).cpu().log2().floor()
    return {
        f"{2.0 ** float(o):.4g}": round(float(each[octave == o].mean()), 5)
        for o in torch.unique(octave)
    }
