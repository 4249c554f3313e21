"""`gesso bench flicker`: how steady enhanced video is, with one noise field and with many."""

from __future__ import annotations

import json as json_format
import math
import shlex
import tempfile
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ffmpeg_gesso.clips import code, frame_metrics, pictures, probe, told
from ffmpeg_gesso.showing import Tick, finite, frame_bar, number
from gesso.errors import GessoError, InputError

if TYPE_CHECKING:
    from torch import Tensor

    from ffmpeg_gesso.pixels import Raw
    from ffmpeg_gesso.wishes import Wish

__all__ = ["flicker", "measure"]

METRICS = ("psnr", "lpips")
SEEDS = 2**64
COLUMNS = (
    ("flicker", "flicker", 3),
    ("flicker_ratio", "ratio", 2),
    ("warped_error", "warped error", 3),
    ("psnr", "PSNR", 2),
    ("lpips", "LPIPS", 4),
)


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

    followed is what gesso ffmpeg does: noise goes along with what moves. fixed has one noise
    field in every frame, fresh another one in each.
    Flicker is the mean absolute change from frame to frame where the source stands still,
    the warped error that between each frame and the next one, brought back along the optical
    flow of the source; both in samples, 255 is white.
    """
    with frame_bar() as tick:
        found = measure(clip, shlex.split(encode), node, frames, tick)
    if json:
        print(json_format.dumps(finite(found), indent=1))
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
    from ffmpeg_gesso.motion import check_library
    from ffmpeg_gesso.steadiness import Motion, Tally

    check_library()
    wish = _wish(node, encode)
    raw, rate, pixels = probe(clip)
    metrics, skipped = frame_metrics(METRICS, raw) if encode else ([], {})
    tallies: dict[str, Tally] = {}
    scores: dict[tuple[str, str], list[float]] = {}
    before: dict[str, Tensor] = {}
    still: list[float] = []
    done = 0
    ways = _Ways(wish, raw)
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder, ExitStack() as stack:
        paths = [str(clip)]
        if encode:
            paths.append(str(Path(folder) / "coded.mp4"))
            # Timestamps play no part here, and some encoders take a constant rate only.
            steady = ("-vf", f"settb={1 / rate},setpts=N", "-pix_fmt", pixels)
            code(clip, frames, *steady, *encode, paths[-1])
        streams = [stack.enter_context(closing(pictures(p, frames, raw, pixels))) for p in paths]
        while moment := [each for stream in streams if (each := next(stream, None))]:
            if len(moment) < len(paths):
                raise GessoError(f"the encoder changed the number of frames, at frame {done}")
            shown = ways.shown(moment)
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
    how = {"encode": encode, "node": node, "still": _mean(still)}
    return {**about, **how, "rows": rows, "skipped": skipped}


def _wish(node: str, encode: list[str]) -> Wish:
    from ffmpeg_gesso.wishes import wish_of

    wish = wish_of(told(node, encode))
    if wish.mode != "enhance":
        raise InputError(f"flicker is that of gesso=enhance, not of {wish.mode}")
    return wish


class _Ways:
    """Every way to show the frames of a clip, in order."""

    def __init__(self, wish: Wish, raw: Raw) -> None:
        from ffmpeg_gesso.treatment import Model

        self._wish, self._raw, self._count = replace(wish, noise="fixed"), raw, 0
        self._fixed = Model(self._wish, raw)
        self._followed = Model(replace(wish, noise="followed"), raw)

    def shown(self, moment: list[Any]) -> dict[str, Tensor]:
        """What each way shows of the next frame, as RGB; the reference first."""
        coded = moment[-1]
        found = {"source": moment[0]} if len(moment) > 1 else {}
        found["plain"] = coded
        found["fixed"] = self._fixed.apply([coded])[0]
        found["followed"] = self._followed.apply([coded])[0]
        found["fresh"] = self._fresh(coded) if self._count else found["fixed"]
        self._count += 1
        return {name: self._raw.rgb([picture])[0] for name, picture in found.items()}

    def _fresh(self, coded: Any) -> Any:
        from ffmpeg_gesso.treatment import Model

        options = self._wish.enhance
        options = replace(options, seed=(options.seed + self._count) % SEEDS)
        return Model(replace(self._wish, enhance=options), self._raw).apply([coded])[0]


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("way")
    kept = [column for column in COLUMNS if column[0] in found["rows"][0]]
    for _, heading, _ in kept:
        table.add_column(heading, justify="right")
    for row in found["rows"]:
        values = [number(row[name], digits) for name, _, digits in kept]
        table.add_row(row["way"], *values)
    size = f"{found['width']}x{found['height']}, {found['frames']} frames"
    print(f"{found['clip']}: {size}, {100 * found['still']:.0f} % of pixels still")
    Console(highlight=False).print(table)
    for name, reason in found["skipped"].items():
        print(f"skipped {name}: {reason}")


def _mean(values: list[float] | None) -> float | None:
    return sum(values) / len(values) if values else None
