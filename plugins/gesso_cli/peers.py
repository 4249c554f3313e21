"""`gesso peers`: gesso beside what a user might pick instead, and beside trivial filters."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gesso.errors import ModelError
from gesso_cli import options as o
from gesso_cli.console import answer, bar, one_line
from gesso_cli.evaluate import treatment
from gesso_cli.reports import CsvFile, JsonFile, Resume, check_free, deliver, growing, resumable
from gesso_cli.tables import digits, label

if TYPE_CHECKING:
    from gesso.evaluation.evaluate import Options
    from gesso.evaluation.peers import Contest
    from gesso.evaluation.pipeline import Side

__all__ = ["add", "peers"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(peers)


def peers(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of source pictures.")],
    codec: Annotated[str, typer.Option(help="What codes them; see gesso codecs.")] = "jpeg",
    side: Annotated[
        str,
        typer.Option(help="Where they work: preprocess (and encode) or enhance."),
    ] = "enhance",
    qualities: o.Qualities = None,
    metrics: o.Metrics = o.DEFAULT_METRICS,
    only: Annotated[
        str | None, typer.Option(help="Peers by name, as a,b; those that are slow run so only.")
    ] = None,
    strengths: Annotated[
        str | None,
        typer.Option(help="As 0.5,1: each at every quality, for --only peers that have one."),
    ] = None,
    preset: o.PresetOption = o.PresetName.fast,
    tradeoff: o.Tradeoff = 1.0,
    effort: o.Effort = None,
    model: o.Model = None,
    seed: o.Seed = 0,
    json: JsonFile = None,
    csv: CsvFile = None,
    resume: Resume = False,
    overwrite: o.Overwrite = False,
    jobs: o.Jobs = None,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Measure gesso beside its alternatives, on the same pictures and metrics.

    On the side enhance there is a table for each metric, with a row for each method and a
    column for each quality; on the side preprocess one table of BD-rates against the plain
    codec. What cannot run here is named below, with the reason.
    """
    import gesso_hooks
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import default_qualities, describe, ordered, side_pipelines
    from gesso.evaluation.measure import measure
    from gesso.evaluation.peers import Contest, at_strength, choose
    from gesso.training.data import picture_files

    report_file = growing(json, resume, overwrite)
    check_free(csv, resume or overwrite)
    runtime, coder = o.runtime_of(device, dtype, tile), get_codec(codec)
    asked = o.numbers(qualities, float) if qualities else default_qualities(coder)
    levels = ordered(coder, asked)
    where = cast("Side", side)  # which the library checks
    treat = treatment(side)
    options, lacking = _options(where, model, preset, tradeoff, effort, seed, codec)
    if strengths:
        lacking = {"gesso": "it has none of the --strengths"}
    plain, gesso = side_pipelines(coder, where, options, runtime, treat)
    rivals, skipped = choose(
        gesso_hooks.peers(), coder, where, levels[-1], o.names(only) if only else None
    )
    if strengths:
        tried = (at_strength(r, s) for r in rivals.values() for s in o.numbers(strengths, float))
        rivals = {peer.name: peer for peer in tried}
    variants = {"plain": (plain, levels)}
    if not lacking:
        variants["gesso"] = (gesso, levels)
    for name, peer in rivals.items():
        variants[name] = (peer.pipeline(coder), peer.qualities or levels)
    files = picture_files(folder)
    with resumable(report_file), bar(f"{codec} codings") as tick:
        report = measure(
            files,
            variants,
            o.metrics(metrics),
            runtime,
            codec=codec,
            side=side,
            settings={"model": None} if lacking else describe(where, options, treat, coder),
            jobs=o.job_count(jobs, len(files), runtime),
            prepare=partial(o.prepare, model, "preprocessor" if side == "preprocess" else "prior"),
            progress=tick,
            resume=report_file,
        )
    contest = Contest(
        **vars(report),
        about={name: peer.about for name, peer in rivals.items()},
        skipped={**lacking, **skipped},
    )
    if json is None or str(json) != "-":
        _print(contest)
    deliver(contest, json, csv)


