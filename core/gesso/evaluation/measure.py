"""Send pictures through pipelines, on one process or many, and measure what comes out."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError
from gesso.evaluation.features import distances, kept_points, save_features
from gesso.evaluation.fid import SET_METRICS, SetMetric
from gesso.evaluation.machine import describe_machine
from gesso.evaluation.metrics import METRICS, Metric, get_metrics
from gesso.evaluation.pipeline import Coded, Pipeline
from gesso.evaluation.report import PictureRows, Report, Row, read_pictures
from gesso.evaluation.sources import named, read_bytes, read_picture
from gesso.evaluation.workers import spread
from gesso.frame import Frame
from gesso.runtime import Runtime

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DEFAULT_METRICS", "Variants", "measure", "metric_named"]

DEFAULT_METRICS = ("psnr", "ms_ssim", "lpips", "dists", "ssimulacra2")
Variants = Mapping[str, tuple[Pipeline, Sequence[float]]]
Keep = Callable[[str, Coded], None]
Points = frozenset[tuple[str, float]]  # variants at qualities
PAUSE = 2.0  # seconds between two writes of a growing report


@dataclass(frozen=True)
class _Work:
    """What every process must know to measure any picture."""

    variants: dict[str, tuple[Pipeline, tuple[float, ...]]]
    metrics: tuple[str, ...]
    runtime: Runtime
    features: Path | None
    known: dict[str, Points]

    @property
    def points(self) -> list[tuple[str, float]]:
        """Where each picture is measured."""
        return [(v, q) for v, (_, qualities) in self.variants.items() for q in qualities]


def measure(
    files: Iterable[str | os.PathLike[str]],
    variants: Variants,
    metrics: Iterable[str] = DEFAULT_METRICS,
    runtime: Runtime | None = None,
    *,
    codec: str = "",
    side: str = "",
    settings: Mapping[str, Any] | None = None,
    jobs: int = 1,
    prepare: Callable[[], object] | None = None,
    progress: Callable[[int, int], None] | None = None,
    resume: str | os.PathLike[str] | None = None,
    keep: Keep | None = None,
) -> Report:
    """Send every picture through every variant at each of its qualities.

    Metrics are taken on the 8-bit pictures that a user would have in hand.

    Args:
        files: pictures; those that cannot be used are named in the report, the rest goes on.
        variants: name -> pipeline and its qualities; the first is what the others are
            compared with.
        metrics: names out of :data:`gesso.evaluation.metrics.METRICS` and
            :data:`gesso.evaluation.fid.SET_METRICS`.
        runtime: where metrics run.
        codec, side, settings: written into the report; a resumed run must share them.
        jobs: processes to spread the pictures over; with more than one, a script must guard
            its start by ``if __name__ == "__main__"``.
        prepare: called once in each process, to load plug-ins for instance; must pickle.
        progress: called with (done, total) codings.
        resume: a report file that grows with every picture; what it already holds of a
            picture is not measured again, so that qualities can be added, and variants,
            whose settings may stand under their names. Pictures are known by their content.
            Set metrics keep what they need beside it, in a folder of the same name that ends
            in ``.features``.
        keep: called with (picture's name, coding) for every coding; needs ``jobs=1``.

    Raises:
        InputError: an unknown metric or one that cannot run here, no usable picture, or a
            ``resume`` that cannot be written or was made with other settings.
        ModelError: no such model, or damaged weights.
    """
    if keep is not None and jobs != 1:
        raise InputError("pictures can be kept in one process only; pass jobs=1")
    names = list(dict.fromkeys(metrics))
    _check(names)
    runtime = runtime or Runtime()
    paths = named(files)
    chosen = {name: (pipe, tuple(map(_whole, qs))) for name, (pipe, qs) in variants.items()}
    report = Report(
        codec=codec,
        side=side,
        settings=dict(settings or {}),
        variants={name: qualities for name, (_, qualities) in chosen.items()},
        lower_is_better={name: metric_named(name).lower_is_better for name in names},
        machine=describe_machine(runtime.device),
        complete=False,
    )
    single = [name for name in names if name not in SET_METRICS]
    sets = [name for name in names if name in SET_METRICS]
    known: dict[str, PictureRows] = {}
    if resume is not None:
        same = {"codec": codec, "side": side, "settings": report.settings}
        known = read_pictures(Path(resume), same, report.variants, single)
    with ExitStack() as stack:
        features = _features_folder(resume, stack) if sets else None
        if features:
            kept = {d: _kept_rows(p, features / d, sets) for d, p in known.items()}
            known = {d: p for d, p in kept.items() if p.points}
        points = {d: frozenset((r.variant, r.quality) for r in p.points) for d, p in known.items()}
        work = _Work(chosen, tuple(names), runtime, features, points)
        report = _collect(report, work, paths, known, jobs, prepare, progress, resume, keep)
        if features:
            folders = [features / picture.sha256 for picture in report.pictures]
            values, remarks = distances(folders, sets, report.variants)
            report = replace(report, sets=values, remarks=remarks)
    report = replace(report, complete=True)
    if resume is not None:
        report.save(resume)
    return report


def metric_named(name: str) -> Metric | SetMetric:
    """The metric of that name, of pairs or of whole sets; InputError for unknown ones."""
    if name in SET_METRICS:
        return SET_METRICS[name]
    try:
        return get_metrics([name])[0]
    except InputError as error:
        raise InputError(f"{error}, and for whole sets {', '.join(SET_METRICS)}") from error


def _check(names: Sequence[str]) -> None:
    """Raise InputError where a metric is unknown, or cannot run on this machine."""
    if not names:
        raise InputError("no metric asked for; pass at least one")
    for name in names:
        if reason := metric_named(name).missing():
            raise InputError(f"the metric {name} cannot be measured here: {reason}")


def _whole(value: float) -> float:
    """Whole numbers as int, for tables and JSON."""
    return int(value) if float(value).is_integer() else value


def _features_folder(resume: str | os.PathLike[str] | None, stack: ExitStack) -> Path:
    if resume is None:
        return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gesso-")))
    return Path(resume).with_suffix(".features")


def _collect(
    report: Report,
    work: _Work,
    paths: Mapping[str, Path],
    known: Mapping[str, PictureRows],
    jobs: int,
    prepare: Callable[[], object] | None,
    progress: Callable[[int, int], None] | None,
    resume: str | os.PathLike[str] | None,
    keep: Keep | None,
) -> Report:
    """The report with every picture in it, written now and then on the way."""
    codings = len(work.points)
    total, finished, saved = len(paths) * codings, 0, time.monotonic()

    def tick(done: int) -> None:
        if progress:
            progress(finished + done, total)

    outcomes: Iterator[tuple[str, PictureRows | str | InputError]]
    if jobs == 1:
        outcomes = ((name, _attempt(work, name, path, tick, keep)) for name, path in paths.items())
    else:
        outcomes = spread(_attempt_in_worker, work, paths, min(jobs, len(paths)), prepare)
    tick(0)
    found: dict[str, PictureRows] = {}
    left = dict(known)  # a run that is stopped loses nothing of it
    changed = False
    try:
        for name, outcome in outcomes:
            if isinstance(outcome, InputError):
                report = replace(report, unreadable={**report.unreadable, name: str(outcome)})
            elif isinstance(outcome, str):
                found[name] = replace(known[outcome], file=name)
                left.pop(outcome, None)
            else:
                found[name] = _joined(outcome, known.get(outcome.sha256), work)
                left.pop(outcome.sha256, None)
            # processes finish in any order, a report keeps that of the files
            ordered = (*(found[n] for n in paths if n in found), *left.values())
            unreadable = {n: report.unreadable[n] for n in paths if n in report.unreadable}
            report = replace(report, pictures=ordered, unreadable=unreadable)
            finished, changed = finished + codings, True
            if resume is not None and time.monotonic() - saved > PAUSE:
                report.save(resume)
                saved, changed = time.monotonic(), False
            tick(0)
    finally:
        if resume is not None and changed:
            report.save(resume)
    report = replace(report, pictures=tuple(found[n] for n in paths if n in found))
    if not report.pictures:
        name, reason = next(iter(report.unreadable.items()))
        raise InputError(f"none of {len(paths)} pictures can be used; the first, {name}: {reason}")
    return report


def _kept_rows(picture: PictureRows, features: Path, sets: Sequence[str]) -> PictureRows:
    """Without the points that lack what set metrics need."""
    kept = kept_points(features, sets, [(row.variant, row.quality) for row in picture.points])
    rows = tuple(row for row in picture.points if (row.variant, row.quality) in kept)
    return replace(picture, points=rows)


def _joined(picture: PictureRows, before: PictureRows | None, work: _Work) -> PictureRows:
    """With the points that were known before."""
    points = (*before.points, *picture.points) if before else picture.points
    rows = {(row.variant, row.quality): row for row in points}
    return replace(picture, points=tuple(rows[at] for at in work.points))


def _attempt_in_worker(work: _Work, name: str, path: Path) -> PictureRows | str | InputError:
    return _attempt(work, name, path, lambda _: None, None)


def _attempt(
    work: _Work, name: str, path: Path, tick: Callable[[int], None], keep: Keep | None
) -> PictureRows | str | InputError:
    """The missing rows of one picture, its digest if none is, or why it cannot be used."""
    try:
        data = read_bytes(path)
        digest = hashlib.sha256(data).hexdigest()
        if work.known.get(digest) == frozenset(work.points):
            return digest
        source = read_picture(data)
        rows = _measure(work, name, source, digest, tick, keep)
        return PictureRows(name, digest, *source.size, tuple(rows))
    except InputError as error:
        return error


def _measure(
    work: _Work,
    name: str,
    source: Image.Image,
    digest: str,
    tick: Callable[[int], None],
    keep: Keep | None,
) -> list[Row]:
    import torch

    metrics = [METRICS[name] for name in work.metrics if name in METRICS]
    rows: dict[tuple[str, float], Row] = {}
    with torch.inference_mode():
        reference = Frame.of(source).rgb.to(work.runtime.device)
        compare = {metric.name: metric.against(reference) for metric in metrics}
        shown: dict[tuple[str, float], Image.Image] = {}
        known = work.known.get(digest, frozenset())
        for index, coded in enumerate(_codings(work, source, known), len(known)):
            tick(index)
            if keep:
                keep(name, coded)
            # one picture at a time: a pair would double the memory of the feature maps
            rgb = Frame.of(coded.picture).rgb.to(work.runtime.device)
            values = {name: float(against(rgb)) for name, against in compare.items()}
            at = coded.pipeline, coded.quality
            rows[at] = Row(*at, len(coded.data), coded.bpp, values, coded.seconds)
            if work.features:
                shown[at] = coded.picture
        if work.features:
            sets = [n for n in work.metrics if n in SET_METRICS]
            save_features(work.features / digest, sets, source, shown, work.runtime)
    return list(rows.values())


def _codings(work: _Work, source: Image.Image, known: Points) -> Iterator[Coded]:
    """Every coding of a picture but known ones; pipelines of a codec share the ordinary decode."""
    planned = [
        (pipeline if pipeline.before else pipeline.codec, quality, pipeline, name)
        for name, (pipeline, qualities) in work.variants.items()
        for quality in qualities
        if (name, quality) not in known
    ]
    order = {id(p[0]): index for index, p in reversed(list(enumerate(planned)))}
    shared: tuple[int, float] | None = None
    decoded: Coded | None = None
    # neighbours share, so that one decode at a time is held
    for what, quality, pipeline, name in sorted(planned, key=lambda p: (order[id(p[0])], p[1])):
        if decoded is None or shared != (id(what), quality):
            shared, decoded = (id(what), quality), pipeline.code(source, quality)
        yield replace(pipeline.finish(decoded), pipeline=name)
