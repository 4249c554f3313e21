"""`gesso bench ffmpeg` measures every way over the same frames."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ffmpeg_gesso.frei0r.building import COMPILERS
from gesso.errors import InputError
from gesso.programs import ffmpeg
from gesso_cli.app import build

pytest.importorskip("av")
SMALL = ("bench", "ffmpeg", "--frames", "5", "--repeats", "1")


@pytest.fixture(autouse=True)
def binary() -> str:
    try:
        return ffmpeg()
    except InputError as error:
        pytest.skip(str(error))


def test_every_way_has_a_rate_and_a_ratio() -> None:
    # Long enough for memory to be looked at more than once.
    arguments = [*SMALL, "--frames", "200", "--width", "64", "--height", "48", "--json"]
    result = CliRunner().invoke(build(), arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["clip"], found["width"], found["height"], found["frames"]) == (None, 64, 48, 200)
    assert found["ratio"] == pytest.approx(found["identity"] / found["null"])
    assert found["pipe_ratio"] == pytest.approx(found["pipe"] / found["null"])
    if sys.platform == "linux":
        assert set(found["memory_mb"]) <= {"ffmpeg before", "gesso", "ffmpeg after"}
        assert all(1 < peak < 1e5 for peak in found["memory_mb"].values())


def test_the_route_through_one_ffmpeg() -> None:
    if not any(map(shutil.which, COMPILERS)):
        pytest.skip("needs a C compiler")
    try:
        ffmpeg("frei0r")
    except InputError as error:
        pytest.skip(str(error))
    result = CliRunner().invoke(build(), [*SMALL, "--frames", "50", "--route", "frei0r", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["identity"] > 0
    if sys.platform == "linux":
        assert set(found["memory_mb"]) == {"gesso", "ffmpeg"}


def test_a_route_that_there_is_not() -> None:
    result = CliRunner().invoke(build(), [*SMALL, "--route", "short"])
    assert result.exit_code == 1
    assert "there is no route 'short'" in result.output


def test_a_clip_of_the_users_is_measured(binary: str, tmp_path: Path) -> None:
    clip = tmp_path / "three.mkv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=32x16:r=5", "-frames:v", "3", "-c:v", "ffv1"]
    subprocess.run([binary, "-v", "error", "-nostdin", *source, str(clip)], check=True)
    result = CliRunner().invoke(build(), [*SMALL, "--clip", str(clip), "--encode", "-c:v mpeg4"])
    assert result.exit_code == 0, result.output
    assert "32x16, 3 frames, -c:v mpeg4: null " in result.stdout
    assert "the pipe's: " in result.stdout


def test_a_clip_that_is_none(tmp_path: Path) -> None:
    clip = tmp_path / "no.mkv"
    clip.write_bytes(b"nothing")
    result = CliRunner().invoke(build(), [*SMALL, "--clip", str(clip)])
    assert result.exit_code == 1
    assert "ffmpeg failed" in result.output
