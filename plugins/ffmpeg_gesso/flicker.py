"""`gesso bench flicker`: how steady enhanced video is, with one noise field and with many."""

from __future__ import annotations

import json as json_format
import math
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import GessoError, InputError

if TYPE_CHECKING:
    from torch import Tensor

    from ffmpeg_gesso.pixels import Raw
    from ffmpeg_gesso.wishes import Wish
    from gesso.evaluation.metrics import Metric

__all__ = ["flicker", "measure"]

QUIET = ("-v", "error", "-nostdin", "-y")
METRICS = ("psnr", "lpips")
SEEDS = 2**64
COLUMNS = (
    ("flicker", "flicker", 3),
    ("flicker_ratio", "ratio", 2),
    ("warped_error", "warped error", 3),
    ("psnr", "PSNR", 2),
    ("lpips", "LPIPS", 4),
)

Tick = Callable[[int, int], None]


def flicker(
    clip: Annotated[Path, typer.Argument(help="A video; its first video stream is taken.")],
    encode: Annotated[
        str,
        typer.Option(help="What codes it first; '' takes the clip as it is, without a source."),
    ] = "-c:v libx264 -crf 28",
    node: Annotated[
        str, typer.Option(help="Options of the gesso node; codec and crf are the encoder's.")
    ] = "enhance=fast",
    frames: Annotated[int, typer.Option(min=2, help="From the beginning, at most.")] = 30,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document on stdout.")] = False,
) -> None:
    """Print how steady a clip is when enhanced, beside its source and its decode.

    fixed has one noise field in every frame, as gesso ffmpeg has it, fresh another one in each.
    Flicker is the mean absolute change from frame to frame where the source stands still,
    the warped error that between each frame and the next one, brought back along the optical
    flow of the source; both in samples, 255 is white.
    """
    with _bar() as tick:
        found = measure(clip, shlex.split(encode), node, frames, tick)
    if json:
        print(json_format.dumps(_finite(found), indent=1))
    else:
        _print(found)


def measure(
    clip: Path, encode: list[str], node: str, frames: int, tick: Tick = lambda done, total: None
) -> dict[str, Any]:
    """Flicker and warped error of every way to show a clip.

    Args:
        clip: a video.
        encode: options of an encoder; none takes the clip as what was decoded.
        node: of mode enhance.
        frames: that are looked at, 2 or more.
        tick: called with (done, total) frames.

    Raises:
        InputError: a clip, node or encoder that cannot be used.
        GessoError: ffmpeg failed.
    """
    from ffmpeg_gesso.steadiness import Motion, Tally, flow_library

    library, wish = flow_library(), _wish(node, encode)
    raw, rate, pixels = _probe(clip)
    metrics, skipped = _metrics(raw) if encode else ([], {})
    tallies: dict[str, Tally] = {}
    scores: dict[tuple[str, str], list[float]] = {}
    before: dict[str, Tensor] = {}
    still: list[float] = []
    done = 0
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder, ExitStack() as stack:
        paths = [str(clip)]
        if encode:
            paths.append(str(Path(folder) / "coded.mp4"))
            # Timestamps play no part here, and some encoders take a constant rate only.
            steady = ("-vf", f"settb={1 / rate},setpts=N", "-pix_fmt", pixels)
            _run(clip, frames, *steady, *encode, paths[-1])
        streams = [stack.enter_context(closing(_pictures(p, frames, raw, pixels))) for p in paths]
        while pictures := [each for stream in streams if (each := next(stream, None))]:
            if len(pictures) < len(paths):
                raise GessoError(f"the encoder changed the number of frames, at frame {done}")
            shown = _shown(pictures, wish, raw, done)
            reference = next(iter(shown.values()))
            for name, frame in list(shown.items())[len(paths) - 1 :]:
                for metric in metrics:
                    value = float(metric(reference[None], frame[None]))
                    scores.setdefault((name, metric.name), []).append(value)
            if before:
                motion = Motion.between(next(iter(before.values())), reference)
                still.append(float(motion.still.float().mean()))
                for name, frame in shown.items():
                    tallies.setdefault(name, Tally()).add(before[name], frame, motion)
            before, done = shown, done + 1
            tick(done, frames)
    if not tallies:
        raise InputError(f"{clip} has {done} frames; name a clip of two or more")
    base = next(iter(tallies.values())).flicker
    rows: list[dict[str, Any]] = [
        {
            "way": name,
            "flicker": tally.flicker,
            "flicker_ratio": tally.flicker / base if base else math.nan,
            "warped_error": tally.warped_error,
            **{metric.name: _mean(scores.get((name, metric.name))) for metric in metrics},
        }
        for name, tally in tallies.items()
    ]
    about = {"clip": clip.name, "width": raw.width, "height": raw.height, "frames": done}
    ways = {"encode": encode, "node": node, "flow": library, "still": _mean(still)}
    return {**about, **ways, "rows": rows, "skipped": skipped}


