"""`gesso bench ffmpeg`: what the way through gesso costs, without a model."""

from __future__ import annotations

import json as json_format
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ffmpeg_gesso.flicker import flicker
from gesso.errors import GessoError

__all__ = ["add", "compare"]

GROUP = "bench"
QUIET = ["-v", "error", "-nostdin", "-y"]


def add(app: typer.Typer) -> None:
    """Add both commands to the group ``bench`` of ``app``, which is made where there is none."""
    groups = {info.name: info.typer_instance for info in app.registered_groups}
    group = groups.get(GROUP)
    if group is None:
        group = typer.Typer(help="What gesso costs in memory and time.")
        group.callback()(lambda: None)
        app.add_typer(group, name=GROUP)
    group.command("ffmpeg")(bench)
    group.command("flicker")(flicker)


def bench(
    width: Annotated[int, typer.Option(min=16, max=16384, help="Of the frames.")] = 1920,
    height: Annotated[int, typer.Option(min=16, max=16384, help="Of the frames.")] = 1080,
    frames: Annotated[int, typer.Option(min=1, help="In the clip.")] = 300,
    repeats: Annotated[
        int, typer.Option(min=1, help="Times of which the shortest counts, in turn.")
    ] = 3,
    encode: Annotated[
        str, typer.Option(help="Options of the output; nothing is coded if not given.")
    ] = "-f null",
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document on stdout.")] = False,
) -> None:
    """Frames per second of gesso=identity beside ffmpeg's own filter null, and the ratio."""
    found = compare(width, height, frames, repeats, shlex.split(encode))
    if json:
        print(json_format.dumps(found, indent=1))
        return
    size = f"{width}x{height}, {frames} frames, {encode}"
    print(f"{size}: null {found['null']:.1f}, gesso=identity {found['identity']:.1f} frames/s")
    print(f"ratio {found['ratio']:.3f}")


def compare(
    width: int, height: int, frames: int, repeats: int, encode: list[str]
) -> dict[str, Any]:
    """Frames per second of both filters, and their ratio.

    Raises:
        GessoError: ffmpeg failed.
    """
    from ffmpeg_gesso.binary import binary
    from ffmpeg_gesso.planning import plan
    from ffmpeg_gesso.running import Run

    program = binary()
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        clip = str(Path(folder) / "clip.mkv")
        source = f"testsrc2=s={width}x{height}:r=30"
        made = ["-f", "lavfi", "-i", source, "-frames:v", str(frames), "-pix_fmt", "yuv420p"]
        coded = ["-c:v", "mpeg4", "-q:v", "4"]
        _timed(lambda: subprocess.call([program, *QUIET, *made, *coded, clip]))
        out = "-" if "null" in encode else str(Path(folder) / "out.mkv")

        def command(filters: str) -> list[str]:
            return [*QUIET, "-i", clip, "-vf", filters, *encode, out]

        ways: dict[str, Callable[[], int]] = {
            "null": lambda: subprocess.call([program, *command("null")]),
            "identity": lambda: Run(plan(command("gesso=identity"), program))(),
        }
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(repeats):
            for name, way in ways.items():
                best[name] = min(best[name], _timed(way))
    rates = {name: frames / seconds for name, seconds in best.items()}
    clip_of = {"width": width, "height": height, "frames": frames, "encode": encode}
    return {**clip_of, **rates, "ratio": rates["identity"] / rates["null"]}


def _timed(call: Callable[[], int]) -> float:
    began = time.monotonic()
    if code := call():
        raise GessoError(f"ffmpeg failed ({code})")
    return time.monotonic() - began