def _options(
    side: Side,
    model: str | None,
    preset: o.PresetName,
    tradeoff: float,
    effort: o.EffortName | None,
    seed: int,
    codec: str,
) -> tuple[Options, dict[str, str]]:
    """What gesso is to do, and why it cannot, where there is no model for it."""
    from gesso.options import EnhanceOptions

    lacking: dict[str, str] = {}
    if side == "preprocess":
        from gesso.preprocessor import plan

        wishes = o.preprocess_options(model, 1.0, True, seed, effort, None, None)
        try:
            plan(wishes, codec)
        except ModelError as error:
            lacking = {"gesso": str(error)}
        return wishes, lacking
    try:
        name: str | None = o.known_model(model)
    except ModelError as error:
        if model is not None:
            raise
        name, lacking = None, {"gesso": str(error)}
    return EnhanceOptions(name, preset.value, tradeoff, seed), lacking


def _print(contest: Contest) -> None:
    from rich.text import Text

    title = f"{contest.codec}, {len(contest.pictures)} pictures, side {contest.side}"
    answer().print(Text(title, style="italic"))
    if contest.side == "enhance":
        rates = (f"{contest.mean(q, 'plain', 'bpp'):.3f} at {q:g}" for q in contest.qualities)
        answer().print(Text(f"bits per pixel: {', '.join(rates)}"))
        for metric in contest.lower_is_better:
            _print_metric(contest, metric)
    else:
        _print_rates(contest)
    for name, reason in contest.skipped.items():
        # not wrapped: a line a peer
        answer().print(Text(f"skipped {name}: {one_line(reason)}"), soft_wrap=True)


def _print_metric(contest: Contest, metric: str) -> None:
    """Means of one metric: a row for each method, a column for each quality."""
    better = min if contest.lower_is_better[metric] else max
    columns = []
    for quality in contest.qualities:
        values = {v: contest.mean(quality, v, metric) for v in contest.variants}
        best = digits(metric, better(values.values()))
        cells = {v: digits(metric, value) for v, value in values.items()}
        marked = {v: f"[bold green]{t}" if t == best else t for v, t in cells.items()}
        columns.append((f"{quality:g}", marked))
    # what a method is and costs is told once
    _print_table(
        contest, label(metric), columns, told=metric != next(iter(contest.lower_is_better))
    )


def _print_rates(contest: Contest) -> None:
    """BD-rates against the plain codec: a row for each method, a column for each metric."""
    from rich.text import Text

    found = {v: contest.deltas(v) for v in list(contest.variants)[1:]}
    columns = [
        (label(metric), {"plain": "0.0 %"} | {v: _rate(d[metric].rate) for v, d in found.items()})
        for metric in contest.lower_is_better
    ]
    _print_table(contest, "BD-rate", columns)
    notes = {(v, m): d.note for v, deltas in found.items() for m, d in deltas.items() if d.note}
    for text in dict.fromkeys(notes.values()):
        which = ", ".join(f"{v} {label(m)}" for (v, m), note in notes.items() if note == text)
        answer().print(Text(f"{which}: {text}"))


def _print_table(
    contest: Contest, heading: str, columns: list[tuple[str, dict[str, str]]], told: bool = False
) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(heading)
    for name, _ in columns:
        table.add_column(name, justify="right")
    table.add_column("" if told else "seconds", justify="right")
    table.add_column()
    for variant in contest.variants:
        more = ("", "") if told else (_seconds(contest, variant), contest.about.get(variant, ""))
        table.add_row(variant, *(cells[variant] for _, cells in columns), *more)
    answer().print(table)


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"[{'green' if rate < 0 else 'red'}]{rate:+.1f} %"


def _seconds(contest: Contest, variant: str) -> str:
    """What a picture costs: on the side enhance what comes after decoding, else coding it."""
    steps = ("after",) if contest.side == "enhance" else ("before", "encode")
    taken = contest.seconds(variant, *steps)
    return "" if taken is None else f"{taken:.3f}"
