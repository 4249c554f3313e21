"""Video clips as the benchmarks see them: their frames as raw pictures, cut and coded."""

from __future__ import annotations

import subprocess
from collections.abc import Generator, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.errors import GessoError, InputError

if TYPE_CHECKING:
    from ffmpeg_gesso.pixels import Raw
    from gesso.evaluation.metrics import Metric

__all__ = ["code", "frame_metrics", "pictures", "probe", "told"]

QUIET = ("-v", "error", "-nostdin", "-y")


def probe(clip: Path) -> tuple[Raw, Fraction, str]:
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


def pictures(path: str, frames: int, raw: Raw, pixels: str) -> Generator[bytes, None, None]:
    """The first frames of a video, each as its samples; raises GessoError when ffmpeg fails."""
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


def code(clip: Path, frames: int, *options: str) -> None:
    """Write the first frames of a clip as options and a file's name say.

    Raises:
        GessoError: ffmpeg failed.
    """
    if code := subprocess.call(_command(str(clip), frames, *options)):
        raise GessoError(f"ffmpeg failed ({code})")


def _command(path: str, frames: int, *options: str) -> list[str]:
    from ffmpeg_gesso.binary import binary, pass_through

    program = binary()
    every = pass_through(program)[1][:2]
    begin = [program, *QUIET, "-noautorotate", "-i", path, "-map", "0:v:0"]
    return [*begin, "-frames:v", str(frames), *every, *options]


def frame_metrics(names: Iterable[str], raw: Raw) -> tuple[list[Metric], dict[str, str]]:
    """What compares such frames with their source, and why others cannot, by name."""
    from gesso.evaluation.metrics import get_metrics

    found, skipped = [], dict[str, str]()
    for metric in get_metrics(names):
        if said := metric.missing():
            skipped[metric.name] = said
        elif min(raw.width, raw.height) < metric.smallest:
            skipped[metric.name] = f"it needs sides of {metric.smallest} pixels or more"
        else:
            found.append(metric)
    return found, skipped


def told(node: str, encode: Sequence[str]) -> str:
    """A node of mode enhance, with the codec and quality that coded the clip where it says none.

    Args:
        node: its options, perhaps after ``gesso=``.
        encode: options of the encoder.
    """
    from ffmpeg_gesso.arguments import parse
    from ffmpeg_gesso.filtergraph import pairs
    from ffmpeg_gesso.wishes import DEFAULT_QUALITY, coding_of

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
    return text
