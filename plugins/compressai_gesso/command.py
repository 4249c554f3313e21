"""`gesso train hyperprior`: a small learned codec from a folder of pictures."""

from __future__ import annotations

import json as json_format
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compressai_gesso.console import answer_json, asking, say, watching
from gesso.errors import InputError

if TYPE_CHECKING:
    from compressai_gesso.recipe import HyperpriorConfig
    from gesso.runtime import Runtime

__all__ = ["add", "configure", "hyperprior"]

NET, RECIPE, CARD, RUN = "The network", "The recipe", "The card", "Where it runs"
GROUP = "train"


def add(app: typer.Typer) -> None:
    """Add the command to the group ``train`` of ``app``, which is made where there is none."""
    groups = {info.name: info.typer_instance for info in app.registered_groups}
    group = groups.get(GROUP)
    if group is None:
        group = typer.Typer(help="Train models on a folder of pictures.")
        # A group of one command would else be that command.
        group.callback()(lambda: None)
        app.add_typer(group, name=GROUP)
    group.command()(hyperprior)


def hyperprior(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Folder of pictures.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="For checkpoints, log and the finished model.")
    ],
    val: Annotated[
        Path | None, typer.Option(help="Held-out pictures that choose the best weights.")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="Folder of a model to begin with, of whatever quality."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Go through it all in small, and say how long it takes."),
    ] = False,
    quality: Annotated[
        int | None, typer.Option(min=1, max=4, help="About 0.15, 0.3, 0.55 and 1 bits a pixel.")
    ] = None,
    lmbda: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Weight of the distortion; else the quality's.", rich_help_panel=RECIPE
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimiser steps.", rich_help_panel=RECIPE)
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Pictures per step.", rich_help_panel=RECIPE)
    ] = None,
    crop: Annotated[
        int | None, typer.Option(min=64, help="Their side in pixels.", rich_help_panel=RECIPE)
    ] = None,
    lr: Annotated[float | None, typer.Option(min=0.0, rich_help_panel=RECIPE)] = None,
    aux_lr: Annotated[
        float | None,
        typer.Option(min=0.0, help="Of the entropy model's quantiles.", rich_help_panel=RECIPE),
    ] = None,
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
        int | None, typer.Option(min=1, help="N of the paper.", rich_help_panel=NET)
    ] = None,
    latents: Annotated[
        int | None, typer.Option(min=1, help="M of the paper.", rich_help_panel=NET)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Of the model; else hyperprior-QUALITY.", rich_help_panel=CARD),
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="Of the weights.", rich_help_panel=CARD)
    ] = None,
    about: Annotated[
        str | None, typer.Option(help="What the data are.", rich_help_panel=CARD)
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document on stdout.")] = False,
    device: Annotated[
        str,
        typer.Option(help="auto, cpu, cuda, mps, ... as torch names it.", rich_help_panel=RUN),
    ] = "auto",
) -> None:
    """Train a scale hyperprior (Balle et al. 2018), or go on where --out left off.

    What is not given comes from the checkpoint in --out, else from the defaults. Ctrl-C
    writes a checkpoint first. The model is written to OUT/model with its card; named
    hyperprior-QUALITY in a folder, it is what the codec hyperprior loads from there.
    """
    from gesso.runtime import Runtime

    recipe = dict(steps=steps, batch=batch, crop=crop, lr=lr, aux_lr=aux_lr, warmup=warmup)
    recipe |= dict(quality=quality, lmbda=lmbda, cooldown=cooldown, ema=ema, seed=seed)
    others = dict(every=every, channels=channels, latents=latents)
    card = dict(name=name, licence=licence, about=about)
    config = configure(data, out, val, start, {**recipe, **others, **card})
    runtime = Runtime(device)
    # Asked for here, so that a mistake is said before anything is read.
    _ = runtime.device
    if dry_run:
        from compressai_gesso.rehearsal import rehearse

        rehearse(config, runtime, start, json)
    else:
        _train(config, runtime, start, json)


def configure(
    data: Path, out: Path, val: Path | None, start: Path | None, given: Mapping[str, Any]
) -> HyperpriorConfig:
    """The configuration of a run: what is given, else its checkpoint's, else the defaults.

    Args:
        data, out, val: folders.
        start: folder of a model to begin with; its network is taken.
        given: fields of HyperpriorConfig; None means not given.
    """
    from compressai_gesso.networks import widths_of
    from compressai_gesso.recipe import HyperpriorConfig

    known = _saved(out / "checkpoint" / "state.json")
    if start and not known:
        known |= dict(zip(("channels", "latents"), widths_of(start), strict=True))
    known |= {key: value for key, value in given.items() if value is not None}
    known |= {"data": str(data), "out": str(out), "val": str(val) if val else known.get("val")}
    names = [field.name for field in fields(HyperpriorConfig)]
    return HyperpriorConfig(**{name: known[name] for name in names if name in known})


def _saved(state: Path) -> dict[str, Any]:
    """The configuration of a checkpoint; empty where there is none."""
    if not state.exists():
        return {}
    try:
        return dict(json_format.loads(state.read_text(encoding="utf-8"))["config"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{state} is no checkpoint; remove its folder to start anew") from error


def _train(config: HyperpriorConfig, runtime: Runtime, start: Path | None, json: bool) -> None:
    from compressai_gesso.training import train_hyperprior

    last: dict[str, Any] = {}
    resumed = (Path(config.out) / "checkpoint").is_dir()
    say(f"{'going on' if resumed else 'beginning'}: {config.command(None if resumed else start)}")
    try:
        with watching(config.steps) as log, asking() as stop:

            def note(record: dict[str, Any]) -> None:
                last.update(record)
                log(record)

            model = train_hyperprior(config, runtime, start, note, stop)
    except KeyboardInterrupt:
        say(f"stopped; the same command goes on from {Path(config.out) / 'checkpoint'}")
        raise
    if not last:
        say(f"{config.steps} steps were done already; pass more --steps to go on")
    if json:
        answer_json({"model": str(model), "steps": config.steps, "last": last or None})
    say(f"the model is {model}")
