"""`gesso traverse`: from distortion to perception, by the noise level and by interpolation."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gesso_cli import options as o
from gesso_cli.console import answer, bar, say
from gesso_cli.evaluate import treatment
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
from gesso_cli.tables import digits, label

if TYPE_CHECKING:
    from gesso.evaluation.traversal import Traversal

__all__ = ["add", "traverse"]

PAIRS = ("psnr", "lpips", "dists")


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(traverse)


def traverse(
    pictures: Annotated[
        Path, typer.Argument(metavar="PICTURES", help="A source picture, or a folder of them.")
    ],
    codec: Annotated[str, typer.Option(help="What codes them; see gesso codecs.")] = "jpeg",
    quality: Annotated[float, typer.Option("--quality", "-q", help="On the codec's scale.")] = 10,
    tradeoffs: Annotated[
        str, typer.Option(help="As 0,0.5,1; both ends are always among them.")
    ] = "0,0.25,0.5,0.75,1",
    metrics: Annotated[
        str | None,
        typer.Option(
            help="Names, as gesso metrics lists them; PSNR, LPIPS, DISTS and a FID (of patches, "
            "where pictures are few) if not given."
        ),
    ] = None,
    preset: o.PresetOption = o.PresetName.fast,
    training_free: o.TrainingFree = False,
    model: o.Model = None,
    seed: o.Seed = 0,
    json: JsonFile = None,
    csv: CsvFile = None,
    html: HtmlFile = None,
    resume: Resume = False,
    overwrite: o.Overwrite = False,
    jobs: o.Jobs = None,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Walk from least distortion to best perception, in two ways, at one quality.

    noise: the decode (or the estimate of its posterior mean) gets a growing share of the full
    noise level before the prior takes it away. interpolation: the mean of both ends of that
    way, weighted pixel by pixel, after Yan et al. (ICML 2021). With --html, both are drawn
    as curves of perception against distortion.
    """
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import describe, ordered
    from gesso.evaluation.measure import measure
    from gesso.evaluation.traversal import Traversal, traversal_pipelines
    from gesso.training.data import picture_files

    report_file = growing(json, resume, overwrite)
    for path in (csv, html):
        check_free(path, resume or overwrite)
    runtime, coder = o.runtime_of(device, dtype, tile), get_codec(codec)
    levels, treat = ordered(coder, [quality]), treatment("enhance")
    options = o.enhance_options(model, preset, seed=seed, training_free=training_free)
    steps = o.numbers(tradeoffs, float)
    pipelines = traversal_pipelines(coder, steps, options, runtime, treat)
    files = [pictures] if pictures.is_file() else picture_files(pictures)
    with resumable(report_file), bar(f"{codec} codings") as tick:
        report = measure(
            files,
            {name: (pipeline, levels) for name, pipeline in pipelines.items()},
            o.metrics(metrics) if metrics is not None else _metrics(len(files)),
            runtime,
            codec=codec,
            side="enhance",
            settings=describe("enhance", options, treat),
            jobs=o.job_count(jobs, len(files), runtime),
            prepare=partial(o.prepare, model),
            progress=tick,
            resume=report_file,
        )
    traversal = Traversal(**vars(report))
    if html is not None:
        from gesso.evaluation.page import save_page

        save_page(html, f"{codec}: from distortion to perception", traversal.page(), [])
        say(f"written: {html}")
    if json is None or str(json) != "-":
        _print(traversal)
    deliver(traversal, json, csv)


def _metrics(pictures: int) -> list[str]:
    """Those of the default that this machine can measure on so many pictures."""
    from gesso.evaluation.fid import SET_METRICS
    from gesso.evaluation.measure import metric_named

    whole = pictures >= SET_METRICS["fid"].fewest
    wanted = (*PAIRS, "fid" if whole else "patch_fid")
    return [name for name in wanted if not metric_named(name).missing()]


def _print(traversal: Traversal) -> None:
    from rich.table import Table
    from rich.text import Text

    metrics, points = list(traversal.lower_is_better), traversal.operating_points()
    count = len(traversal.pictures)
    about = f"{count} picture{'s' if count != 1 else ''}, {points[0].bpp:.3f} bits per pixel"
    model = f"{traversal.settings['model']}, preset {traversal.settings['preset']}"
    title = f"{traversal.codec}, quality {traversal.qualities[0]:g}, {about}, {model}"
    table = Table(box=None, pad_edge=False)
    for heading in ("tradeoff", "", *map(label, metrics)):
        table.add_column(heading, justify="left" if not heading else "right")
    before: float | None = None
    for point in points:
        shown = "" if point.tradeoff == before else f"{point.tradeoff:g}"
        before = point.tradeoff
        table.add_row(shown, point.way, *(digits(m, point.values[m]) for m in metrics))
    answer().print(Text(title, style="italic"))
    answer().print(table)
    for name, remark in traversal.remarks.items():
        answer().print(Text(f"{label(name)}: {remark}"))
