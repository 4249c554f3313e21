"""`gesso train ... --dry-run`: the whole way in small, within two minutes on a CPU."""

from __future__ import annotations

import json as json_format
import shutil
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import GessoError, InputError
from gesso_cli.console import answer, answer_json, say

if TYPE_CHECKING:
    from gesso.cards import ModelCard
    from gesso.runtime import Runtime
    from gesso.training.loop import Trainer, TrainingConfig

__all__ = ["rehearse"]

SAMPLE = 8  # pictures that are read for the rehearsal
FIRST = 2  # steps before the resume
SPAN = 20.0  # seconds of steps that are timed after it
MOST = 50  # of such steps


def rehearse(
    kind: type[Trainer], config: TrainingConfig, runtime: Runtime, start: Path | None, json: bool
) -> None:
    """Train, validate, checkpoint, resume, export and load in a temporary folder.

    The network, the batch and the crop are those of the real run. Prints the measured speed
    and what the real run would take.
    """
    from gesso.training.data import picture_files

    usable, problems = _look(picture_files(config.data), config.crop)
    for problem in problems:
        say(problem)
    if not usable:
        raise InputError(f"no picture in {config.data} can be used with --crop {config.crop}")
    size = _footprint(config)
    held_out = picture_files(config.val) if config.val else []
    with tempfile.TemporaryDirectory(prefix="gesso-dry-run-") as temporary:
        root = Path(temporary)
        small = replace(
            config,
            data=str(_copy(usable, root / "data")),
            val=str(_copy(held_out, root / "val")) if held_out else None,
            out=str(root / "out"),
            every=FIRST,
        )
        result = _go(kind, small, runtime, start)
    share = len(held_out) / max(1, min(SAMPLE, len(held_out)))
    rounds = -(-config.steps // config.every)
    pictures = config.steps * config.batch
    seconds = pictures / result["pictures_per_second"]
    seconds += rounds * result["seconds_per_validation"] * share
    result |= {"pictures": len(usable), "problems": problems, "steps": config.steps}
    result |= {"footprint": size, "estimated_seconds": seconds, "command": config.command()}
    if json:
        answer_json(result)
        return
    answer().print(
        f"trained, validated, checkpointed, resumed, exported and loaded: all of it works\n"
        f"{result['parameters'] / 1e6:.1f} M parameters, {len(usable)} pictures, "
        f"{result['pictures_per_second']:.1f} pictures/s on {result['device']}\n"
        f"the real run, {config.steps} steps of {config.batch} x {config.crop} x {config.crop}, "
        f"would take about {_duration(seconds)}"
    )


def _look(files: list[Path], crop: int) -> tuple[list[Path], list[str]]:
    """The files that are large enough by their headers, and what is wrong with others."""
    from PIL import Image

    usable, problems, small = [], [], 0
    for path in files:
        try:
            with Image.open(path) as image:
                fits = min(image.size) >= crop
        except (OSError, SyntaxError, ValueError) as error:
            problems.append(f"{path} is no picture ({error}); remove it")
            continue
        if fits:
            usable.append(path)
        else:
            small += 1
    if small:
        problems.append(f"{small} pictures are smaller than --crop {crop} and are not used")
    return usable, problems


def _footprint(config: TrainingConfig) -> dict[str, int] | None:
    """What a step in Stable Diffusion will take, said before it is tried; None for our own."""
    from gesso.training.attention import AttentionConfig

    if not isinstance(config, AttentionConfig) or not config.base:
        return None
    from gesso.training.footprint import footprint_of

    found = footprint_of(config)
    say(found.describe())
    return asdict(found)


def _copy(files: list[Path], folder: Path) -> Path:
    """A few of ``files``, spread over all of them."""
    folder.mkdir()
    for index in range(min(SAMPLE, len(files))):
        path = files[index * len(files) // min(SAMPLE, len(files))]
        shutil.copyfile(path, folder / f"{index}-{path.name}")
    return folder


def _go(
    kind: type[Trainer], config: TrainingConfig, runtime: Runtime, start: Path | None
) -> dict[str, Any]:
    from gesso.training.loop import train

    checkpoint = Path(config.out) / "checkpoint"
    first = replace(config, steps=FIRST)
    began = time.monotonic()
    train(kind(first, runtime), start)
    # The second step is the first without warm-up costs, and an upper bound of the others.
    per_step = max(1e-3, (time.monotonic() - began) / FIRST)
    more = max(1, min(MOST, int(SPAN / per_step)))
    before = _state(checkpoint)
    second = replace(config, steps=FIRST + more, every=FIRST + more)
    folder = train(kind(second, runtime))
    after = _state(checkpoint)
    if (before["step"], after["step"]) != (FIRST, FIRST + more):
        raise GessoError(
            f"the run did not go on from its checkpoint: steps {before['step']}, {after['step']}"
        )
    # A checkpoint must come back into a trainer, and its network be validated from it.
    trainer = kind(second, runtime)
    trainer.restore(checkpoint)
    validation = 0.0
    if config.val:
        trainer.read()
        began = time.monotonic()
        trainer.validate()
        validation = time.monotonic() - began
    speed = more * config.batch / max(1e-9, after["seconds"] - before["seconds"])
    return {
        "pictures_per_second": speed,
        "seconds_per_validation": validation,
        "device": str(runtime.device),
        "parameters": _load(folder, config.crop),
    }


def _state(checkpoint: Path) -> dict[str, Any]:
    state: dict[str, Any] = json_format.loads(
        (checkpoint / "state.json").read_text(encoding="utf-8")
    )
    return state


def _load(folder: Path, size: int) -> int:
    """Load the finished model as any diffusers model and as its card says; its parameters."""
    import torch

    from gesso.cards import ModelCard
    from gesso.runtime import Runtime
    from gesso.space import space_of
    from gesso.unet import WindowUNet

    card = ModelCard.read(folder)
    if card.role == "preprocessor":
        return _load_generator(card, size)
    if card.role == "autoencoder":
        return _load_autoencoder(card, size)
    network = WindowUNet.from_pretrained(
        str(folder), local_files_only=True, low_cpu_mem_usage=False, torch_dtype=torch.float32
    )
    model = card.make(Runtime("cpu", "fp32"))
    side = size // space_of(model).factor
    noisy = torch.zeros(1, network.config.in_channels, side, side)
    level = torch.full((1,), 0.1)
    known = (torch.zeros(1, dtype=torch.long),) if card.role == "estimator" else ()
    with torch.inference_mode():
        clean = model(noisy, level, *known)
    if clean.shape != noisy.shape or not bool(torch.isfinite(clean).all()):
        raise GessoError(f"the exported model in {folder} does not work")
    return sum(p.numel() for p in network.parameters())


def _load_generator(card: ModelCard, size: int) -> int:
    """The same of a preprocessor, whose weights are attention's alone."""
    import torch
    from safetensors.torch import load_file

    from gesso.runtime import Runtime

    generator = card.make(Runtime("cpu", "fp32")).generator
    with torch.inference_mode():
        source, one = torch.zeros(1, 3, size, size), torch.ones(1, dtype=torch.long)
        picture = generator(source, torch.tensor([37.0]), one)
    if picture.shape != source.shape or not bool(torch.isfinite(picture).all()):
        raise GessoError(f"the exported model in {card.folder} does not work")
    return sum(tensor.numel() for tensor in load_file(card.path).values())


def _load_autoencoder(card: ModelCard, size: int) -> int:
    """The same of an autoencoder, there and back."""
    import torch

    from gesso.runtime import Runtime

    model = card.make(Runtime("cpu", "fp32"))
    pixels = torch.zeros(1, 3, size, size)
    with torch.inference_mode():
        picture = model.decode(model.encode(pixels))
    if picture.shape != pixels.shape or not bool(torch.isfinite(picture).all()):
        raise GessoError(f"the exported model in {card.folder} does not work")
    return sum(p.numel() for p in model.network.parameters())


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"
