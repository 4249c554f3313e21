"""Options that several sub-commands share, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from gesso.errors import InputError
from gesso_cli.console import Tick, say_warnings

if TYPE_CHECKING:
    from gesso.cards import Role
    from gesso.options import Effort as Wish
    from gesso.options import EnhanceOptions, PreprocessOptions
    from gesso.runtime import Runtime

__all__ = [
    "DEFAULT_METRICS",
    "Device",
    "Dtype",
    "DtypeName",
    "Effort",
    "EffortName",
    "EffortSteps",
    "Faithful",
    "Guard",
    "Jobs",
    "Json",
    "Metrics",
    "Model",
    "Overwrite",
    "PresetName",
    "PresetOption",
    "Qualities",
    "SamplerName",
    "SamplerOption",
    "Seconds",
    "Seed",
    "Sigma",
    "StepSize",
    "Steps",
    "Strength",
    "Tile",
    "Tradeoff",
    "TrainingFree",
    "enhance_options",
    "job_count",
    "known_model",
    "metrics",
    "names",
    "numbers",
    "prepare",
    "preprocess_options",
    "runtime_of",
]


class PresetName(StrEnum):
    """gesso.options.PRESETS, as choices of an option."""

    fast = "fast"
    medium = "medium"
    slow = "slow"


class SamplerName(StrEnum):
    """gesso.options.SAMPLERS, as choices of an option."""

    one_step = "one-step"
    multistep = "multistep"
    ode = "ode"
    sde = "sde"
    dps = "dps"


class EffortName(StrEnum):
    """gesso.options.EFFORTS, as choices of an option."""

    fast = "fast"
    medium = "medium"
    max = "max"


class DtypeName(StrEnum):
    """The dtypes of gesso.Runtime, as choices of an option."""

    auto = "auto"
    fp32 = "fp32"
    bf16 = "bf16"


Number = TypeVar("Number", int, float)

MOST_JOBS = 8  # each takes about a gigabyte and a half
RUN, MORE, BEFORE = "Where it runs", "The noise itself", "Before the encoder"

PresetOption = Annotated[PresetName, typer.Option("--preset", help="Time traded for quality.")]
Tradeoff = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="0 returns the decoded picture, 1 goes all the way to natural."
    ),
]
Effort = Annotated[
    EffortName | None,
    typer.Option(
        help="fast is one evaluation of a model; medium and max improve each picture by gradient "
        "descent through the codec, in 12 and in 50 steps. If not given, fast with --model and "
        "where that descent lacks the weights of its metrics, else medium.",
        rich_help_panel=BEFORE,
    ),
]
EffortSteps = Annotated[
    int | None,
    typer.Option(
        min=1, max=1000, help="Of that descent, instead of the effort's.", rich_help_panel=BEFORE
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(min=0.1, help="When that descent must end.", rich_help_panel=BEFORE),
]
Strength = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="0 leaves the picture as it is.", rich_help_panel=BEFORE),
]
Guard = Annotated[
    bool,
    typer.Option(
        help="Keep it only as far as trial codings show that it helps.", rich_help_panel=BEFORE
    ),
]
Seed = Annotated[int, typer.Option(min=0, max=2**64 - 1, help="Of the noise.")]
Sigma = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=80.0,
        help="Noise level on [-1, 1] pixels, instead of the one that fits the file.",
        rich_help_panel=MORE,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        min=1, max=1000, help="Model evaluations, instead of the preset's.", rich_help_panel=MORE
    ),
]
Model = Annotated[
    str | None,
    typer.Option(help="Name of a model (see gesso models), or a folder with its card.json."),
]
Device = Annotated[
    str,
    typer.Option(help="auto, cpu, cuda, mps, ... as torch names it.", rich_help_panel=RUN),
]
TrainingFree = Annotated[
    bool,
    typer.Option(
        "--training-free",
        help="The unconditional prior alone, without the estimate of the posterior mean.",
    ),
]
Faithful = Annotated[
    bool | None,
    typer.Option(
        "--faithful/--no-faithful",
        help="For JPEG files: keep every coefficient in the cell that the file states; "
        "done wherever it can be unless told otherwise.",
        show_default=False,
    ),
]
SamplerOption = Annotated[
    SamplerName | None,
    typer.Option("--sampler", help="Instead of the preset's.", rich_help_panel=MORE),
]
StepSize = Annotated[
    float | None,
    typer.Option(
        min=0.0, max=100.0, help="Of the codec's constraint of sampler dps.", rich_help_panel=MORE
    ),
]
Dtype = Annotated[
    DtypeName, typer.Option("--dtype", help="What models compute in.", rich_help_panel=RUN)
]
Tile = Annotated[
    int,
    typer.Option(
        min=128,
        help="Side of a tile in pixels; smaller ones need less memory.",
        rich_help_panel=RUN,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")]
Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes to spread pictures over; as many as the CPU has cores if not given.",
        rich_help_panel=RUN,
    ),
]
Qualities = Annotated[
    str | None, typer.Option(help="As 10,20,40; five of the lower range if not given.")
]
# gesso.evaluation.measure.DEFAULT_METRICS, which a test holds equal
DEFAULT_METRICS = "psnr,ms_ssim,lpips,dists,ssimulacra2"
Metrics = Annotated[str, typer.Option(help="Names, as gesso metrics lists them.")]
Json = Annotated[bool, typer.Option("--json", help="Print a JSON document on stdout.")]


def runtime_of(device: str, dtype: str, tile: int, progress: Tick | None = None) -> Runtime:
    """The runtime that these options ask for; raises InputError for a device not there."""
    from gesso.runtime import Runtime

    # At most half a tile, in steps of 64, which the grids of our models divide.
    overlap = min(Runtime.overlap, tile // 2 // 64 * 64)
    runtime = Runtime(device, dtype, tile, overlap, progress=progress)
    # Asked for here, so that a mistake is not blamed on every picture in turn.
    _ = runtime.device
    return runtime


def known_model(
    name: str | None,
    role: Role = "prior",
    sampler: str | None = None,
    training_free: bool = False,
) -> str:
    """The name of a registered model; a folder with a card is registered first.

    Args:
        name: as the user gave it; None is the default of the role.
        role: what it must be.
        sampler, training_free: what a prior is for, as of :func:`enhance_options`.

    Raises:
        ModelError: no such model, or no card in the folder.
    """
    from gesso.cards import ModelCard, default_prior, get_model, models, register_model

    if name is None and role == "prior":
        name = default_prior(sampler, not training_free)

    if name is None or name in models() or not (Path(name) / "card.json").is_file():
        return get_model(name, role).name
    card = ModelCard.read(name)
    # A model that was trained on from an embedded one may carry its name.
    if models().get(card.name) not in (None, card):
        card = replace(card, name=str(card.folder))
    register_model(card)
    return get_model(card.name, role).name


def enhance_options(
    model: str | None,
    preset: PresetName,
    tradeoff: float = 1.0,
    seed: int = 0,
    sigma: float | None = None,
    steps: int | None = None,
    training_free: bool = False,
    faithful: bool | None = None,
    step_size: float | None = None,
    sampler: SamplerName | None = None,
) -> EnhanceOptions:
    """What these options ask for, of a model that is known by then."""
    from gesso.options import EnhanceOptions

    name = known_model(model, sampler=sampler and sampler.value, training_free=training_free)
    return EnhanceOptions(
        name,
        preset.value,
        tradeoff,
        seed,
        sigma,
        steps,
        posterior_mean=not training_free,
        faithful=faithful,
        step_size=step_size,
        sampler=sampler.value if sampler else None,
    )


def preprocess_options(
    model: str | None,
    strength: float,
    guard: bool,
    seed: int,
    effort: EffortName | None,
    effort_steps: int | None,
    seconds: float | None,
) -> PreprocessOptions:
    """What these options ask for."""
    from gesso.options import PreprocessOptions

    if model is not None:
        model = known_model(model, "preprocessor")
    wish: Wish | None = effort.value if effort else None
    return PreprocessOptions(model, strength, guard, seed, wish, effort_steps, seconds)


def prepare(model: str | None, role: Role = "prior") -> None:
    """What a spawned process does first: plug-ins and the chosen model become known."""
    import gesso_hooks

    say_warnings()
    gesso_hooks.load()
    if model is not None:
        known_model(model, role)


def job_count(asked: int | None, pictures: int, runtime: Runtime) -> int:
    """Processes for so many pictures: what was asked for, else what the machine can use."""
    if asked is None:
        # several processes on one GPU would only wait for one another
        asked = min(os.cpu_count() or 1, MOST_JOBS) if runtime.device.type == "cpu" else 1
    return max(1, min(asked, pictures))


def names(text: str) -> list[str]:
    """The parts of ``a,b,c``."""
    return [part.strip() for part in text.split(",") if part.strip()]


def metrics(text: str) -> list[str]:
    """The metrics of ``psnr,ms_ssim``; ``MS-SSIM`` and ``msssim`` are the same one."""
    from gesso.evaluation.fid import SET_METRICS
    from gesso.evaluation.metrics import METRICS

    known = {_letters(name): name for name in (*METRICS, *SET_METRICS)}
    return [known.get(_letters(name), name) for name in names(text)]


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def numbers(text: str, kind: Callable[[str], Number]) -> list[Number]:
    """The numbers of ``10,20,40``; raises InputError for anything else."""
    try:
        found = [kind(part) for part in names(text)]
    except ValueError:
        found = []
    if not found:
        raise InputError(f"{text!r} is no list of numbers; write them as 10,20,40")
    return found
