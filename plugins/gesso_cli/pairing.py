"""Which pictures a page sets side by side: plain against gesso, at equal bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gesso_cli.tables import digits, label

if TYPE_CHECKING:
    from gesso.evaluation.page import Pair
    from gesso.evaluation.pipeline import Coded, Pipeline
    from gesso.evaluation.report import Report, Row
    from gesso.runtime import Runtime

__all__ = ["GESSO", "PLAIN", "At", "caption", "pairs_of", "showcase"]

GESSO, PLAIN = "gesso", "plain"
At = tuple[str, float]


def pairs_of(
    photo: Path,
    plain: Pipeline,
    report: Report,
    coded: Mapping[At, Coded],
    runtime: Runtime,
) -> list[Pair]:
    """What a slider shows: gesso, and the plain picture whose file has as many bytes.

    Args:
        photo: the picture that ``report`` is of, alone.
        plain: the pipeline without gesso.
        report: of one picture, with the variants plain and gesso.
        coded: its codings, by variant and quality.
        runtime: where metrics run, of plain pictures at other qualities.
    """
    from gesso.evaluation.page import Pair

    rows = _rows(report)
    partners = {quality: quality for quality in report.qualities}
    if report.side == "preprocess":
        partners, rows, coded = _match(photo, plain, report, coded, runtime)
    pairs = []
    for quality, partner in partners.items():
        one, two = coded[PLAIN, partner], coded[GESSO, quality]
        told = report.side == "enhance"
        captions = (caption(rows[PLAIN, partner], told), caption(rows[GESSO, quality], told))
        pairs.append(Pair(photo.name, quality, *captions, one.source, one.picture, two.picture))
    return pairs


def showcase(
    files: Iterable[Path], plain: Pipeline, gesso: Pipeline, report: Report, runtime: Runtime
) -> list[Pair]:
    """Three pictures of a report at its middle quality: what gains least, most, and between.

    The gain is that of the last metric that compares pairs, so that the choice is not ours.
    """
    from gesso.evaluation.measure import measure
    from gesso.evaluation.sources import named

    paths, quality = named(files), report.qualities[len(report.qualities) // 2]
    pairs = []
    for name in _extremes(report, quality):
        coded: dict[At, Coded] = {}

        def keep(_: str, one: Coded, coded: dict[At, Coded] = coded) -> None:
            coded[one.pipeline, one.quality] = one

        alone = measure(
            [paths[name]],
            {PLAIN: (plain, [quality]), GESSO: (gesso, [quality])},
            list(report.pictures[0].points[0].values) or ["psnr"],
            runtime,
            codec=report.codec,
            side=report.side,
            keep=keep,
        )
        pairs += pairs_of(paths[name], plain, alone, coded, runtime)
    return pairs


def _extremes(report: Report, quality: float) -> list[str]:
    """Names of the pictures whose gain is the least, the median and the greatest."""
    gains = []
    for picture in report.pictures:
        rows = {row.variant: row.values for row in picture.points if row.quality == quality}
        if not rows[PLAIN]:  # metrics of whole sets alone
            return [p.file for p in report.pictures[:3]]
        metric = list(rows[PLAIN])[-1]
        sign = -1 if report.lower_is_better[metric] else 1
        gains.append((sign * (rows[GESSO][metric] - rows[PLAIN][metric]), picture.file))
    gains.sort()
    chosen = (gains[0], gains[len(gains) // 2], gains[-1])
    return list(dict.fromkeys(name for _, name in chosen))


def _match(
    photo: Path,
    plain: Pipeline,
    report: Report,
    coded: Mapping[At, Coded],
    runtime: Runtime,
) -> tuple[dict[float, float], dict[At, Row], dict[At, Coded]]:
    """For each quality of gesso's the plain one of the nearest size, measured like it."""
    from gesso.evaluation.evaluate import ordered
    from gesso.evaluation.matching import nearest_quality
    from gesso.evaluation.measure import measure

    partners = {
        quality: nearest_quality(
            plain.codec, coded[GESSO, quality].source, len(coded[GESSO, quality].data)
        )
        for quality in report.qualities
    }
    everything = dict(coded)
    single = list(report.pictures[0].points[0].values) or ["psnr"]
    matched = measure(
        [photo],
        {PLAIN: (plain, ordered(plain.codec, partners.values()))},
        single,
        runtime,
        keep=lambda _, one: everything.update({(one.pipeline, one.quality): one}),
    )
    return partners, {**_rows(report), **_rows(matched)}, everything


def _rows(report: Report) -> dict[At, Row]:
    return {(row.variant, row.quality): row for p in report.pictures for row in p.points}


def caption(row: Row, told: bool = True) -> str:
    """What a row says; its quality only where that is not told otherwise."""
    quality = f"quality {row.quality:g}"
    figures = [f"{label(name)} {digits(name, value)}" for name, value in row.values.items()]
    facts = [f"{row.bytes:,} bytes", f"{row.bpp:.3f} bpp", *figures]
    return " · ".join(facts if told else [quality, *facts])
