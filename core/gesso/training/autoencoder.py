"""Train the latent codec's autoencoder, its palettes and its adversary.

A small convolutional autoencoder (diffusers' ``AutoencoderTiny``, the shape of TAESD) whose
latents are quantised to palettes while it is trained, as "Neural Discrete Representation
Learning" (van den Oord et al. 2017) and "Taming Transformers" (Esser et al. 2021) do: L1, LPIPS,
DISTS and an adversary, and a pull of the latents towards the palette.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from gesso.cards import ModelCard
from gesso.errors import InputError
from gesso.evaluation.perceptual import dists, lpips_alex
from gesso.runtime import Runtime
from gesso.surrogates.rounding import straight_through
from gesso.training.adversary import Adversary
from gesso.training.data import CropSampler, picture_files, validation_crops
from gesso.training.loop import Batch, Log, Trainer, TrainingConfig, train
from gesso.training.palettes import LearnedPalettes

__all__ = ["AutoencoderConfig", "AutoencoderTrainer", "train_autoencoder"]

VALIDATION_SIDE = 256
# Palette sizes by which weights are judged; 64 is the paper's.
VALIDATION_SIZES = (64, 256)
# Steps in which the latents spread before palettes are laid over them.
SETTLE = 300
# DISTS looks through VGG16: dear, so that only so many pictures of a batch are shown to it.
JUDGED = 2


@dataclass(frozen=True)
class AutoencoderConfig(TrainingConfig):
    """A run of ``gesso train autoencoder``.

    Attributes:
        network: arguments of diffusers' ``AutoencoderTiny``; what is left out is TAESD's.
        palettes: sizes that are learned; each picture of a batch meets one of them.
        lpips, dists: weights beside that of L1, which is 1.
        adversarial: how strong the adversary's pull is, as a share of that of the others.
        commitment: weight of the pull towards the palette.
        adversary_from: share of the steps after which the adversary is heard.
        unquantised: chance of a batch that the decoder sees as it was encoded.
        frozen: ``encoder`` trains the decoder alone, so that latents stay what they are.
    """

    verb: ClassVar[str] = "autoencoder"
    options: ClassVar[tuple[str, ...]] = (
        *TrainingConfig.options, "palettes", "lpips", "dists", "adversarial", "adversary_from",
        "frozen",
    )  # fmt: skip

    batch: int = 8
    lr: float = 1e-3
    palettes: tuple[int, ...] = (16, 32, 64, 128, 256)
    lpips: float = 1.0
    dists: float = 1.0
    adversarial: float = 0.1
    commitment: float = 0.1
    adversary_from: float = 0.5
    adversary_lr: float = 3e-4
    unquantised: float = 0.1
    frozen: str = ""


class AutoencoderTrainer(Trainer):
    """Encoder, palettes and decoder by one loss; the adversary in turn with them."""

    config_type = AutoencoderConfig
    role = "autoencoder"
    factory = "gesso.autoencoder:load_autoencoder"
    summary = "autoencoder of pictures, with palettes for its latents"
    measured = "distance to the source by palette size"
    then = "gesso train prior --space latent DATA --autoencoder {model} --out OUT"
    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig, runtime: Runtime) -> None:
        if config.frozen not in ("", "encoder"):
            raise InputError(f"--frozen is encoder or nothing, got {config.frozen!r}")
        super().__init__(config, runtime)
        shape = self.network.config
        magnitude = float(shape.latent_magnitude)
        self.palettes = LearnedPalettes(config.palettes, int(shape.latent_channels), magnitude)
        self.palettes.to(runtime.device)
        self.adversary = Adversary(config.adversary_lr, runtime.device)

    @classmethod
    def architecture(cls) -> type[Any]:
        """See :class:`Trainer`."""
        from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

        found: type[Any] = AutoencoderTiny
        return found

    def build(self) -> Any:
        """See :class:`Trainer`."""
        network = super().build()
        network.grid = 2 ** (len(network.config.num_encoder_blocks) - 1)
        return network

    def trains(self, key: str) -> bool:
        """See :class:`Trainer`."""
        return not (self.config.frozen and key.startswith(self.config.frozen))

    def read(self) -> None:
        """See :class:`Trainer`."""
        config = self.config
        self.sampler = CropSampler.from_files(picture_files(config.data), config.crop)
        val = config.val
        self.crops = validation_crops(picture_files(val), VALIDATION_SIDE) if val else None

    def draw(self) -> Batch:
        """Clean crops, (batch, 3, crop, crop) on [-1, 1]."""
        return (self.sampler.draw(self.config.batch, self.rng),)

    def loss(self, *batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """L1 + LPIPS + DISTS + adversary + commitment; the level is the palette's size."""
        (clean,) = batch
        config = self.config
        with torch.autocast(clean.device.type, torch.bfloat16):
            latents = self.network.encoder(clean)
        latents = latents.float()
        coded, size, pull = self._coded(latents)
        with torch.autocast(clean.device.type, torch.bfloat16):
            made = self.network.decoder(coded)
        each, slope = self._judged(clean, made.detach().float())
        # Outside of it the decoder's tanh and eight bits both give up.
        beyond = (latents.abs() - self.palettes.magnitude).clamp_min(0).square().mean()
        total = (made.float() * slope).sum() + config.commitment * pull.mean() + beyond
        return total, each, each.new_full(each.shape, size)

    def _judged(self, clean: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """(L1 + LPIPS + DISTS per picture, slope of their mean and of the adversary's verdict)."""
        config = self.config
        made.requires_grad_()
        pair = (clean + 1) / 2, (made + 1) / 2
        each = (pair[1] - pair[0]).abs().mean((1, 2, 3))
        with torch.autocast(clean.device.type, torch.bfloat16):
            if config.lpips:
                each = each + config.lpips * lpips_alex(*pair).float()
            if config.dists:
                few = dists(pair[0][:JUDGED], pair[1][:JUDGED]).float()
                each = each + config.dists * few.mean()
        (slope,) = torch.autograd.grad(each.mean(), made)
        if self.heard:
            slope = self.adversary.pull(clean, made, slope, config.adversarial)
        return each.detach(), slope

    def _coded(self, latents: Tensor) -> tuple[Tensor, float, Tensor]:
        """(what the decoder sees, size of its palette, distance to it per picture)."""
        if self.step < SETTLE and not self.palettes.begun:
            return latents, 512.0, latents.new_zeros(len(latents))
        self.palettes.follow(latents, self.noise)
        count = len(self.config.palettes)
        draw = float(torch.rand((), generator=self.noise))
        if draw < self.config.unquantised:
            return latents, 512.0, latents.new_zeros(len(latents))
        # The larger palettes are what most pictures are coded with.
        index = int(count * float(torch.rand((), generator=self.noise)) ** 0.7)
        size = self.config.palettes[index]
        coded = self.palettes.quantised(latents, size)
        pull = (latents - coded).square().mean((1, 2, 3))
        return straight_through(latents, coded), float(size), pull

    @property
    def heard(self) -> bool:
        """Whether the adversary takes part by now."""
        config = self.config
        return bool(config.adversarial) and self.step >= config.adversary_from * config.steps

    def update(self, *batch: Tensor) -> tuple[Tensor, Tensor]:
        """One step of the autoencoder, then one of the adversary on what it made."""
        found = super().update(*batch)
        self.adversary.catch_up()
        return found

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """LPIPS (AlexNet) and DISTS through palettes, on held-out pictures."""
        if self.crops is None:
            return {}
        seen: dict[str, list[Tensor]] = {}
        with self.averaged() as network:
            for crop in torch.split(self.crops, 4):
                source = self.to_device(crop)
                with torch.autocast(self.runtime.device.type, torch.bfloat16):
                    latents = network.encoder(source).float()
                for size in VALIDATION_SIZES:
                    coded = latents
                    if self.palettes.begun and size in self.palettes.sizes:
                        coded = self.palettes.quantised(latents, size)
                    with torch.autocast(self.runtime.device.type, torch.bfloat16):
                        made = network.decoder(coded).float().clamp(-1, 1)
                    pair = (source + 1) / 2, (made + 1) / 2
                    for name, metric in (("lpips", lpips_alex), ("dists", dists)):
                        seen.setdefault(f"{name} {size}", []).append(metric(*pair).cpu())
        return {key: round(float(torch.cat(values).mean()), 5) for key, values in seen.items()}

    def score(self, figures: Mapping[str, float]) -> float:
        """Distances: less is better."""
        return -super().score(figures)

    def start_from(self, folder: str | Path) -> None:
        """See :class:`Trainer`; the palettes come with the card."""
        try:
            found = self.architecture().from_pretrained(
                str(folder), local_files_only=True, low_cpu_mem_usage=False,
                torch_dtype=torch.float32, use_safetensors=True,
            )  # fmt: skip
            self.network.load_state_dict(found.state_dict())
        except (OSError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(
                f"cannot begin from {folder}: no autoencoder of this shape is there ({error})"
            ) from error
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        if (Path(folder) / "card.json").is_file():
            self.palettes.resume(ModelCard.read(folder).settings.get("palettes", {}))

    def write(self, network: Any, folder: Path) -> str:
        """See :class:`Trainer`; with what scales the latents to unit variance."""
        half = self.build()
        half.load_state_dict(network.state_dict())
        half.register_to_config(scaling_factor=self._scaling(network))
        cast(nn.Module, half).half()
        half.save_pretrained(str(folder))
        self.settings = {**self.settings, "palettes": self.palettes.encoded()}
        return "diffusion_pytorch_model.safetensors"

    @torch.inference_mode()
    def _scaling(self, network: Any) -> float:
        clean = self.to_device(self.sampler.draw(32, np.random.default_rng(self.config.seed)))
        with torch.autocast(clean.device.type, torch.bfloat16):
            latents = network.encoder(clean)
        return round(1 / float(latents.float().std()), 4)

    def save(self, folder: Path) -> None:
        """See :class:`Trainer`; the adversary and the palettes lie beside it."""
        self.adversary.save(folder.with_name("adversary"), palettes=self.palettes.state_dict())
        super().save(folder)

    def restore(self, folder: Path) -> None:
        """See :class:`Trainer`."""
        super().restore(folder)
        tensors = self.adversary.restore(folder.with_name("adversary"))
        self.palettes.load_state_dict(tensors["palettes"])


def train_autoencoder(
    config: AutoencoderConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Train an autoencoder; see :func:`gesso.training.loop.train`."""
    return train(AutoencoderTrainer(config, runtime or Runtime()), start, log, stop)
