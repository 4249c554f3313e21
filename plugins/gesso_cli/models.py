"""`gesso models`: which models there are, and whether their weights are whole."""

from __future__ import annotations

import json as json_format
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import ModelError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, say

if TYPE_CHECKING:
    from gesso.cards import ModelCard

__all__ = ["add", "models", "parameters"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(models)


def models(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDER]...",
            help="Show these instead: a folder of ours or of diffusers', or hf:owner/name.",
        ),
    ] = None,
    json: o.Json = False,
) -> None:
    """List the models there are, with the state of their weights."""
    from gesso import cards
    from gesso.checkpoints import card_of

    known = cards.models()
    if folders:
        found = [
            known.get(name) or card_of(name) or cards.get_model(name, "prior") for name in folders
        ]
    else:
        found = list(known.values())
    rows = [_row(card) for card in found]
    if json:
        answer_json(rows)
    else:
        _print(rows)
    for row in rows:
        if row["problem"]:
            say(row["problem"])
    if any(row["problem"] for row in rows):
        raise typer.Exit(1)


def _row(card: ModelCard) -> dict[str, Any]:
    from dataclasses import asdict

    from gesso.checkpoints import CheckpointCard

    names = card.files if isinstance(card, CheckpointCard) else (card.weights,)
    files = [card.folder / name for name in names if name.endswith(".safetensors")]
    counts = [parameters(file) for file in files]
    problem = ""
    try:
        card.verify()
    except ModelError as error:
        problem = str(error)
    return {
        **asdict(card),
        "folder": str(card.folder),
        "parameters": None if None in counts else sum(filter(None, counts)),
        "bytes": sum(f.stat().st_size for f in files) if all(f.is_file() for f in files) else None,
        "presets": list(card.settings.get("presets", {})),
        "codecs": list(card.settings.get("noise", {})),
        "problem": problem,
    }


def parameters(path: Path) -> int | None:
    """How many numbers a safetensors file holds, from its header; None if it has none."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            header = json_format.loads(stream.read(min(length, 100_000_000)))
        shapes = [value["shape"] for key, value in header.items() if key != "__metadata__"]
        return sum(int(math.prod(shape)) for shape in shapes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("name", "role", "parameters", "MB", "presets", "codecs", "weights", "licence"):
        table.add_column(heading, justify="right" if heading in ("parameters", "MB") else "left")
    table.add_column("summary", overflow="fold")
    for row in rows:
        table.add_row(
            f"[bold]{escape(row['name'])}",
            row["role"],
            f"{row['parameters'] / 1e6:.1f} M" if row["parameters"] else "?",
            f"{row['bytes'] / 1e6:.1f}" if row["bytes"] else "?",
            ", ".join(row["presets"]),
            ", ".join(row["codecs"]),
            "[red]damaged" if row["problem"] else "[green]ok",
            escape(row["licence"]),
            escape(row["summary"]),
        )
    answer().print(table)
