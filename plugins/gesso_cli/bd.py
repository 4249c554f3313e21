"""`gesso bd`: Bjontegaard figures between any two evaluations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, say

if TYPE_CHECKING:
    from gesso.evaluation.curves import Delta
    from gesso.evaluation.document import Document

__all__ = ["add", "bd"]


class MethodName(StrEnum):
    """gesso.evaluation.curves.Method, as choices of an option."""

    pchip = "pchip"
    akima = "akima"


@dataclass(frozen=True)
class _Curves:
    """One variant of one document: what a line of the table is about."""

    document: Document
    variant: str

    @property
    def name(self) -> str:
        return f"{self.document.name}:{self.variant}"


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(bd)


def bd(
    anchor: Annotated[
        str, typer.Argument(metavar="ANCHOR", help="FILE or FILE:VARIANT; its first one if not.")
    ],
    tests: Annotated[
        list[str], typer.Argument(metavar="TEST", help="FILE:VARIANT, or FILE for all of them.")
    ],
    method: Annotated[
        MethodName, typer.Option("--method", help="How curves are interpolated.")
    ] = MethodName.pchip,
    json: o.Json = False,
) -> None:
    """Compare the curves of evaluations: bits at equal quality, quality at equal bits.

    Files are the JSON documents of gesso evaluate, compare and peers. BD-rate is in percent,
    negative where TEST saves bits; BD-metric is the change of the metric in its own unit.
    Overlaps are shares of the curves' joint range: figures speak for these only.
    """
    from gesso.evaluation.curves import delta

    first = _named(anchor)[0]
    others = [curves for test in tests for curves in _named(test) if curves != first]
    if not others:
        raise InputError(f"{first.name} is all there is; name a TEST that is another curve")
    found: dict[str, dict[str, Delta]] = {}
    for other in others:
        for warning in _warnings(first, other):
            say(f"warning: {warning}")
        found[other.name] = {
            metric: delta(
                first.document.curve(first.variant, metric),
                other.document.curve(other.variant, metric),
                first.document.lower_is_better[metric],
                method.value,
            )
            for metric in _common(first, other)
        }
    if json:
        figures = {n: {m: _plain(d) for m, d in deltas.items()} for n, deltas in found.items()}
        answer_json({"anchor": first.name, "method": method.value, "tests": figures})
    else:
        _print(first.name, found, first.document.lower_is_better, method.value)
    for name, deltas in found.items():
        for metric, one in deltas.items():
            if one.note:
                say(f"{name}, {metric}: {one.note}")


def _named(text: str) -> list[_Curves]:
    """What FILE or FILE:VARIANT stands for; a file whose name has a colon comes first."""
    from gesso.evaluation.document import Document

    path, _, variant = text.rpartition(":")
    if Path(text).exists() or not path:
        document = Document.read(Path(text))
        return [_Curves(document, name) for name in document.variants]
    document = Document.read(Path(path))
    if variant not in document.variants:
        raise InputError(
            f"{path} has no variant {variant!r}; there are {', '.join(document.variants)}"
        )
    return [_Curves(document, variant)]


def _common(one: _Curves, two: _Curves) -> list[str]:
    """The metrics that both have.

    Raises:
        InputError: none, or one that goes another way in each.
    """
    ways = one.document.lower_is_better, two.document.lower_is_better
    common = [
        metric
        for metric in ways[0]
        if metric in ways[1]
        and one.document.has(one.variant, metric)
        and two.document.has(two.variant, metric)
    ]
    if not common:
        has = [
            f"{curves.name} has {', '.join(way)}"
            for curves, way in zip((one, two), ways, strict=True)
        ]
        raise InputError(f"no metric in common: {' and '.join(has)}")
    for metric in common:
        if ways[0][metric] != ways[1][metric]:
            raise InputError(
                f"less {metric} is better in one of {one.name} and {two.name} only; "
                "measure one of them again"
            )
    return common


def _warnings(one: _Curves, two: _Curves) -> Iterator[str]:
    from gesso.evaluation.document import same_pictures

    if not same_pictures(one.document, two.document):
        yield f"{one.name} and {two.name} were measured on different pictures"
    for curves in (one, two):
        if not curves.document.content.get("complete", True):
            yield f"{curves.document.name} is of an interrupted run"


def _plain(one: Delta) -> dict[str, Any]:
    """As the documents of evaluations name it."""
    return {
        "bd_rate": one.rate,
        "bd_metric": one.metric,
        "overlap_rate": one.overlap_rate,
        "overlap_metric": one.overlap_metric,
        "note": one.note,
    }


def _print(
    anchor: str,
    found: Mapping[str, Mapping[str, Delta]],
    lower_is_better: Mapping[str, bool],
    method: str,
) -> None:
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    from gesso.evaluation.fid import SET_METRICS
    from gesso.evaluation.metrics import METRICS

    known: dict[str, Any] = {**METRICS, **SET_METRICS}
    table = Table(
        title=Text(f"against {anchor}, {method}"), title_justify="left", box=None, pad_edge=False
    )
    for heading in ("test", "metric"):
        table.add_column(heading)
    for heading in ("BD-rate", "overlap", "BD-metric", "overlap"):
        table.add_column(heading, justify="right")
    for name, deltas in found.items():
        for index, (metric, one) in enumerate(deltas.items()):
            # a document may hold metrics that this version does not know
            about = known.get(metric)
            label, digits = (about.label, about.digits) if about else (metric, 4)
            lower = lower_is_better[metric]
            table.add_row(
                "" if index else escape(name),
                escape(label),
                _figure(one.rate, 1, " %", True),
                _percent(one.overlap_rate),
                _figure(one.metric, digits, " dB" if metric == "psnr" else "", lower),
                _percent(one.overlap_metric),
            )
    answer().print(table)


def _figure(value: float | None, digits: int, unit: str, lower_is_better: bool) -> str:
    """A change, in green where it is for the better, in red where for the worse."""
    if value is None:
        return "-"
    text = f"{value:+.{digits}f}{unit}"
    if value == 0:
        return text
    return f"[{'green' if (value < 0) == lower_is_better else 'red'}]{text}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
