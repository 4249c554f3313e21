"""`gesso evaluate`: what gesso does for files of a codec, in figures."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from gesso_cli import options as o
from gesso_cli.console import bar, say
from gesso_cli.pairing import showcase
from gesso_cli.reports import (
    CsvFile,
    HtmlFile,
    JsonFile,
    Resume,
    check_free,
    deliver,
    growing,
    resumable,
)
from gesso_cli.tables import print_report

if TYPE_CHECKING:
    from gesso.cards import Role
    from gesso.evaluation.pipeline import Side
    from gesso.latent.repair import RepairOptions
    from gesso.options import EnhanceOptions, PreprocessOptions

__all__ = ["add", "evaluate", "treatment"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(evaluate)


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of source pictures.")],
    codec: Annotated[str, typer.Option(help="What codes them; see gesso codecs.")] = "jpeg",
    side: Annotated[
        str, typer.Option(help="What of gesso is measured: preprocess, enhance or latent.")
    ] = "enhance",
    qualities: o.Qualities = None,
    metrics: o.Metrics = o.DEFAULT_METRICS,
    preset: o.PresetOption = o.PresetName.fast,
    tradeoff: o.Tradeoff = 1.0,
    model: o.Model = None,
    seed: o.Seed = 0,
    json: JsonFile = None,
    csv: CsvFile = None,
    html: HtmlFile = None,
    resume: Resume = False,
    overwrite: o.Overwrite = False,
    jobs: o.Jobs = None,
    sigma: o.Sigma = None,
    steps: o.Steps = None,
    training_free: o.TrainingFree = False,
    faithful: o.Faithful = None,
    step_size: o.StepSize = None,
    sampler: o.SamplerOption = None,
    effort: o.Effort = None,
    effort_steps: o.EffortSteps = None,
    strength: o.Strength = 1.0,
    guard: o.Guard = True,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Code every picture with a real codec, with gesso before or after it, and measure both.

    The table shows means over the pictures: the ordinary decode, gesso's, and the change.
    Bits per pixel count the whole file, container included.
    """
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import evaluate as measure
    from gesso.evaluation.evaluate import side_pipelines
    from gesso.training.data import picture_files

    report_file = growing(json, resume, overwrite)
    for path in (csv, html):
        check_free(path, resume or overwrite)
    runtime = o.runtime_of(device, dtype, tile)
    options: EnhanceOptions | PreprocessOptions | RepairOptions | None
    role: Role = "prior"
    coder = get_codec(codec)
    if side == "latent":
        from gesso.latent.codec import LatentCodec
        from gesso.latent.repair import RepairOptions

        options = None if steps is None else RepairOptions(steps=steps)
        if isinstance(coder, LatentCodec):
            coder = replace(coder, prior=model)
    elif side == "preprocess":
        role = "preprocessor"
        options = o.preprocess_options(model, strength, guard, seed, effort, effort_steps, None)
    else:
        options = o.enhance_options(
            model, preset, tradeoff, seed, sigma, steps, training_free, faithful, step_size, sampler
        )
    where, treat = cast("Side", side), treatment(side)  # the library checks the side
    files = picture_files(folder)
    with resumable(report_file), bar(f"{codec} codings") as tick:
        report = measure(
            files,
            coder,
            where,
            o.numbers(qualities, float) if qualities is not None else None,
            o.metrics(metrics),
            options,
            runtime,
            treat=treat,
            jobs=o.job_count(jobs, len(files), runtime),
            prepare=partial(o.prepare, model, role),
            progress=tick,
            resume=report_file,
        )
    if html is not None:
        from gesso.evaluation.page import save_page

        pipelines = side_pipelines(coder, where, options, runtime, treat)
        pairs = showcase(files, *pipelines, report, runtime)
        save_page(html, f"{codec} with and without gesso", report.to_json(), pairs)
        say(f"written: {html}")
    if json is None or str(json) != "-":
        print_report(report)
    deliver(report, json, csv)


def treatment(side: str) -> Any:
    """The hooks' chain, where a plug-in has a part in it; else None, the core's own."""
    from gesso_hooks import after_decode, before_encode
    from gesso_hooks.manager import manager

    # The core's own is known by the hash of its weights, which makes a report resumable.
    hooks = manager().hook
    if side == "latent":
        return None
    if side == "preprocess":
        return before_encode if len(hooks.gesso_before_encode.get_hookimpls()) > 1 else None
    return after_decode if len(hooks.gesso_after_decode.get_hookimpls()) > 1 else None
