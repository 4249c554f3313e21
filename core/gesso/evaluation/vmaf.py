"""VMAF of stills and of video files, by libvmaf inside ffmpeg.

Z. Li, A. Aaron, I. Katsavounidis, A. Moorthy, M. Manohara, "Toward a practical perceptual
video quality metric", Netflix 2016; https://github.com/Netflix/vmaf. The models are built into
libvmaf: ``vmaf_v0.6.1`` for a 1080p screen at three times its height, and its variant "neg"
(no enhancement gain), which gives no credit for contrast and sharpness that the source lacks.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.errors import InputError
from gesso.programs import ProgramError, ffmpeg, run

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MODEL", "NEG_MODEL", "missing_vmaf", "vmaf", "vmaf_neg", "vmaf_of_videos"]

MODEL = "vmaf_v0.6.1"
NEG_MODEL = "vmaf_v0.6.1neg"
FILTER = "libvmaf"
QUIET = ("-v", "error", "-nostdin")
# VMAF looks at luma alone; ffmpeg's default matrix for RGB would be that of SD television
STILL = "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd,format=yuv420p"
# frame by frame in their order, whatever the timestamps; ten bits hold eight exactly
VIDEO = "scale=out_range=tv,format=yuv420p10le,settb=1/25,setpts=N"
LIMIT = 24 * 3600.0


def vmaf(reference: Tensor, picture: Tensor) -> Tensor:
    """VMAF v0.6.1 of (B, 3, H, W) stills in [0, 1] -> (B,), 0 to 100; about 97 when equal.

    Each pair is a video of one frame, in 8 bits, BT.709, limited range. Without gradient.
    """
    return _of_stills(reference, picture, MODEL)


def vmaf_neg(reference: Tensor, picture: Tensor) -> Tensor:
    """VMAF NEG v0.6.1, otherwise like :func:`vmaf`; sharpening does not raise it."""
    return _of_stills(reference, picture, NEG_MODEL)


def missing_vmaf() -> str | None:
    """Why VMAF cannot be had here, with the mend; None when it can."""
    try:
        ffmpeg(FILTER)
    except InputError as error:
        return str(error)
    return None


def vmaf_of_videos(
    reference: str | os.PathLike[str], distorted: str | os.PathLike[str], model: str = MODEL
) -> float:
    """The mean VMAF over the frames of a video file's first picture stream.

    Args:
        reference, distorted: anything ffmpeg reads; same size, same number of frames, compared
            frame by frame in their order.
        model: :data:`MODEL` or :data:`NEG_MODEL`.

    Raises:
        InputError: a file that is not there or is no video, sizes or numbers of frames that
            differ, or no ffmpeg with libvmaf.
    """
    program = ffmpeg(FILTER)
    facts = []
    for path in (reference, distorted):
        if not Path(path).is_file():
            raise InputError(f"there is no video {path}")
        try:
            facts.append(f"{_size(program, path)}, {_frames(program, path)} frames")
        except ProgramError as error:
            raise InputError(f"{path} cannot be read as a video: {error}") from error
    if facts[0] != facts[1]:
        raise InputError(
            f"VMAF needs videos of one size and length; {reference} is {facts[0]}, "
            f"{distorted} is {facts[1]}"
        )
    inputs = [*_input(distorted), *_input(reference)]
    return _score(program, inputs, VIDEO, model, os.cpu_count() or 1)


def _input(path: str | os.PathLike[str]) -> list[str]:
    # "file:" keeps names with a colon from being taken for a protocol
    return ["-i", f"file:{os.fspath(path)}"]


def _frames(program: str, path: str | os.PathLike[str]) -> int:
    """How many frames the first picture stream has, counted without decoding."""
    count = ["-map", "0:v:0", "-c", "copy", "-f", "null", "-progress", "-", "-nostats", os.devnull]
    said = run([program, *QUIET, *_input(path), *count], limit=LIMIT).decode()
    return int([line[6:] for line in said.splitlines() if line.startswith("frame=")][-1])


def _size(program: str, path: str | os.PathLike[str]) -> str:
    """Width x height as a filter sees them, by the header of one frame."""
    frame = ["-map", "0:v:0", "-frames:v", "1", "-pix_fmt", "gray", "-f", "yuv4mpegpipe", "-"]
    data = run([program, *QUIET, *_input(path), *frame], limit=LIMIT)
    _, width, height, *_ = data.split(b"\n", 1)[0].decode().split()
    return f"{width[1:]} x {height[1:]}"


def _of_stills(reference: Tensor, picture: Tensor, model: str) -> Tensor:
    import torch

    program = ffmpeg(FILTER)
    scores = []
    for one, two in zip(reference, picture, strict=True):
        height, width = one.shape[1:]
        raw = ["-f", "rawvideo", "-pixel_format", "rgb24", "-video_size", f"{width}x{height}"]
        with _rgb(one) as first, _rgb(two) as second:
            inputs = [*raw, *_input(second), *raw, *_input(first)]
            scores.append(_score(program, inputs, STILL, model, 1))
    return torch.tensor(scores, device=picture.device)


@contextmanager
def _rgb(picture: Tensor) -> Iterator[Path]:
    """A temporary file of one (3, H, W) picture, 8 bits, R, G and B side by side."""
    data = picture.detach().mul(255).round().clamp(0, 255).byte().permute(1, 2, 0)
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        path = Path(folder) / "picture.rgb"
        path.write_bytes(data.cpu().contiguous().numpy().tobytes())
        yield path


def _score(program: str, inputs: list[str], prepare: str, model: str, threads: int) -> float:
    """The pooled mean; the distorted video is the first input, the reference the second."""
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        log = Path(folder) / "vmaf.json"
        settings = f"model=version={model}:n_threads={threads}:log_fmt=json"
        graph = (
            f"[0:v:0]{prepare}[distorted];[1:v:0]{prepare}[reference];"
            f"[distorted][reference]{FILTER}={settings}:log_path={_escaped(log)}"
        )
        try:
            run([program, *QUIET, *inputs, "-lavfi", graph, "-f", "null", os.devnull], limit=LIMIT)
        except ProgramError as error:
            raise InputError(f"VMAF cannot compare these two: {error}") from error
        return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


def _escaped(path: Path) -> str:
    """A path as ffmpeg's filter graphs want it: escaped for the option, then for the graph."""
    text = str(path)
    for special in ("\\':", "\\'[],;"):
        text = "".join(f"\\{letter}" if letter in special else letter for letter in text)
    return text
