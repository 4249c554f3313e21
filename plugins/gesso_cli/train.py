"""`gesso train prior`: a diffusion prior from a folder of pictures."""

from __future__ import annotations

import inspect
import json as json_format
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError, ModelError
from gesso_cli import options as o
from gesso_cli.console import answer_json, live, say

if TYPE_CHECKING:
    from types import FrameType

    from gesso.training.prior import PriorConfig

__all__ = ["add", "configure", "prior", "watching"]

Log = Callable[[dict[str, Any]], None]
NET, RECIPE, CARD = "The network", "The recipe", "The card"


def add(app: typer.Typer) -> None:
    """Add the group to ``app``."""
    group = typer.Typer(
        help="Train models on a folder of pictures.",
        context_settings={"help_option_names": ["-h", "--help"]},
        invoke_without_command=True,
    )
    group.callback()(_root)
    group.command()(prior)
    app.add_typer(group, name="train")


def _root(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def prior(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of pictures.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="For checkpoints, log and the finished model.")
    ],
    val: Annotated[
        Path | None, typer.Option(help="Held-out pictures that choose the best weights.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--from", help="Folder of a model to begin with.")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Go through it all in small, and say how long it takes."),
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps.", rich_help_panel=RECIPE)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures per step.", rich_help_panel=RECIPE)
    ] = None,
    crop: Annotated[
        int | None, typer.Option(min=8, help="Their side in pixels.", rich_help_panel=RECIPE)
    ] = None,
    lr: Annotated[float | None, typer.Option(min=0.0, rich_help_panel=RECIPE)] = None,
    warmup: Annotated[
        int | None, typer.Option(min=0, help="Steps in which lr rises.", rich_help_panel=RECIPE)
    ] = None,
    cooldown: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Share of steps in which lr falls.", rich_help_panel=RECIPE
        ),
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=0.999999, help="Decay of the averaged weights.", rich_help_panel=RECIPE
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(min=1, help="Steps between checkpoints.", rich_help_panel=RECIPE),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0, max=2**63 - 1, help="Of weights, crops and noise.", rich_help_panel=RECIPE
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(help="Widths, finest first, as 48,96,192,256.", rich_help_panel=NET),
    ] = None,
    blocks: Annotated[
        int | None, typer.Option(min=1, help="Blocks per resolution.", rich_help_panel=NET)
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(min=0, help="Of attention; 0 leaves it out.", rich_help_panel=NET),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Of attention, in coarsest pixels.", rich_help_panel=NET),
    ] = None,
    embedding: Annotated[
        int | None,
        typer.Option(min=1, help="Width of the noise-level embedding.", rich_help_panel=NET),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the model; else that of --out.", rich_help_panel=CARD)
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights.", rich_help_panel=CARD)
    ] = None,
    about: Annotated[
        str | None, typer.Option(help="What the data are.", rich_help_panel=CARD)
    ] = None,
    json: o.Json = False,
    device: o.Device = "auto",
) -> None:
    """Train an unconditional diffusion prior, or go on where --out left off.

    What is not given comes from the checkpoint in --out, else from the defaults. Ctrl-C
    writes a checkpoint first. The model is written to OUT/model, in diffusers' format, with
    its card; gesso calibrate then fits what the card must know of codecs.
    """
    from gesso_cli.rehearsal import rehearse

    recipe = dict(steps=steps, batch=batch, crop=crop, lr=lr, warmup=warmup, cooldown=cooldown)
    given = {**recipe, "ema": ema, "every": every, "seed": seed}
    network = dict(blocks=blocks, heads=heads, window=window, embedding=embedding)
    widths = o.numbers(channels, int) if channels is not None else None
    config = configure(
        data,
        out,
        val,
        start,
        {**given, "name": name, "licence": licence, "about": about},
        {**network, "channels": widths},
    )
    runtime = o.runtime_of(device, "auto", 1024)
    if dry_run:
        rehearse(config, runtime, start, json)
    else:
        _train(config, runtime, start, json)


def configure(
    data: Path,
    out: Path,
    val: Path | None,
    start: Path | None,
    given: Mapping[str, Any],
    network: Mapping[str, Any],
) -> PriorConfig:
    """The configuration of a run: what is given, else its checkpoint's, else the defaults.

    Args:
        data, out, val: folders.
        start: folder of a model to begin with; its network is taken.
        given: fields of PriorConfig; None means not given.
        network: arguments of WindowUNet; None means not given.
    """
    from gesso.training.prior import PriorConfig
    from gesso.unet import WindowUNet

    known = {"name": out.absolute().name} | _saved(out / "checkpoint" / "state.json")
    known |= {key: value for key, value in given.items() if value is not None}
    # How the network was begun decides, not what the defaults are by now.
    begun = known.pop("network", None) or (_network(start) if start else {})
    shape = begun | {key: value for key, value in network.items() if value is not None}
    defaults = inspect.signature(WindowUNet).parameters
    known["network"] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in shape.items()
        if key in defaults and _plain(value) != _plain(defaults[key].default)
    }
    if "sigma_range" in known:
        known["sigma_range"] = tuple(known["sigma_range"])
    known |= {"data": str(data), "out": str(out), "val": str(val) if val else known.get("val")}
    return PriorConfig(**{f.name: known[f.name] for f in fields(PriorConfig) if f.name in known})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _saved(state: Path) -> dict[str, Any]:
    """The configuration of a checkpoint; empty where there is none."""
    if not state.exists():
        return {}
    try:
        return dict(json_format.loads(state.read_text(encoding="utf-8"))["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{state} is no checkpoint; remove its folder to start anew") from error


def _network(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        return dict(json_format.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder} holds no model to begin with: {error}") from error


def _train(config: PriorConfig, runtime: Any, start: Path | None, json: bool) -> None:
    from gesso.training.prior import train_prior

    last: dict[str, Any] = {}
    resumed = (Path(config.out) / "checkpoint").is_dir()
    say(f"{'going on' if resumed else 'beginning'}: {config.command()}")
    try:
        with watching(config.steps) as log, _asking() as stop:

            def note(record: dict[str, Any]) -> None:
                last.update(record)
                log(record)

            model = train_prior(config, runtime, start, note, stop)
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on from {Path(config.out) / 'checkpoint'}")
        raise
    if not last:
        say(f"{config.steps} steps were done already; pass more --steps to go on")
    if json:
        answer_json({"model": str(model), "steps": config.steps, "last": last or None})
    say(f"the model is {model}; next: gesso calibrate {model} VAL")


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
    if "psnr" in record:
        levels = ", ".join(f"{sigma}: {value:.2f}" for sigma, value in record["psnr"].items())
        parts.append(f"PSNR at sigma {levels} dB")
    return ", ".join(parts)