def _metrics(raw: Raw) -> tuple[list[Metric], dict[str, str]]:
    """What compares frames with their source, and why the others cannot."""
    from gesso.evaluation.metrics import METRICS as KNOWN

    found, skipped = [], {}
    for metric in (KNOWN[name] for name in METRICS):
        if said := metric.missing():
            skipped[metric.name] = said
        elif min(raw.width, raw.height) < metric.smallest:
            skipped[metric.name] = f"it needs sides of {metric.smallest} pixels or more"
        else:
            found.append(metric)
    return found, skipped


def _shown(pictures: list[Any], wish: Wish, raw: Raw, number: int) -> dict[str, Tensor]:
    """What each way shows of a frame, as RGB; the reference first."""
    from ffmpeg_gesso.treatment import Model

    coded = pictures[-1]
    options = wish.enhance
    fresh = replace(wish, enhance=replace(options, seed=(options.seed + number) % SEEDS))
    found = {"source": pictures[0]} if len(pictures) > 1 else {}
    found["plain"] = coded
    found["fixed"] = Model(wish, raw).apply([coded])[0]
    found["fresh"] = Model(fresh, raw).apply([coded])[0] if number else found["fixed"]
    return {name: raw.rgb([picture])[0] for name, picture in found.items()}


def _wish(node: str, encode: list[str]) -> Wish:
    """The node, told of what codes the clip where it does not say itself."""
    from ffmpeg_gesso.arguments import parse
    from ffmpeg_gesso.filtergraph import pairs
    from ffmpeg_gesso.wishes import DEFAULT_QUALITY, coding_of, wish_of

    text = node.removeprefix("gesso=")
    given = {key for key, _ in pairs(text)}
    coding = coding_of(parse(encode), None)
    quality = coding.quality
    if coding.encoder and "codec" not in given:
        if quality is None and not coding.by_rate:
            quality = DEFAULT_QUALITY.get(coding.encoder)
        text += f":codec={coding.encoder}"
        if quality is not None and not given & {"quality", "crf", "qp"}:
            text += f":quality={quality:g}"
    wish = wish_of(text)
    if wish.mode != "enhance":
        raise InputError(f"flicker is that of gesso=enhance, not of {wish.mode}")
    return wish


def _probe(clip: Path) -> tuple[Raw, Fraction, str]:
    """What the frames of a clip share, their rate, and the pixel format to take them in.

    Raises:
        InputError: it is no video.
    """
    try:
        import av
    except ImportError as error:
        raise InputError("PyAV is not installed; pip install 'gesso[ffmpeg]'") from error
    from ffmpeg_gesso.layouts import FORMATS
    from ffmpeg_gesso.pixels import Raw

    try:
        with av.open(str(clip)) as container:
            [stream, *_] = container.streams.video
            coded = stream.codec_context
            pixels, full = coded.pix_fmt or "", int(coded.color_range) == 2
            size, matrix = (coded.width, coded.height), int(coded.colorspace)
            rate = stream.average_rate or Fraction(25)
    except (OSError, ValueError, av.error.FFmpegError) as error:
        raise InputError(f"cannot read {clip}: {error}; name a video") from error
    full = full or pixels.startswith("yuvj")
    pixels = pixels if pixels in FORMATS else "yuv420p"
    return Raw(FORMATS[pixels], *size, matrix, full), rate, pixels


def _pictures(path: str, frames: int, raw: Raw, pixels: str) -> Generator[bytes, None, None]:
    command = _command(path, frames, "-pix_fmt", pixels, "-f", "rawvideo", "pipe:1")
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            while len(picture := process.stdout.read(raw.size)) == raw.size:
                yield picture
            if code := process.wait():
                raise GessoError(f"ffmpeg failed ({code})")
        finally:
            process.kill()


def _run(clip: Path, frames: int, *options: str) -> None:
    if code := subprocess.call(_command(str(clip), frames, *options)):
        raise GessoError(f"ffmpeg failed ({code})")


def _command(path: str, frames: int, *options: str) -> list[str]:
    from ffmpeg_gesso.binary import binary, pass_through

    program = binary()
    every = pass_through(program)[1][:2]
    begin = [program, *QUIET, "-noautorotate", "-i", path, "-map", "0:v:0"]
    return [*begin, "-frames:v", str(frames), *every, *options]


@contextmanager
def _bar() -> Iterator[Tick]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("frames", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("way")
    kept = [column for column in COLUMNS if column[0] in found["rows"][0]]
    for _, heading, _ in kept:
        table.add_column(heading, justify="right")
    for row in found["rows"]:
        values = [_number(row[name], digits) for name, _, digits in kept]
        table.add_row(row["way"], *values)
    size = f"{found['width']}x{found['height']}, {found['frames']} frames"
    print(f"{found['clip']}: {size}, {100 * found['still']:.0f} % of pixels still")
    Console(highlight=False).print(table)
    for name, reason in found["skipped"].items():
        print(f"skipped {name}: {reason}")


def _mean(values: list[float] | None) -> float | None:
    return sum(values) / len(values) if values else None


def _number(value: float | None, digits: int) -> str:
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _finite(value: Any) -> Any:
    """What JSON has no number for becomes null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
