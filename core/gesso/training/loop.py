"""The loop that every model of ours is trained by: step, average, validate, checkpoint, export."""

from __future__ import annotations

import contextlib
import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from gesso.cards import ModelCard, Role
from gesso.errors import InputError, ModelError
from gesso.runtime import Runtime
from gesso.storage import read_weights
from gesso.training.checkpoint import load_checkpoint, save_checkpoint
from gesso.unet import WindowUNet

__all__ = ["Trainer", "TrainingConfig", "load_weights", "train"]

Log = Callable[[dict[str, Any]], None]
Batch = tuple[Tensor, ...]


@dataclass(frozen=True)
class TrainingConfig:
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
        seed: of weights, crops and noise.
        every: steps between checkpoints.
        network: arguments of :meth:`Trainer.architecture`.
        name, licence, about: for the card: of the model, of its weights, and of the data.
    """

    verb: ClassVar[str]
    # Fields that the command line takes, in its order.
    options: ClassVar[tuple[str, ...]] = (
        "val", "steps", "batch", "crop", "lr", "warmup", "cooldown", "ema", "seed",
    )  # fmt: skip

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
    seed: int = 0
    every: int = 500
    network: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""
    licence: str = ""
    about: str = ""

    def command(self) -> str:
        """The command that runs this configuration again; folders by their names alone."""
        words = [f"gesso train {self.verb}", Path(self.data).name]
        defaults = {f.name: f.default for f in fields(self)}
        for key in self.options:
            value = getattr(self, key)
            if value is not None and value != defaults[key]:
                words += [f"--{key}", Path(value).name if key == "val" else _listed(value)]
        for key, value in self.network.items():
            words += [f"--{key}", _listed(value)]
        return " ".join(words)

    def learning_rate(self, step: int) -> float:
        """Warm-up, plateau, linear cool-down."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return self.lr * min(rise, fall, 1.0)


