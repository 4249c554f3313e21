"""`gesso surrogates`: how well the differentiable codecs stand for the real ones."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar

if TYPE_CHECKING:
    from gesso.evaluation.surrogates import Agreement

__all__ = ["add", "surrogates"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(surrogates)


def surrogates(
    pictures: Annotated[Path, typer.Argument(metavar="PICTURES", help="A folder of pictures.")],
    codec: Annotated[
        str | None, typer.Option(help="As jpeg,hevc; all that have a surrogate if not given.")
    ] = None,
    qualities: o.Qualities = None,
    json: o.Json = False,
) -> None:
    """Compare codecs' surrogates with the codecs: decodes in PSNR, rates by rank.

    Models are trained through surrogates, and pictures prepared through them; what counts
    is always measured with the real codec.
    """
    from gesso.codec import differentiable_codecs, get_codec
    from gesso.evaluation.surrogates import agreement
    from gesso.training.data import picture_files

    files = picture_files(pictures)
    wanted = o.names(codec) if codec is not None else sorted(differentiable_codecs())
    levels = o.numbers(qualities, float) if qualities is not None else None
    found: dict[str, list[Agreement]] = {}
    for name in wanted:
        with bar(f"{name} codings") as tick:
            found[name] = agreement(files, get_codec(name), levels, tick)
    if json:
        rows = {name: [asdict(row) for row in table] for name, table in found.items()}
        answer_json({"pictures": len(files), "codecs": rows})
        return
    for name, table in found.items():
        _print(name, len(files), table)


def _print(name: str, count: int, rows: list[Agreement]) -> None:
    from rich.table import Table

    table = Table(title=f"{name}, {count} pictures", title_justify="left", box=None)
    for heading in (
        *("quality", "PSNR to the real decode", "PSNR of the surrogate", "of the real one"),
        *("rank correlation of the rate", "bits per nat"),
    ):
        table.add_column(heading, justify="right")
    for row in rows:
        figures = [f"{value:.2f}" for value in (row.psnr, row.surrogate, row.real)]
        quality = "all" if row.quality is None else f"{row.quality:g}"
        table.add_row(quality, *figures, f"{row.correlation:.4f}", f"{row.bits:.2f}")
    answer().print(table)
