"""Train a scale hyperprior (Balle et al. 2018) on pictures, for rate and distortion."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from compressai_gesso.muon import MuonAdam
from compressai_gesso.networks import fill, new_hyperprior, rescale
from compressai_gesso.recipe import HyperpriorConfig
from gesso.cards import ModelCard
from gesso.errors import InputError, ModelError
from gesso.runtime import Runtime
from gesso.training.checkpoint import load_checkpoint, save_checkpoint
from gesso.training.data import CropSampler, picture_files, validation_crops

if TYPE_CHECKING:
    from compressai.models import ScaleHyperprior

__all__ = ["HyperpriorTrainer", "train_hyperprior"]

# Fresh latents would drown in the noise that stands for rounding.
FIRST_GAIN = 4.0
WEIGHTS = "model.safetensors"
Log = Callable[[dict[str, Any]], None]


class HyperpriorTrainer:
    """One training run: draws batches, steps, averages, validates, checkpoints."""

    def __init__(self, config: HyperpriorConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.noise = torch.Generator().manual_seed(config.seed)
        self.network = new_hyperprior(config.channels, config.latents)
        rescale(self.network, FIRST_GAIN)
        self.network.to(runtime.device)
        self.network.to(memory_format=torch.channels_last)
        self.parameters = dict(self.network.named_parameters())
        self.average = {k: v.detach().clone() for k, v in self.parameters.items()}
        quantiles = [v for k, v in self.parameters.items() if k.endswith(".quantiles")]
        self.main = [v for k, v in self.parameters.items() if not k.endswith(".quantiles")]
        # The quantiles' loss shares no parameter with the other: one optimiser serves both.
        self.optimizer = MuonAdam(
            [v for v in self.main if v.ndim == 4], [v for v in self.main if v.ndim != 4], quantiles
        )
        self.step, self.best, self.seconds = 0, math.inf, 0.0
        self.start: str | None = None

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """(reconstruction, bits per pixel of each picture); (B, 3, H, W) float32 on [0, 1].

        Rounding is replaced by uniform noise (Balle et al. 2018, section 2). Convolutions
        may run in bf16; whatever makes a likelihood is fp32.
        """
        network = self.network
        with self._convolving():
            latent = network.g_a(picture)
            hyper = network.h_a(latent.abs())
        hyper_hat = self._blurred(hyper)
        hyper_likelihood = _bottleneck_likelihood(network, hyper_hat)
        with self._convolving():
            scales = network.h_s(hyper_hat)
        latent_hat = self._blurred(latent)
        conditional = network.gaussian_conditional
        latent_likelihood = conditional.likelihood_lower_bound(
            conditional._likelihood(latent_hat, scales.float())
        )
        with self._convolving():
            rebuilt = network.g_s(latent_hat)
        return rebuilt.float(), _bpp(picture, hyper_likelihood, latent_likelihood)

    def _convolving(self) -> contextlib.AbstractContextManager[None]:
        half = self.runtime.dtype == torch.bfloat16
        context: contextlib.AbstractContextManager[None] = torch.autocast(
            self.runtime.device.type, torch.bfloat16, enabled=half
        )
        return context

    def _blurred(self, values: Tensor) -> Tensor:
        noise = torch.rand(values.shape, generator=self.noise) - 0.5
        return values.float() + noise.to(values.device)

    def update(self, picture: Tensor) -> tuple[float, float, float]:
        """One optimiser step on pictures on [-1, 1]; returns (loss, bpp, MSE on [0, 1])."""
        started = time.monotonic()
        config = self.config
        rate = config.learning_rate(self.step)
        matrices, others, auxiliary = self.optimizer.param_groups
        matrices["lr"] = others["lr"] = rate
        auxiliary["lr"] = config.aux_lr * min(1.0, rate / max(config.lr, 1e-12))
        picture = ((picture + 1) / 2).to(self.runtime.device)
        picture = picture.contiguous(memory_format=torch.channels_last)
        rebuilt, bpp = self.forward(picture)
        error, bits = (rebuilt - picture).square().mean(), bpp.mean()
        loss = config.distortion_weight * 255**2 * error + bits
        self.optimizer.zero_grad(set_to_none=True)
        (loss + self.network.aux_loss()).backward()
        norm = nn.utils.clip_grad_norm_(self.main, 1.0)
        # A rare non-finite batch must not poison the weights or their average.
        if torch.isfinite(norm):
            self.optimizer.step()
        decay = min(config.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            values = [v.detach() for v in self.parameters.values()]
            torch._foreach_lerp_(list(self.average.values()), values, 1 - decay)
        self.step += 1
        self.seconds += time.monotonic() - started
        return float(loss.detach()), float(bits.detach()), float(error.detach())

    @contextlib.contextmanager
    def averaged(self) -> Iterator[ScaleHyperprior]:
        """The network with its averaged weights, restored afterwards."""
        current = {k: v.detach().clone() for k, v in self.parameters.items()}
        fill(self.network, self.average)
        try:
            yield self.network.eval()
        finally:
            fill(self.network, current)
            self.network.train()

    @torch.inference_mode()
    def validate(self, crops: Tensor) -> dict[str, float]:
        """Rounded instead of noisy, in fp32, on (N, 3, H, W) crops on [-1, 1].

        Returns ``loss`` as in training, ``bpp`` estimated by the likelihoods, ``psnr`` in
        dB, the mean over pictures.
        """
        rows = []
        with self.averaged() as network:
            for part in torch.split(crops, 8):
                picture = ((part + 1) / 2).to(self.runtime.device)
                out = network(picture)
                error = (out["x_hat"].clamp(0, 1) - picture).square().mean((1, 2, 3))
                bits = _bpp(picture, *out["likelihoods"].values())
                rows.append(torch.stack([error, bits], 1).cpu())
        error, bits = torch.cat(rows).unbind(1)
        loss = self.config.distortion_weight * 255**2 * error + bits
        found = {"loss": loss, "bpp": bits, "psnr": -10 * error.log10()}
        return {key: round(float(value.mean()), 4) for key, value in found.items()}

    def save(self, folder: Path) -> None:
        """Checkpoint into ``folder``: weights, average, optimiser, random states."""
        save_checkpoint(
            folder,
            {"network": self.parameters, "average": self.average},
            self.optimizer,
            self.noise,
            {
                "step": self.step,
                "best": None if math.isinf(self.best) else self.best,
                "seconds": self.seconds,
                "rng": self.rng.bit_generator.state,
                "start": self.start,
                "config": asdict(self.config),
            },
        )

    def restore(self, folder: Path) -> None:
        """Go on from a checkpoint of :meth:`save`; its network must be the same."""
        tensors, state = load_checkpoint(folder, self.optimizer, self.noise)
        try:
            fill(self.network, tensors["network"])
        except RuntimeError as error:
            raise InputError(
                f"the checkpoint in {folder} is of another network; "
                "give the options it was begun with, or another --out"
            ) from error
        # A file has its own order; the averaging pairs tensors by the network's.
        average = tensors["average"]
        self.average = {k: average[k].to(self.runtime.device) for k in self.average}
        self.step, self.seconds, self.start = state["step"], state["seconds"], state["start"]
        self.best = math.inf if state["best"] is None else state["best"]
        self.rng.bit_generator.state = state["rng"]

    def start_from(self, folder: str | Path) -> None:
        """Begin from a finished model of :meth:`export`, of whatever lambda."""
        try:
            card = ModelCard.read(folder)
            fill(self.network, load_file(card.verify()))
            before = float(card.settings["lambda"])
        except (ModelError, SafetensorError, RuntimeError, KeyError) as error:
            raise InputError(
                f"cannot begin from {folder}: no model of this network is there ({error})"
            ) from error
        # At high rate the best rounding step goes as lambda to the power of -1/2.
        rescale(self.network, math.sqrt(self.config.distortion_weight / before))
        self.average = {k: v.detach().clone() for k, v in self.parameters.items()}
        self.start = str(folder)

    def export(self, folder: Path, figures: Mapping[str, Any]) -> None:
        """Write the averaged weights as fp16 safetensors, with a card."""
        folder.mkdir(parents=True, exist_ok=True)
        half = {k: v.half().cpu().contiguous() for k, v in self.average.items()}
        save_file(half, folder / WEIGHTS)
        config = self.config
        millions = sum(v.numel() for v in half.values()) / 1e6
        ModelCard(
            name=config.name or f"hyperprior-{config.quality}",
            role="codec",
            factory="compressai_gesso.networks:load_hyperprior",
            folder=folder,
            weights=WEIGHTS,
            sha256="",
            summary=f"scale hyperprior at lambda {config.distortion_weight:g}, "
            f"{millions:.1f} M parameters",
            licence=config.licence,
            data=config.about,
            recipe=config.command(self.start),
            seed=config.seed,
            figures=figures,
            settings={"lambda": config.distortion_weight},
        ).write()


def train_hyperprior(
    config: HyperpriorConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Train to ``config.steps``, going on from ``config.out`` when it holds a checkpoint.

    Returns the folder of the finished model (``out/model``): the averaged weights of the
    best validation (or the last ones without ``val``), fp16 safetensors and a card.
    ``log`` receives one record per report: the step, the loss and its parts, pictures per
    second and, with ``val``, the validation. The same records go to ``out/log.jsonl``.
    ``stop`` is asked after every step; when it says True, the run is checkpointed.

    Raises:
        InputError: no pictures, a crop that does not fit, or a foreign checkpoint.
        KeyboardInterrupt: ``stop`` said so; the next call goes on from there.
    """
    trainer = HyperpriorTrainer(config, runtime or Runtime())
    out, checkpoint = Path(config.out), Path(config.out) / "checkpoint"
    out.mkdir(parents=True, exist_ok=True)
    if checkpoint.is_dir():
        trainer.restore(checkpoint)
    elif start:
        trainer.start_from(start)
    sampler = CropSampler.from_files(picture_files(config.data), config.crop)
    crops = validation_crops(picture_files(config.val), 256) if config.val else None
    parts: list[tuple[float, float, float]] = []
    began, first = time.monotonic(), trainer.step
    while trainer.step < config.steps:
        parts.append(trainer.update(sampler.draw(config.batch, trainer.rng)))
        if stop and trainer.step < config.steps and stop():
            trainer.save(checkpoint)
            raise KeyboardInterrupt
        if trainer.step % config.every and trainer.step < config.steps:
            if log and trainer.step % 20 == 0:
                log({"step": trainer.step, "loss": _means(parts[-20:])["loss"]})
            continue
        rate = (trainer.step - first) * config.batch / (time.monotonic() - began)
        record: dict[str, Any] = {
            "step": trainer.step,
            **_means(parts),
            "lr": config.learning_rate(trainer.step),
            "pictures_per_second": round(rate, 2),
        }
        parts = []
        score = -float(trainer.step)
        if crops is not None:
            record["validation"] = trainer.validate(crops)
            score = record["validation"]["loss"]
        if score < trainer.best:
            trainer.best = score
            trainer.export(out / "model", {"training": record})
        trainer.save(checkpoint)
        with (out / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record) + "\n")
        if log:
            log(record)
    return out / "model"


def _means(parts: list[tuple[float, float, float]]) -> dict[str, float]:
    loss, bpp, error = np.mean(parts, axis=0)
    psnr = -10 * math.log10(max(float(error), 1e-10))
    return {"loss": round(float(loss), 5), "bpp": round(float(bpp), 5), "psnr": round(psnr, 3)}


def _bottleneck_likelihood(network: ScaleHyperprior, values: Tensor) -> Tensor:
    """Of a noisy hyperlatent (B, N, h, w); the bottleneck itself wants (N, 1, all)."""
    bottleneck = network.entropy_bottleneck
    flat = values.transpose(0, 1).flatten(1).unsqueeze(1)
    likelihood, _, _ = bottleneck._likelihood(flat)
    bounded: Tensor = (
        bottleneck.likelihood_lower_bound(likelihood)
        .reshape(values.shape[1], values.shape[0], *values.shape[2:])
        .transpose(0, 1)
    )
    return bounded


def _bpp(picture: Tensor, *likelihoods: Tensor) -> Tensor:
    """Bits per pixel of each picture by its symbols' likelihoods."""
    bits = [-part.log2().sum((1, 2, 3)) for part in likelihoods]
    return torch.stack(bits).sum(0) / (picture.shape[-1] * picture.shape[-2])
