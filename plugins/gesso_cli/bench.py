"""`gesso bench`: memory and time by the size of the picture, in honest processes, and more."""

from __future__ import annotations

import json as json_format
import math
import subprocess
import sys
from typing import Annotated, Any

import typer

from gesso.errors import GessoError, InputError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar
from gesso_cli.hosts import hosts
from gesso_cli.speed import speed
from gesso_cli.streams import streams

__all__ = ["add", "bench"]

MB = 1e6


def add(app: typer.Typer) -> None:
    """Add the command to ``app``, with ``speed``, ``hosts`` and ``streams`` below it."""
    group = typer.Typer()
    group.callback(invoke_without_command=True)(bench)
    group.command()(speed)
    group.command()(hosts)
    group.command()(streams)
    app.add_typer(group, name="bench")


def bench(
    context: typer.Context,
    megapixels: Annotated[str, typer.Option(help="Sizes of pictures.")] = "1,4,16",
    steps: Annotated[int, typer.Option(min=1, max=1000, help="Model evaluations.")] = 1,
    sigma: Annotated[
        float, typer.Option(min=0.001, max=80.0, help="Noise level on [-1, 1] pixels.")
    ] = 0.1,
    model: o.Model = None,
    json: o.Json = False,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Print memory and time of enhancing pictures of growing size.

    Each size runs in a fresh process. The peak is that of the whole process; "over the
    picture" subtracts the bytes of its pixels and nothing else. How fast each preset is, and
    for how much of what the machine can do: gesso bench speed.
    """
    if context.invoked_subcommand is not None:
        return
    o.runtime_of(device, dtype, tile)
    o.known_model(model)
    sizes = o.numbers(megapixels, float)
    if min(sizes) <= 0:
        raise InputError(f"--megapixels must be positive, got {megapixels}")
    shared = {
        "model": model,
        "sigma": sigma,
        "steps": steps,
        "device": device,
        "dtype": dtype.value,
        "tile": tile,
    }
    rows: list[dict[str, Any]] = []
    with bar("sizes") as tick:
        tick(0, len(sizes))
        for size in sorted(sizes):
            rows.append(_measure({**shared, "side": max(1, round(math.sqrt(size * 1e6)))}))
            tick(len(rows), len(sizes))
    for row in rows:
        row["ratio"] = row["seconds_per_megapixel"] / rows[0]["seconds_per_megapixel"]
    if json:
        answer_json({**shared, "sizes": rows})
    else:
        _print(rows)


def _measure(request: dict[str, Any]) -> dict[str, Any]:
    """One size in a process of its own."""
    command = [sys.executable, "-m", "gesso_cli.memory", json_format.dumps(request)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    megapixels = request["side"] ** 2 / 1e6
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        reason = lines[-1].removeprefix("gesso: ") if lines else f"exit code {done.returncode}"
        if done.returncode == -9:
            reason = "the system ended it, probably for memory; pass smaller sizes"
        raise GessoError(f"{megapixels:g} megapixels: {reason}")
    found: dict[str, Any] = json_format.loads(done.stdout.splitlines()[-1])
    return {
        "megapixels": megapixels,
        **found,
        "over_picture_bytes": found["peak_bytes"] - found["picture_bytes"],
        "seconds_per_megapixel": found["seconds"] / megapixels,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    headings = ("megapixels", "seconds", "s per megapixel", "ratio", "before MB", "peak MB")
    for heading in (*headings, "over the picture MB"):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            f"{row['megapixels']:.2f}",
            f"{row['seconds']:.2f}",
            f"{row['seconds_per_megapixel']:.2f}",
            f"{row['ratio']:.2f}",
            f"{row['idle_bytes'] / MB:.0f}",
            f"{row['peak_bytes'] / MB:.0f}",
            f"{row['over_picture_bytes'] / MB:.0f}",
        )
    answer().print(table)
