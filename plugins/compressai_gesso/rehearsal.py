"""`gesso train hyperprior --dry-run`: the whole way in small, and what the real way would take."""

from __future__ import annotations

import json as json_format
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compressai_gesso.console import answer_json
from gesso.errors import GessoError

if TYPE_CHECKING:
    from compressai_gesso.recipe import HyperpriorConfig
    from gesso.runtime import Runtime

__all__ = ["rehearse"]

SAMPLE = 8  # pictures that are read for the rehearsal
FIRST = 2  # steps before the resume
SPAN = 20.0  # seconds of steps that are timed after it
MOST = 50  # of such steps


def rehearse(config: HyperpriorConfig, runtime: Runtime, start: Path | None, json: bool) -> None:
    """Train, validate, checkpoint, resume, export, load, and code a picture, in a temporary folder.

    The network, the batch and the crop are those of the real run. Prints the measured speed
    and what the real run would take.

    Raises:
        InputError: a folder without pictures, or none as large as a crop.
        GessoError: a step of the way does not work.
    """
    from gesso.training.data import picture_files

    held_out = picture_files(config.val) if config.val else []
    with tempfile.TemporaryDirectory(prefix="gesso-dry-run-") as temporary:
        root = Path(temporary)
        small = replace(
            config,
            data=str(_copy(picture_files(config.data), root / "data")),
            val=str(_copy(held_out, root / "val")) if held_out else None,
            out=str(root / "out"),
            every=FIRST,
        )
        result = _go(small, runtime, start)
    share = len(held_out) / max(1, min(SAMPLE, len(held_out)))
    rounds = -(-config.steps // config.every)
    seconds = config.steps * config.batch / result["pictures_per_second"]
    seconds += rounds * result["seconds_per_validation"] * share
    result |= {
        "steps": config.steps,
        "estimated_seconds": seconds,
        "command": config.command(start),
    }
    if json:
        answer_json(result)
        return
    print(
        "trained, validated, checkpointed, resumed, exported, loaded and coded with: "
        "all of it works\n"
        f"{result['parameters'] / 1e6:.1f} M parameters, "
        f"{result['pictures_per_second']:.1f} pictures/s on {result['device']}\n"
        f"the real run, {config.steps} steps of {config.batch} x {config.crop} x {config.crop}, "
        f"would take about {seconds / 60:.1f} minutes"
    )


def _copy(files: list[Path], folder: Path) -> Path:
    """A few of ``files``, spread over all of them."""
    folder.mkdir()
    for index in range(min(SAMPLE, len(files))):
        path = files[index * len(files) // min(SAMPLE, len(files))]
        shutil.copyfile(path, folder / f"{index}-{path.name}")
    return folder


def _go(config: HyperpriorConfig, runtime: Runtime, start: Path | None) -> dict[str, Any]:
    from compressai_gesso.training import HyperpriorTrainer, train_hyperprior
    from gesso.training.data import picture_files, validation_crops

    checkpoint = Path(config.out) / "checkpoint"
    began = time.monotonic()
    train_hyperprior(replace(config, steps=FIRST), runtime, start)
    per_step = max(1e-3, (time.monotonic() - began) / FIRST)
    more = max(1, min(MOST, int(SPAN / per_step)))
    before = _state(checkpoint)
    second = replace(config, steps=FIRST + more, every=FIRST + more)
    folder = train_hyperprior(second, runtime)
    after = _state(checkpoint)
    if (before["step"], after["step"]) != (FIRST, FIRST + more):
        raise GessoError(
            f"the run did not go on from its checkpoint: steps {before['step']}, {after['step']}"
        )
    validation = 0.0
    if config.val:
        trainer = HyperpriorTrainer(second, runtime)
        trainer.restore(checkpoint)
        crops = validation_crops(picture_files(config.val), 256)
        began = time.monotonic()
        trainer.validate(crops)
        validation = time.monotonic() - began
    speed = more * config.batch / max(1e-9, after["seconds"] - before["seconds"])
    return {
        "pictures_per_second": speed,
        "seconds_per_validation": validation,
        "device": str(runtime.device),
        "parameters": _code(folder, config),
    }


def _state(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = json_format.loads(
        (checkpoint / "state.json").read_text(encoding="utf-8")
    )
    return state


def _code(folder: Path, config: HyperpriorConfig) -> int:
    """Code a picture with the finished model and decode it; its parameters."""
    from PIL import Image

    from compressai_gesso.codecs import Hyperprior

    place = folder.with_name(f"hyperprior-{config.quality}")
    folder.rename(place)
    codec = Hyperprior(folder=str(place.parent))
    picture = Image.new("RGB", (config.crop + 1, config.crop), (200, 100, 50))
    if codec.decode(codec.encode(picture, config.quality)).size != picture.size:
        raise GessoError(f"the exported model in {folder} does not code a picture")
    return sum(p.numel() for p in codec.coder(config.quality).network.parameters())
