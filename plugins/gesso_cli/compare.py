"""`gesso compare`: one photograph with and without gesso, as a table and a page to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import bar, say
from gesso_cli.evaluate import treatment
from gesso_cli.pairing import GESSO, PLAIN, At, pairs_of
from gesso_cli.reports import HtmlFile, JsonFile, check_free, deliver
from gesso_cli.tables import print_report

if TYPE_CHECKING:
    from gesso.evaluation.pipeline import Coded, Pipeline, Side
    from gesso.options import EnhanceOptions, PreprocessOptions
    from gesso.runtime import Runtime

__all__ = ["add", "compare"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(compare)


def compare(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="The picture before coding.")],
    codec: Annotated[str, typer.Option(help="What codes it; see gesso codecs.")] = "jpeg",
    qualities: Annotated[
        str | None,
        typer.Option(
            "--qualities", "-q", help="As 10,20,40; five of the lower range if not given."
        ),
    ] = None,
    html: HtmlFile = None,
    side: Annotated[
        str, typer.Option(help="Where gesso works: preprocess or enhance.")
    ] = "enhance",
    metrics: o.Metrics = o.DEFAULT_METRICS,
    preset: o.PresetOption = o.PresetName.fast,
    tradeoff: o.Tradeoff = 1.0,
    tradeoffs: Annotated[
        str | None,
        typer.Option(
            help="Further ones, as 0.25,0.5: the way from the plain decode to gesso's, for the "
            "curves of perception against distortion."
        ),
    ] = None,
    model: o.Model = None,
    seed: o.Seed = 0,
    json: JsonFile = None,
    overwrite: o.Overwrite = False,
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
    """Code one photograph at several qualities, and show it plain against gesso.

    With --html, the page holds a slider between both at equal bytes, the curves and the
    figures, in one file that asks nothing of the network.
    """
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import default_qualities, describe, ordered
    from gesso.evaluation.measure import measure

    for path in (html, None if str(json) == "-" else json):
        check_free(path, overwrite)
        if path is not None and not path.parent.is_dir():
            raise InputError(f"cannot write {path}: create its folder first")
    runtime = o.runtime_of(device, dtype, tile)
    coder = get_codec(codec)
    levels = o.numbers(qualities, float) if qualities is not None else default_qualities(coder)
    chosen = ordered(coder, levels)
    options: EnhanceOptions | PreprocessOptions
    if side == "preprocess":
        if tradeoffs is not None:
            raise InputError("--tradeoffs are of --side enhance; leave them out")
        options = o.preprocess_options(model, strength, guard, seed, effort, effort_steps, None)
    else:
        options = o.enhance_options(
            model, preset, tradeoff, seed, sigma, steps, training_free, faithful, step_size, sampler
        )
    where = cast("Side", side)  # which the library checks
    pipelines = _pipelines(coder.name, where, options, runtime, tradeoffs)
    coded: dict[At, Coded] = {}

    def keep(_: str, one: Coded) -> None:
        if one.pipeline in (PLAIN, GESSO):
            coded[one.pipeline, one.quality] = one

    with bar(f"{codec} codings") as tick:
        report = measure(
            [photo],
            {name: (pipeline, chosen) for name, pipeline in pipelines.items()},
            o.metrics(metrics),
            runtime,
            codec=coder.name,
            side=side,
            settings=describe(where, options, treatment(side), coder),
            progress=tick,
            keep=keep if html else None,
        )
    if html is not None:
        from gesso.evaluation.page import save_page

        pairs = pairs_of(photo, pipelines[PLAIN], report, coded, runtime)
        title = f"{photo.name}: {coder.name} with and without gesso"
        save_page(html, title, report.to_json(), pairs)
        say(f"written: {html}")
    if json is None or str(json) != "-":
        print_report(report)
    deliver(report, json, None)


def _pipelines(
    codec: str,
    side: Side,
    options: EnhanceOptions | PreprocessOptions,
    runtime: Runtime,
    tradeoffs: str | None,
) -> dict[str, Pipeline]:
    """By variant: plain, then gesso's from the least to the greatest tradeoff."""
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import side_pipelines
    from gesso.options import EnhanceOptions

    treat = treatment(side)
    plain, gesso = side_pipelines(get_codec(codec), side, options, runtime, treat)
    if tradeoffs is None or not isinstance(options, EnhanceOptions):
        return {PLAIN: plain, GESSO: gesso}
    found = {options.tradeoff: gesso}
    for value in o.numbers(tradeoffs, float):
        if value not in found:
            other = replace(options, tradeoff=value)
            pipeline = side_pipelines(get_codec(codec), side, other, runtime, treat)[1]
            found[value] = replace(pipeline, name=f"tradeoff {value:g}")
    return {PLAIN: plain, **{found[value].name: found[value] for value in sorted(found)}}
