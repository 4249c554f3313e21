"""`gesso bench video`: what a coded clip looks like at equal rate, plain and with gesso."""

from __future__ import annotations

import json as json_format
import shlex
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ffmpeg_gesso.clips import code, frame_metrics, pictures, probe, told
from ffmpeg_gesso.showing import Tick, finite, frame_bar, number
from gesso.errors import GessoError, InputError

if TYPE_CHECKING:
    from ffmpeg_gesso.pixels import Raw
    from gesso.evaluation.metrics import Metric

__all__ = ["measure", "video"]

PLAIN = "plain"
QUALITY = "{}"
QUIET = ("-y", "-v", "error", "-nostdin")


def video(
    clip: Annotated[Path, typer.Argument(help="A video; its first video stream is taken.")],
    encode: Annotated[
        str, typer.Option(help="Options of the encoder; {} stands for the quality.")
    ] = "-c:v libx264 -crf {}",
    qualities: Annotated[
        str, typer.Option(help="Best first; four or more give rates at equal quality.")
    ] = "22,27,32,37",
    node: Annotated[
        list[str] | None,
        typer.Option(
            help="Options of a gesso node, several times for several: enhance=... stands after "
            "the decoder, preprocess=... before the encoder. enhance=fast if not given."
        ),
    ] = None,
    metrics: Annotated[str, typer.Option(help="Names; see gesso metrics.")] = (
        "vmaf,psnr,lpips,dists"
    ),
    frames: Annotated[int, typer.Option(min=1, help="From the beginning, at most.")] = 30,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON document on stdout.")] = False,
) -> None:
    """Print rates and metrics of a clip as an encoder codes it, plainly and with gesso's nodes.

    Each quality is coded once, and once more for a preprocessor. Below stand the bits that each
    way needs beside the plain one at equal quality (BD-rate), and what it gains at equal bits.
    """
    wanted = [part.strip() for part in metrics.split(",") if part.strip()]
    with frame_bar() as tick:
        found = measure(
            clip, encode, _numbers(qualities), node or ["enhance=fast"], wanted, frames, tick
        )
    if json:
        print(json_format.dumps(finite(found), indent=1))
    else:
        _print(found)


def measure(
    clip: Path,
    encode: str,
    qualities: Sequence[float],
    nodes: Sequence[str],
    metrics: Sequence[str],
    frames: int,
    tick: Tick = lambda done, total: None,
) -> dict[str, Any]:
    """Rate and metrics of every way to code and show a clip, at every quality.

    Args:
        clip: a video.
        encode: options of an encoder, with ``{}`` for the quality.
        qualities: on the encoder's scale.
        nodes: options of gesso nodes of mode enhance or preprocess.
        metrics: names; see :data:`gesso.evaluation.metrics.METRICS`.
        frames: that are taken, at most.
        tick: called with (done, total) files that were measured.

    Raises:
        InputError: a clip, node, encoder or metric that cannot be used.
        GessoError: ffmpeg failed.
    """
    if QUALITY not in encode:
        raise InputError(f"--encode {encode!r} has no {QUALITY} for the quality, as in -crf {{}}")
    before = [node for node in nodes if _mode(node) == "preprocess"]
    raw, rate, pixels = probe(clip)
    able, skipped = frame_metrics(metrics, raw)
    rows: list[dict[str, Any]] = []
    count = 0
    total, ways = len(qualities) * (1 + len(nodes)), [PLAIN, *before]
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        source = Path(folder) / "source.mkv"
        # Some encoders take a constant rate only, and metrics go by the order of frames.
        steady = ("-vf", f"settb={1 / rate},setpts=N", "-pix_fmt", pixels)
        code(clip, frames, *steady, "-an", "-c:v", "ffv1", str(source))
        for quality in qualities:
            options = shlex.split(encode.replace(QUALITY, f"{quality:g}"))
            for way in ways:
                coded = Path(folder) / "coded.mp4"
                _through(source, "null" if way == PLAIN else f"gesso={way}", options, coded)
                bits, count = _size(coded)
                kbps = bits / count * float(rate) / 1000
                shown = {way: coded}
                if way == PLAIN:
                    shown |= _enhanced(coded, [n for n in nodes if n not in before], options)
                for name, file in shown.items():
                    values = _values(source, file, raw, pixels, able)
                    about = {"way": name, "quality": quality, "kbps": kbps}
                    rows.append({**about, **values})
                    tick(len(rows), total)
    order = [PLAIN, *nodes]
    rows.sort(key=lambda row: order.index(row["way"]))
    size = {"clip": clip.name, "width": raw.width, "height": raw.height, "frames": count}
    what = {"encode": encode, "qualities": list(qualities)}
    return {**size, **what, "rows": rows, "deltas": _deltas(rows, able), "skipped": skipped}


