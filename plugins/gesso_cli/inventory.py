"""`gesso codecs` and `gesso metrics`: what can be evaluated with, and what is missing here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from gesso.errors import GessoError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json

if TYPE_CHECKING:
    from gesso.codec import Codec
    from gesso.evaluation.fid import SetMetric
    from gesso.evaluation.metrics import Metric

__all__ = ["add", "codecs", "metrics"]

TRIAL = 64  # side of the picture that each codec is tried on


def add(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    app.command()(codecs)
    app.command()(metrics)


def codecs(json: o.Json = False) -> None:
    """List the codecs there are, each tried on a small picture."""
    from gesso.codec import codecs as known
    from gesso.evaluation.evaluate import default_qualities

    rows: list[dict[str, Any]] = [
        {
            "name": codec.name,
            "extension": codec.extension,
            "worst": codec.qualities[0],
            "best": codec.qualities[1],
            "qualities": list(default_qualities(codec)),
            "problem": _try(codec),
        }
        for codec in known().values()
    ]
    if json:
        answer_json(rows)
        return
    _print(
        ("name", "files", "worst", "best", "measured by default", "here"),
        [
            (
                row["name"],
                row["extension"],
                f"{row['worst']:g}",
                f"{row['best']:g}",
                ", ".join(f"{quality:g}" for quality in row["qualities"]),
                row["problem"],
            )
            for row in rows
        ],
    )


def metrics(json: o.Json = False) -> None:
    """List the metrics there are, of pairs of pictures and of whole sets."""
    from gesso.evaluation.fid import SET_METRICS
    from gesso.evaluation.metrics import METRICS

    both: tuple[Metric | SetMetric, ...] = (*METRICS.values(), *SET_METRICS.values())
    rows: list[dict[str, Any]] = [
        {
            "name": metric.name,
            "label": metric.label,
            "lower_is_better": metric.lower_is_better,
            "compares": "sets" if metric.name in SET_METRICS else "pairs",
            "smallest": metric.smallest,
            "problem": metric.missing(),
        }
        for metric in both
    ]
    if json:
        answer_json(rows)
        return
    _print(
        ("name", "label", "better is", "compares", "from", "here"),
        [
            (
                row["name"],
                row["label"],
                "less" if row["lower_is_better"] else "more",
                row["compares"],
                f"{row['smallest']} pixels",
                row["problem"],
            )
            for row in rows
        ],
    )


def _try(codec: Codec) -> str | None:
    """Why a codec cannot code a picture on this machine; None when it can."""
    from PIL import Image

    picture = Image.radial_gradient("L").resize((TRIAL, TRIAL)).convert("RGB")
    try:
        decoded = codec.decode(codec.encode(picture, codec.qualities[0]))
    # what a third party's codec raises is its own; it must not end the list
    except (GessoError, OSError, ValueError, RuntimeError, ImportError) as error:
        return str(error)
    return None if decoded.size == picture.size else f"gave a picture of {decoded.size}"


def _print(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for name, *cells, problem in rows:
        state = f"[red]{escape(problem)}" if problem else "[green]ok"
        table.add_row(f"[bold]{escape(name)}", *map(escape, cells), state)
    answer().print(table)
