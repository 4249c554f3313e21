"""A training run on the terminal: its configuration, its progress, how it is stopped."""

from __future__ import annotations

import importlib
import inspect
import json as json_format
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError, ModelError
from gesso_cli.console import answer_json, live, say

if TYPE_CHECKING:
    from types import FrameType

    from gesso.training.loop import Trainer, TrainingConfig

__all__ = ["configure", "train", "trainer_of", "watching"]

Log = Callable[[dict[str, Any]], None]
TRAINERS = {
    "prior": ("prior", "PriorTrainer"),
    "posterior-mean": ("posterior_mean", "PosteriorMeanTrainer"),
    "consistency": ("consistency", "ConsistencyTrainer"),
    "distill": ("distill", "DistillTrainer"),
    "preprocess": ("preprocess", "PreprocessTrainer"),
    "autoencoder": ("autoencoder", "AutoencoderTrainer"),
    "latent-prior": ("latent_prior", "LatentPriorTrainer"),
}


def trainer_of(kind: str) -> type[Trainer]:
    """The class that does ``gesso train KIND``; imports torch."""
    module, name = TRAINERS[kind]
    found: type[Trainer] = getattr(importlib.import_module(f"gesso.training.{module}"), name)
    return found


def configure(
    kind: type[Trainer],
    data: Path,
    out: Path,
    val: Path | None,
    start: Path | None,
    given: Mapping[str, Any],
    network: Mapping[str, Any],
) -> TrainingConfig:
    """The configuration of a run: what is given, else its checkpoint's, else the defaults.

    Args:
        kind: of model.
        data, out, val: folders.
        start: folder of a model to begin with; its network is taken.
        given: fields of the configuration; None means not given.
        network: arguments of the kind's network; None means not given.
    """
    known = {"name": out.absolute().name} | _saved(out / "checkpoint" / "state.json")
    known |= {key: value for key, value in given.items() if value is not None}
    # How the network was begun decides, not what the defaults are by now.
    names = [field.name for field in fields(kind.config_type)]
    base = _base(start) if "base" in names else ""
    if base:
        known.setdefault("base", base)
    begun = known.pop("network", None) or (_network(start) if start and not base else {})
    shape = begun | {key: value for key, value in network.items() if value is not None}
    defaults = inspect.signature(kind.architecture()).parameters
    known["network"] = {
        key: value
        for key, value in _tuples(shape).items()
        # How many classes there are follows from the codecs.
        if key in defaults and not key.endswith("_embeds") and value != defaults[key].default
    }
    known |= {"data": str(data), "out": str(out), "val": str(val) if val else known.get("val")}
    return kind.config_type(**_tuples({key: known[key] for key in names if key in known}))


def _tuples(content: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows lists alone."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}


def _saved(state: Path) -> dict[str, Any]:
    """The configuration of a checkpoint; empty where there is none."""
    if not state.exists():
        return {}
    try:
        return dict(json_format.loads(state.read_text(encoding="utf-8"))["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{state} is no checkpoint; remove its folder to start anew") from error


def _base(start: Path | None) -> str:
    """The Stable Diffusion that a preprocessor is begun in; imports torch."""
    from gesso.training.latent_family import base_folder

    return base_folder(start)


def _network(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        return dict(json_format.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no model to begin with: {error}") from error


def train(
    kind: type[Trainer], config: TrainingConfig, runtime: Any, start: Path | None, json: bool
) -> None:
    """Run it to its end, or until Ctrl-C."""
    from gesso.training import loop

    last: dict[str, Any] = {}
    resumed = (Path(config.out) / "checkpoint").is_dir()
    say(f"{'going on' if resumed else 'beginning'}: {config.command()}")
    try:
        with watching(config.steps) as log, _asking() as stop:

            def note(record: dict[str, Any]) -> None:
                last.update(record)
                log(record)

            model = loop.train(kind(config, runtime), start, note, stop)
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on from {Path(config.out) / 'checkpoint'}")
        raise
    if not last:
        say(f"{config.steps} steps were done already; pass more --steps to go on")
    if json:
        answer_json({"model": str(model), "steps": config.steps, "last": last or None})
    say(f"the model is {model}; next: {kind.then.format(model=model)}")


@contextmanager
def _asking() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed since; pressed again, it stops at once."""
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        say("stopping after this step; Ctrl-C again stops at once, without a checkpoint")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def watching(steps: int) -> Iterator[Log]:
    """A live bar on a terminal, and a line for every full record anywhere."""
    began = time.monotonic()
    with live() as progress:
        task = progress.add_task("reading pictures", total=None)

        def log(record: dict[str, Any]) -> None:
            label = f"loss {record['loss']:.4f}"
            progress.update(task, completed=record["step"], total=steps, description=label)
            if "lr" in record:
                minutes = (time.monotonic() - began) / 60
                say(f"{_line(record)}, {minutes:.1f} min")

        yield log


def _line(record: dict[str, Any]) -> str:
    parts = [
        f"step {record['step']}",
        f"loss {record['loss']:.4f}",
        f"lr {record['lr']:.2g}",
        f"{record['pictures_per_second']:.1f} pictures/s",
    ]
    if found := record.get("validation"):
        figures = ", ".join(f"{name}: {value:.4g}" for name, value in found.items())
        parts.append(f"{record['measured']} {figures}")
    return ", ".join(parts)
