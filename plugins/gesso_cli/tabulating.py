"""The table of `gesso table`, for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gesso_cli.console import answer, one_line
from gesso_cli.tables import change, coloured, digits, label

if TYPE_CHECKING:
    from gesso.evaluation.table import Line, Table

__all__ = ["print_table"]


def print_table(table: Table) -> None:
    """A line for each codec and variant, then what to know of them."""
    from rich.markup import escape
    from rich.table import Table as Grid
    from rich.text import Text

    from gesso.evaluation.fid import SET_METRICS

    reports = next(iter(table.reports.values()))
    metrics = [metric for report in reports for metric in report.lower_is_better]
    curves = [name for name in metrics if name == "psnr" or name in SET_METRICS]
    grid = Grid(box=None, pad_edge=False)
    for heading in ("codec", "variant"):
        grid.add_column(heading)
    heads = (*(f"BD-{label(m)}" for m in curves), "quality", "bpp", *map(label, metrics))
    for heading in (*heads, "seconds"):
        grid.add_column(heading, justify="right")
    before = ""
    for line in table.lines:
        shown, before = ("" if line.codec == before else line.codec), line.codec
        cells = [_delta(line, metric) for metric in curves]
        cells += [f"{line.quality:g}", f"{line.bpp:.3f}", *(_cell(line, m) for m in metrics)]
        seconds = f"{line.decode + line.after:.3f}"
        grid.add_row(escape(shown), escape(line.variant), *cells, seconds)
    whose = f"{table.anchor}'s" if table.anchor else "each codec's own"
    sizes = (
        f"{', '.join(map(label, r.lower_is_better))} over {len(r.pictures)} pictures"
        for r in reports
    )
    answer().print(Text("; ".join(sizes), style="italic"))
    answer().print(
        Text(f"BD: change at equal bits, against {whose} plain decode; the rest: lowest quality")
    )
    answer().print(grid)
    for text in dict.fromkeys(_remarks(table, curves)):
        # not wrapped: a line each
        answer().print(Text(text), soft_wrap=True)


def _delta(line: Line, metric: str) -> str:
    from gesso.evaluation.measure import metric_named

    if metric not in line.deltas:
        return ""
    value = line.deltas[metric].metric
    if value is None:
        return "-"
    return coloured(metric, value, f"{value:+.{metric_named(metric).digits}f}")


def _cell(line: Line, metric: str) -> str:
    value, plain = line.lowest[metric], line.plain[metric]
    if line.variant == "plain":
        return digits(metric, value)
    moved = coloured(metric, value - plain, change(metric, plain, value))
    return f"{digits(metric, value)} {moved}"


def _remarks(table: Table, curves: list[str]) -> Iterator[str]:
    for own in table.reports.values():
        for report in own:
            for metric, remark in report.remarks.items():
                yield f"{label(metric)}: {remark}"
    for line in table.lines:
        for metric, one in line.deltas.items():
            if metric in curves and one.metric is None:
                yield f"{line.codec}, no BD-{label(metric)}: {one.note}"
    for name, reason in table.skipped.items():
        yield f"skipped {name}: {one_line(reason)}"