def _mode(node: str) -> str:
    mode = node.removeprefix("gesso=").partition(":")[0].partition("=")[0]
    if mode not in ("enhance", "preprocess"):
        raise InputError(f"--node begins with enhance or preprocess, got {node!r}")
    return mode


def _through(source: Path, filters: str, options: Sequence[str], out: Path) -> None:
    """A video through a filter and an encoder, as ``gesso ffmpeg`` does it."""
    from ffmpeg_gesso.binary import binary
    from ffmpeg_gesso.planning import plan
    from ffmpeg_gesso.running import Run

    words = [*QUIET, "-i", str(source), "-vf", filters, *options, str(out)]
    if exit_code := Run(plan(words, binary()))():
        raise GessoError(f"ffmpeg failed ({exit_code}): {shlex.join(words)}")


def _enhanced(coded: Path, nodes: Sequence[str], options: Sequence[str]) -> dict[str, Path]:
    """What each node makes of a coded video, without loss, by node."""
    found = {}
    for index, node in enumerate(nodes):
        out = coded.with_name(f"shown{index}.mkv")
        _through(coded, f"gesso={told(node, options)}", ("-c:v", "ffv1"), out)
        found[node] = out
    return found


def _size(coded: Path) -> tuple[int, int]:
    """(bits of the video's packets, how many there are)."""
    import av

    with av.open(str(coded)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    return 8 * sum(sizes), len(sizes)


def _values(
    source: Path, shown: Path, raw: Raw, pixels: str, metrics: Sequence[Metric]
) -> dict[str, float]:
    """The mean of each metric over the frames."""
    from gesso.evaluation.vmaf import MODEL, NEG_MODEL, vmaf_of_videos

    # libvmaf looks at whole videos; the others at frames.
    models = {"vmaf": MODEL, "vmaf_neg": NEG_MODEL}
    sums = {metric.name: 0.0 for metric in metrics}
    single = [metric for metric in metrics if metric.name not in models]
    count = 0
    for one, two in _pairs(source, shown, raw, pixels) if single else ():
        rgb = raw.rgb([one]), raw.rgb([two])
        count += 1
        for metric in single:
            sums[metric.name] += float(metric(*rgb))
    found = {name: value / max(1, count) for name, value in sums.items()}
    for name in sums.keys() & models.keys():
        found[name] = vmaf_of_videos(source, shown, models[name])
    return found


def _pairs(source: Path, shown: Path, raw: Raw, pixels: str) -> Iterator[tuple[bytes, bytes]]:
    every = 2**31 - 1
    with (
        closing(pictures(str(source), every, raw, pixels)) as first,
        closing(pictures(str(shown), every, raw, pixels)) as second,
    ):
        try:
            yield from zip(first, second, strict=True)
        except ValueError as error:
            raise GessoError("the encoder changed the number of frames") from error


def _deltas(rows: list[dict[str, Any]], metrics: Sequence[Metric]) -> list[dict[str, Any]]:
    """Each way beside the plain one: percent of bits at equal quality, quality at equal bits."""
    from gesso.evaluation.curves import delta

    curves: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        curves.setdefault(row["way"], []).append(row)
    found = []
    for way, curve in curves.items():
        for metric in metrics if way != PLAIN else ():
            first, second = (
                [(row["kbps"], row[metric.name]) for row in each] for each in (curves[PLAIN], curve)
            )
            between = delta(first, second, metric.lower_is_better)
            figures = {"rate": between.rate, "gain": between.metric, "note": between.note}
            found.append({"way": way, "metric": metric.name, **figures})
    return found


def _numbers(text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",") if part.strip()]
    except ValueError:
        found = []
    if not found:
        raise InputError(f"--qualities takes numbers, as 22,27,32,37; got {text!r}")
    return found


def _print(found: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from gesso.evaluation.metrics import METRICS

    names = [name for name in found["rows"][0] if name in METRICS]
    size = f"{found['width']}x{found['height']}, {found['frames']} frames"
    print(f"{found['clip']}: {size}, {found['encode']}")
    table = Table(box=None, pad_edge=False)
    for heading in ("way", "quality", "kbit/s", *(METRICS[name].label for name in names)):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for row in found["rows"]:
        cells = [number(row[name], METRICS[name].digits) for name in names]
        table.add_row(row["way"], f"{row['quality']:g}", f"{row['kbps']:.1f}", *cells)
    console = Console(highlight=False)
    console.print(table)
    for entry in found["deltas"]:
        metric = METRICS[entry["metric"]]
        gain = "" if entry["gain"] is None else f"{entry['gain']:+.{metric.digits}f} at equal bits"
        rate = "" if entry["rate"] is None else f"{entry['rate']:+.1f} % of the bits, "
        note = f" ({entry['note']})" if entry["note"] else ""
        console.print(f"{entry['way']}, {metric.label}: {rate}{gain}{note}")
    for name, reason in found["skipped"].items():
        print(f"skipped {name}: {reason}")
