"""Tables of evaluations: plain, gesso and the change between them, for people."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gesso_cli.console import answer

if TYPE_CHECKING:
    from gesso.evaluation.report import Report

__all__ = ["change", "coloured", "digits", "label", "print_report"]


def label(metric: str) -> str:
    """The heading of a metric's column."""
    from gesso.evaluation.measure import metric_named

    return metric_named(metric).label


def digits(metric: str, value: float) -> str:
    """A metric's value with as many decimals as are worth printing; a dash for NaN."""
    from gesso.evaluation.measure import metric_named

    if math.isnan(value):
        return "-"
    return f"{value:.{metric_named(metric).digits}f}"


def change(metric: str, plain: float, gesso: float) -> str:
    """From plain to gesso: in dB for PSNR, in percent where less is better, else as it is."""
    from gesso.evaluation.measure import metric_named

    if math.isnan(plain) or math.isnan(gesso):
        return "-"
    known = metric_named(metric)
    if metric == "psnr":
        return f"{gesso - plain:+.2f} dB"
    if not known.lower_is_better:
        return f"{gesso - plain:+.{known.digits}f}"
    return f"{100 * (gesso / plain - 1):+.1f} %" if plain else "-"


def coloured(metric: str, difference: float, text: str) -> str:
    """``text`` in green where the difference is for the better, in red where for the worse."""
    from gesso.evaluation.measure import metric_named

    if difference == 0 or math.isnan(difference):
        return text
    better = (difference < 0) == metric_named(metric).lower_is_better
    return f"[{'green' if better else 'red'}]{text}"


def print_report(report: Report) -> None:
    """Three lines for each quality, then Bjontegaard figures and what to know of them."""
    from rich.table import Table
    from rich.text import Text

    metrics = list(report.lower_is_better)
    settings = report.settings
    about = f"preset {settings['preset']}" if "preset" in settings else report.side
    count = len(report.pictures)
    pictures = f"{count} picture{'s' if count != 1 else ''}"
    if report.side == "preprocess" and (steps := settings.get("steps")):
        about += f" in {steps} step{'s' if steps != 1 else ''}"
    # Efforts medium and max need no model.
    title = ", ".join(filter(None, (report.codec, pictures, settings["model"], about)))
    table = Table(box=None, pad_edge=False)
    for heading in ("quality", "", "bpp", *map(label, metrics)):
        table.add_column(heading, justify="left" if not heading else "right")
    for quality in report.qualities:
        for variant in report.variants:
            figures = [digits(m, report.mean(quality, variant, m)) for m in metrics]
            bpp = f"{report.mean(quality, variant, 'bpp'):.3f}"
            table.add_row(f"{quality:g}" if variant == "plain" else "", variant, bpp, *figures)
        table.add_row("", "change", *_changes(report, quality, metrics))
    found = report.deltas("gesso")
    rates, metric_deltas = [d.rate for d in found.values()], [d.metric for d in found.values()]
    if any(rate is not None for rate in rates):
        cells = ["-" if r is None else f"{r:+.1f} %" for r in rates]
        table.add_row("all", "BD-rate", "", *cells)
    if any(value is not None for value in metric_deltas):
        cells = [
            "-" if v is None else coloured(m, v, f"{v:+.4f}")
            for m, v in zip(metrics, metric_deltas, strict=True)
        ]
        table.add_row("all", "BD-metric", "", *cells)
    answer().print(Text(title, style="italic"))
    answer().print(table)
    remarks = [*report.remarks.items(), *((m, d.note) for m, d in found.items() if d.note)]
    for text in dict.fromkeys(text for _, text in remarks):
        which = ", ".join(label(m) for m, t in remarks if t == text)
        answer().print(Text(f"{which}: {text}"))


def _changes(report: Report, quality: float, metrics: list[str]) -> list[str]:
    plain, gesso = (report.mean(quality, v, "bpp") for v in ("plain", "gesso"))
    cells = ["" if plain == gesso else f"{100 * (gesso / plain - 1):+.1f} %"]
    for metric in metrics:
        one, two = (report.mean(quality, v, metric) for v in ("plain", "gesso"))
        cells.append(coloured(metric, two - one, change(metric, one, two)))
    return cells
