"""`gesso table`: codecs and presets side by side, as system E's paper tabulates them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer_json, bar, say
from gesso_cli.evaluate import treatment
from gesso_cli.priors import Models, Presets, prepare_all, priors_of
from gesso_cli.reports import HtmlFile, Resume, check_free, growing, resumable
from gesso_cli.tabulating import print_table

if TYPE_CHECKING:
    from gesso.cards import ModelCard
    from gesso.codec import Codec
    from gesso.evaluation.pipeline import Pipeline
    from gesso.evaluation.report import Report
    from gesso.evaluation.table import Table
    from gesso.options import Preset
    from gesso.runtime import Runtime

__all__ = ["add", "table"]

FREE = " training-free"
ITSELF = "plain"


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(table)


@dataclass(frozen=True)
class _Sources:
    """Pictures, what is measured on them, and what their reports' names end in."""

    files: tuple[Path, ...]
    metrics: tuple[str, ...]
    ending: str = ""


def table(
    pictures: Annotated[Path, typer.Argument(metavar="PICTURES", help="Folder of pictures.")],
    codecs: Annotated[
        str, typer.Option(help="As jpeg,vvc; see gesso codecs. What cannot run is skipped.")
    ] = "jpeg,webp,hevc,vvc,hyperprior",
    presets: Presets = "fast,medium,slow",
    training_free: Annotated[
        bool, typer.Option("--training-free", help="Show each preset without the estimator, too.")
    ] = False,
    qualities: Annotated[
        list[str] | None,
        typer.Option(help="As jpeg:10,20,30,40, once a codec; five at equal QPs if not given."),
    ] = None,
    metrics: o.Metrics = "psnr,lpips,dists,fid",
    photos: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Take metrics of pairs but PSNR on these pictures, the others on PICTURES.",
        ),
    ] = None,
    anchor: Annotated[
        str,
        typer.Option(
            help="BD figures are against the ordinary decode of this codec; plain: of each itself."
        ),
    ] = ITSELF,
    tradeoff: o.Tradeoff = 1.0,
    model: Models = None,
    seed: o.Seed = 0,
    json: Annotated[
        Path | None,
        typer.Option(
            "--json",
            help="Write the table there, and beside it the report of each codec, which grows "
            "picture by picture; - prints the table on stdout.",
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", help="Write a line per codec and variant there.")
    ] = None,
    html: HtmlFile = None,
    resume: Resume = False,
    overwrite: o.Overwrite = False,
    jobs: o.Jobs = None,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Tabulate codecs, decoded ordinarily and enhanced by every preset.

    Every picture is coded and decoded once a quality, whatever comes after. BD figures are
    changes at equal bits; the other columns are of each codec's lowest quality, with the
    change against its ordinary decode. Seconds are medians per picture of all that
    follows the file: decoding and what comes after it.
    """
    from gesso.codec import get_codec
    from gesso.evaluation.table import Table

    names = list(dict.fromkeys(o.names(codecs)))
    if anchor != ITSELF and anchor not in names:
        raise InputError(f"the anchor {anchor} is none of --codecs {codecs}; add it, or use plain")
    levels = {name: _levels(get_codec(name), qualities or []) for name in names}
    sources = _sources(pictures, photos, o.metrics(metrics))
    files = _files(json, names, sources, resume, overwrite)
    for path in (None if str(json) == "-" else json, csv, html):
        check_free(path, resume or overwrite)
    runtime = o.runtime_of(device, dtype, tile)
    priors, skipped = priors_of(o.names(presets), model)
    wanted = [Wanted(preset, card, False) for preset, card in priors.items()]
    if training_free:
        free, lacking = priors_of(o.names(presets), model, training_free=True)
        wanted += [Wanted(preset, card, True) for preset, card in free.items()]
        skipped |= lacking
        # side by side
        wanted.sort(key=lambda one: list(priors | free).index(one.preset))
    found: dict[str, list[Report]] = {}
    for name in names:
        work, lacking = _work(get_codec(name), levels[name], wanted, tradeoff, seed, runtime)
        skipped |= lacking
        if work is not None:
            found[name] = [
                _measure(work, one, files.get((name, one.ending)), resume, runtime, model, jobs)
                for one in sources
            ]
    than = None if anchor == ITSELF else anchor
    if not found or than not in (None, *found):
        raise InputError("; ".join(f"{name}: {reason}" for name, reason in skipped.items()))
    made = Table(found, than, skipped)
    if json is None or str(json) != "-":
        print_table(made)
    _deliver(made, json, csv, html)


def _levels(codec: Codec, asked: Sequence[str]) -> tuple[float, ...]:
    """The qualities of a codec: its own of those asked for, else those for any, else five."""
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import default_qualities, ordered

    given = {name: numbers for name, _, numbers in (text.rpartition(":") for text in asked)}
    for name in filter(None, given):
        get_codec(name)  # a slip would go unseen
    numbers = given.get(codec.name, given.get(""))
    return ordered(codec, o.numbers(numbers, float) if numbers else default_qualities(codec))


def _sources(pictures: Path, photos: Path | None, metrics: Sequence[str]) -> list[_Sources]:
    from gesso.evaluation.fid import SET_METRICS
    from gesso.training.data import picture_files

    files = tuple(picture_files(pictures))
    if photos is None:
        return [_Sources(files, tuple(metrics))]
    here = tuple(name for name in metrics if name == "psnr" or name in SET_METRICS)
    there = tuple(name for name in metrics if name not in here)
    if not here or not there:
        raise InputError("with --photos, --metrics need some for PICTURES (psnr, fid) and others")
    return [_Sources(files, here), _Sources(tuple(picture_files(photos)), there, ".photos")]


def _files(
    json: Path | None,
    codecs: Sequence[str],
    sources: Sequence[_Sources],
    resume: bool,
    overwrite: bool,
) -> dict[tuple[str, str], Path]:
    """By codec and ending, the reports that grow beside the table."""
    growing(json, resume, True)  # --resume needs a file
    if json is None or str(json) == "-":
        return {}
    files = {
        (codec, one.ending): json.with_name(f"{json.stem}.{codec}{one.ending}.json")
        for codec in codecs
        for one in sources
    }
    for path in files.values():
        growing(path, resume, overwrite)
    return files


class Wanted(NamedTuple):
    """A preset, the prior that does it, and whether without the posterior mean."""

    preset: str
    prior: ModelCard
    free: bool


@dataclass(frozen=True)
class _Work:
    """What to do for one codec, and what its reports say of that."""

    codec: str
    levels: Sequence[float]
    variants: Mapping[str, Pipeline]
    settings: Mapping[str, Any]


def _work(
    codec: Codec,
    levels: Sequence[float],
    wanted: Sequence[Wanted],
    tradeoff: float,
    seed: int,
    runtime: Runtime,
) -> tuple[_Work | None, dict[str, str]]:
    """What can be done here, each tried on a small picture, and why the rest cannot."""
    from gesso.evaluation.evaluate import describe, side_pipelines
    from gesso.evaluation.peers import why_not
    from gesso.evaluation.pipeline import Peer, Pipeline
    from gesso.options import EnhanceOptions

    if reason := why_not(Peer(ITSELF, "enhance", ""), codec, levels[0]):
        return None, {codec.name: reason}
    treat = treatment("enhance")
    variants = {ITSELF: Pipeline(ITSELF, codec)}
    skipped: dict[str, str] = {}
    settings: dict[str, Any] = {
        "model": ", ".join(dict.fromkeys(one.prior.name for one in wanted)),
        "tradeoff": tradeoff,
        "seed": seed,
    }
    for one in wanted:
        name = one.preset + FREE * one.free
        options = EnhanceOptions(
            one.prior.name, cast("Preset", one.preset), tradeoff, seed, posterior_mean=not one.free
        )
        treated = side_pipelines(codec, "enhance", options, runtime, treat)[1]
        peer = Peer(name, "enhance", "", after=treated.after)
        if reason := why_not(peer, codec, levels[0]):
            skipped[f"{codec.name} {name}"] = reason
            continue
        variants[name] = treated
        about = describe("enhance", options, treat)
        weights = (about.get(key, "")[:12] for key in ("sha256", "estimator_sha256"))
        settings[name] = " ".join(filter(None, (about["model"], *weights)))
    return _Work(codec.name, levels, variants, settings), skipped


def _measure(
    work: _Work,
    sources: _Sources,
    file: Path | None,
    resume: bool,
    runtime: Runtime,
    models: Sequence[str] | None,
    jobs: int | None,
) -> Report:
    from gesso.evaluation.measure import measure

    # as of gesso evaluate: a fresh report grows, one to be replaced stays until the end
    report_file = file if file and (resume or not file.exists()) else None
    with resumable(report_file), bar(f"{work.codec} codings") as tick:
        report = measure(
            sources.files,
            {name: (pipeline, work.levels) for name, pipeline in work.variants.items()},
            sources.metrics,
            runtime,
            codec=work.codec,
            side="enhance",
            settings=work.settings,
            jobs=o.job_count(jobs, len(sources.files), runtime),
            prepare=partial(prepare_all, models),
            progress=tick,
            resume=report_file,
        )
    if file is not None:
        report.save(file)
        say(f"written: {file}")
    return report


def _deliver(table: Table, json: Path | None, csv: Path | None, html: Path | None) -> None:
    """Write what was asked for, name the pictures left out, and fail where there are some."""
    from gesso.evaluation.page import save_page

    reports = [report for own in table.reports.values() for report in own]
    if json is not None and str(json) == "-":
        answer_json(table.to_json())
        json = None
    if json is not None:
        table.save(json)
    if csv is not None:
        table.save_csv(csv)
    if html is not None:
        documents = [report.to_json() for report in reports]
        save_page(html, "Codecs with and without gesso", documents, [])
    for file in filter(None, (json, csv, html)):
        say(f"written: {file}")
    left_out = {name: why for report in reports for name, why in report.unreadable.items()}
    for name, why in left_out.items():
        say(f"{name}: {why}; it is left out")
    if left_out:
        raise typer.Exit(1)