def _listed(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class Trainer(ABC):
    """One run of a network, ours as a rule: what it learns from, and how it is judged."""

    config_type: ClassVar[type[TrainingConfig]]
    role: ClassVar[Role] = "prior"
    factory: str = "gesso.denoiser:load_prior"
    summary: ClassVar[str]
    # What the figures of a validation are, in few words.
    measured: ClassVar[str]
    # What one does with a finished model next, a command.
    then: ClassVar[str] = "gesso calibrate {model} VAL"
    # In the names of what a network may have over the one it begins from.
    new: ClassVar[str] = "class_embedding."
    # What a finished model needs besides its weights before it can be used.
    settings: Mapping[str, Any] = {}

    def __init__(self, config: TrainingConfig, runtime: Runtime) -> None:
        self.config, self.runtime = config, runtime
        torch.manual_seed(config.seed)
        self.rng = np.random.default_rng(config.seed)
        self.noise = torch.Generator().manual_seed(config.seed)
        # Any: :class:`gesso.unet.WindowUNet`, or what :meth:`build` gives in its place.
        self.network: Any = self.build()
        for key, parameter in self.network.named_parameters():
            parameter.requires_grad_(self.trains(key))
        self.place(self.network)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(
            [p for p in self.network.parameters() if p.requires_grad],
            config.lr,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
        )
        self.step, self.best, self.seconds = 0, -math.inf, 0.0
        if config.crop % self.network.grid:
            raise InputError(f"--crop must be a multiple of {self.network.grid}, got {config.crop}")

    @classmethod
    def architecture(cls) -> type[Any]:
        """The class of the network, of whose arguments ``config.network`` holds some."""
        found: type[Any] = WindowUNet
        return found

    def shape(self) -> dict[str, Any]:
        """Arguments of :meth:`architecture`."""
        return dict(self.config.network)

    def build(self) -> Any:
        """The network, with its ``grid``; its state dict is what a checkpoint holds."""
        return self.architecture()(**self.shape())

    def trains(self, key: str) -> bool:
        """Whether the tensor of that name is trained; all are."""
        return True

    @abstractmethod
    def read(self) -> None:
        """Read the pictures; called once, after a checkpoint or first weights are in place."""

    @abstractmethod
    def draw(self) -> Batch:
        """The next batch; every tensor's first axis is that of the pictures."""

    @abstractmethod
    def loss(self, *batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(mean loss, loss per picture, noise or error level per picture)."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Named figures of the averaged weights on held-out pictures; empty without any."""

    def score(self, figures: Mapping[str, float]) -> float:
        """What decides between weights, higher is better; the mean of the figures."""
        return sum(figures.values()) / len(figures)

    def place(self, network: nn.Module) -> None:
        """Move to the device, in the memory layout that convolutions like best."""
        network.to(self.runtime.device)
        network.to(memory_format=torch.channels_last)

    def to_device(self, tensor: Tensor) -> Tensor:
        """A tensor of a batch, where the network is; pictures in its memory layout."""
        moved = tensor.to(self.runtime.device)
        return moved.contiguous(memory_format=torch.channels_last) if moved.ndim == 4 else moved

    def update(self, *batch: Tensor) -> tuple[Tensor, Tensor]:
        """One optimiser step; returns (loss, level) per picture."""
        started = time.monotonic()
        rate = self.config.learning_rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        mean, each, level = self.loss(*map(self.to_device, batch))
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
        return each, level

    @contextlib.contextmanager
    def averaged(self) -> Iterator[Any]:
        """The network with its averaged weights, restored afterwards."""
        current = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        try:
            yield self.network.eval()
        finally:
            self.network.load_state_dict(current)
            self.network.train()

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
                "settings": dict(self.settings),
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
        self.settings = state.get("settings", self.settings)

    def start_from(self, folder: str | Path) -> None:
        """Begin from finished weights in diffusers' format instead of random ones.

        Tensors that only this network has are left as they are.
        """
        load_weights(self.network, folder, self.new)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def write(self, network: Any, folder: Path) -> str:
        """Write a network into ``folder``, as a diffusers model in fp16; the weights' file."""
        half = WindowUNet(**self.shape())
        half.load_state_dict(network.state_dict())
        half.half().save_pretrained(str(folder))
        return "diffusion_pytorch_model.safetensors"

    def export(self, folder: Path, figures: Mapping[str, Any]) -> None:
        """Write the averaged weights, fp16 safetensors, with a card.

        The card has no noise table yet; ``gesso calibrate`` fits one.
        """
        with self.averaged() as network:
            weights = self.write(network, folder)
        millions = sum(p.numel() for p in self.network.parameters() if p.requires_grad) / 1e6
        ModelCard(
            name=self.config.name or self.config.verb,
            role=self.role,
            factory=self.factory,
            folder=folder,
            weights=weights,
            sha256="",
            summary=f"{self.summary}, {millions:.1f} M parameters",
            licence=self.config.licence,
            data=self.config.about,
            recipe=self.config.command(),
            seed=self.config.seed,
            figures=figures,
            settings=self.settings,
        ).write()


def load_weights(network: WindowUNet, folder: str | Path, new: str) -> None:
    """Load a finished model's weights; those with ``new`` in their name may lack."""
    try:
        weights = read_weights(ModelCard.read(folder).path)
        for key, value in network.state_dict().items():
            if new in key:
                weights.setdefault(key, value.detach().cpu())
        network.load_state_dict(weights)
    except (ModelError, OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise InputError(
            f"cannot begin from {folder}: no model of this network is there ({error})"
        ) from error


def train(
    trainer: Trainer,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Train to ``config.steps``, going on from ``config.out`` when it holds a checkpoint.

    Args:
        trainer: the run.
        start: folder of a model to begin with.
        log: receives one record per report: the step, loss per octave of the level, pictures
            per second and, with ``val``, the figures of :meth:`Trainer.validate`. The same
            records go to ``out/log.jsonl``.
        stop: asked after every step; when it says True, the run is checkpointed.

    Returns:
        The folder of the finished model (``out/model``): the averaged weights of the best
        validation (or the last ones without ``val``), in diffusers' format.

    Raises:
        InputError: no pictures, a crop that does not fit, or a foreign checkpoint.
        KeyboardInterrupt: ``stop`` said so; the next call goes on from there.
    """
    config = trainer.config
    out, checkpoint = Path(config.out), Path(config.out) / "checkpoint"
    out.mkdir(parents=True, exist_ok=True)
    if checkpoint.is_dir():
        trainer.restore(checkpoint)
    elif start:
        trainer.start_from(start)
    trainer.read()
    losses: list[tuple[Tensor, Tensor]] = []
    began, first = time.monotonic(), trainer.step
    while trainer.step < config.steps:
        losses.append(trainer.update(*trainer.draw()))
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
            "loss_per_sigma": _loss_per_level(losses),
            "lr": config.learning_rate(trainer.step),
            "pictures_per_second": round(rate, 2),
        }
        losses = []
        score = float(trainer.step)
        figures = trainer.validate()
        if figures:
            score = trainer.score(figures)
            record |= {"measured": trainer.measured, "validation": figures}
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


def _loss_per_level(losses: list[tuple[Tensor, Tensor]]) -> dict[str, float]:
    """Mean loss in octaves of the noise level, keyed by each bin's lower edge."""
    each = torch.cat([loss for loss, _ in losses]).cpu()
    octave = torch.cat([level for _, level in losses]).cpu().log2().floor()
    return {
        f"{2.0 ** float(o):.4g}": round(float(each[octave == o].mean()), 5)
        for o in torch.unique(octave)
    }
