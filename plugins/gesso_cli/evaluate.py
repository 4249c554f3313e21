"""`gesso evaluate`: what enhancement does for files of a codec, in figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar, say

if TYPE_CHECKING:
    from gesso.evaluation.report import Report

__all__ = ["add", "change", "evaluate"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(evaluate)


def evaluate(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of source pictures.")],
    codec: Annotated[str, typer.Option(help="What codes them.")] = "jpeg",
    side: Annotated[str, typer.Option(help="What of gesso is measured: enhance.")] = "enhance",
    qualities: Annotated[
        str | None, typer.Option(help="As 10,20,40; five of the lower range if not given.")
    ] = None,
    metrics: Annotated[str, typer.Option(help="Of psnr, lpips, dists.")] = "psnr,lpips,dists",
    preset: o.PresetOption = o.PresetName.medium,
    tradeoff: o.Tradeoff = 1.0,
    model: o.Model = None,
    seed: o.Seed = 0,
    json: Annotated[
        Path | None, typer.Option(help="Write the report there; - prints it on stdout.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the report that --json names.")
    ] = False,
    overwrite: o.Overwrite = False,
    sigma: o.Sigma = None,
    steps: o.Steps = None,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Code every picture with a real codec, enhance the decodes, and measure both.

    The table shows means over the pictures: the ordinary decode, gesso's, and the change.
    """
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import evaluate as measure
    from gesso.options import EnhanceOptions
    from gesso.training.data import picture_files

    to_stdout = json is not None and str(json) == "-"
    report_file = None if to_stdout else json
    if resume and report_file is None:
        raise InputError("--resume needs the report to go on with; name it with --json")
    if report_file is not None and report_file.exists() and not (resume or overwrite):
        raise InputError(f"{report_file} exists; pass --resume to go on with it, or --overwrite")
    # A fresh file grows picture by picture; one to be replaced stays until the end.
    growing = report_file if resume or not (report_file and report_file.exists()) else None
    runtime = o.runtime_of(device, dtype, tile)
    options = EnhanceOptions(o.known_model(model), preset.value, tradeoff, seed, sigma, steps)
    try:
        with bar(f"{codec} codings") as tick:
            report = measure(
                picture_files(folder),
                get_codec(codec),
                side,
                o.numbers(qualities, float) if qualities is not None else None,
                o.names(metrics),
                options,
                runtime,
                progress=tick,
                resume=growing,
                enhancer=_enhancer(),
            )
    except KeyboardInterrupt:
        if growing is not None and growing.exists():
            say(f"{growing} holds what was measured; --resume goes on with it")
        raise
    if report_file is not None:
        report.save(report_file)
    if to_stdout:
        answer_json(report.to_json())
    else:
        _print(report)
    for picture, reason in report.unreadable.items():
        say(f"{picture}: {reason}; it is left out")
    if report_file:
        say(f"the report is {report_file}")
    if report.unreadable:
        raise typer.Exit(1)


def _enhancer() -> Any:
    """The hooks' chain, where a plug-in has a part in it; else the core's own."""
    from gesso_hooks import after_decode
    from gesso_hooks.manager import manager

    # The core's own is known by the hash of its weights, which makes a report resumable.
    answering = manager().hook.gesso_after_decode.get_hookimpls()
    return after_decode if len(answering) > 1 else None


def change(metric: str, plain: float, gesso: float) -> str:
    """From plain to gesso: in dB for PSNR, in percent for the others."""
    if metric == "psnr":
        return f"{gesso - plain:+.2f} dB"
    return f"{100 * (gesso / plain - 1):+.1f} %" if plain else "-"


def _print(report: Report) -> None:
    from rich.table import Table
    from rich.text import Text

    from gesso.evaluation.metrics import METRICS

    settings = report.settings
    table = Table(
        title=Text(
            f"{report.codec}, {len(report.pictures)} pictures, {settings['model']}, "
            f"preset {settings['preset']}"
        ),
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for heading in ("quality", "bpp"):
        table.add_column(heading, justify="right")
    for name in report.lower_is_better:
        table.add_column(f"{METRICS[name].label} plain", justify="right")
        table.add_column("gesso", justify="right")
        table.add_column("change", justify="right")
    for quality in report.qualities:
        cells = [f"{quality:g}", f"{report.mean(quality, 'plain', 'bpp'):.3f}"]
        for name, lower in report.lower_is_better.items():
            plain, gesso = (report.mean(quality, v, name) for v in ("plain", "gesso"))
            colour = "green" if (gesso < plain) == lower else "red"
            digits = METRICS[name].digits
            cells += [f"{plain:.{digits}f}", f"{gesso:.{digits}f}"]
            cells.append(f"[{colour}]{change(name, plain, gesso)}")
        table.add_row(*cells)
    answer().print(table)
