"""`gesso bench ffmpeg`: what the way through gesso costs, without a model."""

from __future__ import annotations

import json as json_format
import os
import shlex
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ffmpeg_gesso.flicker import flicker
from ffmpeg_gesso.video import video
from gesso.errors import GessoError

if TYPE_CHECKING:
    from ffmpeg_gesso.running import Run

__all__ = ["add", "compare"]

GROUP = "bench"
QUIET_INPUT = ["-v", "error", "-y"]
QUIET = [*QUIET_INPUT, "-nostdin"]
WAYS = {"null": "null", "pipe": "pipe", "identity": "gesso=identity"}
PROCESSES = {
    "exact": ("ffmpeg before", "gesso", "ffmpeg after"),
    "frei0r": ("gesso", "ffmpeg"),
}


def add(app: typer.Typer) -> None:
    """Add the commands to the group ``bench`` of ``app``, which is made where there is none."""
    groups = {info.name: info.typer_instance for info in app.registered_groups}
    group = groups.get(GROUP)
    if group is None:
        group = typer.Typer(help="What gesso costs in memory and time.")
        group.callback()(lambda: None)
        app.add_typer(group, name=GROUP)
    group.command("ffmpeg")(bench)
    group.command("flicker")(flicker)
    group.command("video")(video)


def bench(
    clip: Annotated[
        Path | None, typer.Option(help="A video instead of a made one, from its beginning.")
    ] = None,
    width: Annotated[int, typer.Option(min=16, max=16384, help="Of a made clip.")] = 1920,
    height: Annotated[int, typer.Option(min=16, max=16384, help="Of a made clip.")] = 1080,
    frames: Annotated[int, typer.Option(min=1, help="In the clip.")] = 300,
    repeats: Annotated[
        int, typer.Option(min=1, help="Times of which the shortest counts, in turn.")
    ] = 3,
    encode: Annotated[
        str, typer.Option(help="Options of the output; nothing is coded if not given.")
    ] = "-f null",
    route: Annotated[
        str, typer.Option(help="exact or frei0r; see `gesso ffmpeg --help`.")
    ] = "exact",
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document on stdout.")] = False,
) -> None:
    """Frames per second of gesso=identity beside ffmpeg's own filter null, and the ratio.

    The pipe is what two ffmpegs reach with raw frames between them and nothing else: about
    what can be reached at all on this way. Memory is the peak of each process.
    """
    found = compare(width, height, frames, repeats, shlex.split(encode), clip, route)
    if json:
        print(json_format.dumps(found, indent=1))
        return
    size = f"{found['width']}x{found['height']}, {found['frames']} frames, {encode}"
    rates = ", ".join(f"{label} {found[name]:.1f}" for name, label in WAYS.items())
    print(f"{size}: {rates} frames/s")
    print(f"ratio to null: {found['ratio']:.3f}; the pipe's: {found['pipe_ratio']:.3f}")
    if memory := found["memory_mb"]:
        print("memory: " + ", ".join(f"{name} {peak:.0f} MB" for name, peak in memory.items()))


def compare(
    width: int,
    height: int,
    frames: int,
    repeats: int,
    encode: list[str],
    clip: Path | None = None,
    route: str = "exact",
) -> dict[str, Any]:
    """Frames per second of each way, and their ratios to the first.

    Args:
        width, height: of a made clip.
        frames: of the clip, at most.
        repeats: of which the shortest counts.
        encode: options of the output.
        clip: is taken instead of a made one.
        route: of the frames through gesso.

    Raises:
        GessoError: ffmpeg failed.
    """
    from ffmpeg_gesso.binary import binary
    from ffmpeg_gesso.routes import prepared

    program = binary()
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        taken = str(Path(folder) / "clip.mkv")
        count = ("-frames:v", str(frames), taken)
        if clip is None:
            made = ["-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:r=30", "-pix_fmt", "yuv420p"]
            made += ["-c:v", "mpeg4", "-q:v", "4"]
        else:
            made = ["-i", str(clip), "-map", "0:v:0", "-c", "copy"]
        _timed(lambda: subprocess.call([program, *QUIET, *made, *count]))
        width, height, frames = _extent(taken)
        out = "-" if "null" in encode else str(Path(folder) / "out.mkv")

        def command(filters: str) -> list[str]:
            return [*QUIET, "-i", taken, "-vf", filters, *encode, out]

        def identity() -> int:
            ours = prepared(route, command("gesso=identity"))
            with ours as run, _watched(run, peaks, PROCESSES[route]):
                return run()

        ways: dict[str, Callable[[], int]] = {
            "null": lambda: subprocess.call([program, *command("null")]),
            "pipe": lambda: _pipe(program, taken, [*encode, out]),
            "identity": identity,
        }
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(repeats):
            for name, way in ways.items():
                best[name] = min(best[name], _timed(way))
    rates = {name: frames / seconds for name, seconds in best.items()}
    about = {"width": width, "height": height, "frames": frames, "encode": encode}
    ratios = {
        "ratio": rates["identity"] / rates["null"],
        "pipe_ratio": rates["pipe"] / rates["null"],
    }
    return {"clip": clip and clip.name, **about, **rates, **ratios, "memory_mb": peaks}


def _pipe(program: str, clip: str, after: list[str]) -> int:
    """Two ffmpegs with the pipe between them that gesso has, and nothing else."""
    from ffmpeg_gesso.running import pipe

    source, sink = pipe()
    try:
        before = ["-i", clip, "-c:v", "rawvideo", "-f", "nut", "pipe:1"]
        giving = subprocess.Popen([program, *QUIET, *before], stdout=sink)
        os.close(sink)
        reading = ["-probesize", "32", "-f", "nut", "-i", "pipe:0"]
        code = subprocess.call([program, *QUIET_INPUT, *reading, *after], stdin=source)
    finally:
        os.close(source)
    return giving.wait() or code


def _extent(clip: str) -> tuple[int, int, int]:
    """Width, height and number of frames."""
    import av

    with av.open(clip) as container:
        coded = container.streams.video[0].codec_context
        size = coded.width, coded.height
        return *size, sum(bool(packet.size) for packet in container.demux(video=0))


@contextmanager
def _watched(run: Run, peaks: dict[str, float], names: Sequence[str]) -> Iterator[None]:
    """Keep the peak memory in MB of gesso, before the last of ``names``, and of the ffmpegs."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            numbers = run.processes
            if len(numbers) == len(names) - 1:
                numbers.insert(len(numbers) - 1, os.getpid())
                for name, number in zip(names, numbers, strict=True):
                    if peak := _peak(number):
                        peaks[name] = max(peaks.get(name, 0), peak)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _peak(number: int) -> float | None:
    with suppress(OSError):
        for line in Path(f"/proc/{number}/status").read_text("ascii", "replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return None


def _timed(call: Callable[[], int]) -> float:
    began = time.monotonic()
    if code := call():
        raise GessoError(f"ffmpeg failed ({code})")
    return time.monotonic() - began
