"""Programs of others are found, run with a limit, and fail with what they said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gesso import programs
from gesso.errors import InputError
from gesso.programs import ProgramError, ffmpeg, program, run


def test_a_missing_program_names_the_mend() -> None:
    with pytest.raises(InputError, match=r"no-such-program is not installed; apt install it"):
        program("no-such-program", "apt install it")


def test_input_goes_in_and_output_comes_back() -> None:
    copy = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])"
    assert run([sys.executable, "-c", copy], b"abc") == b"cba"


def test_a_failure_ends_with_what_the_program_said_last() -> None:
    script = "import sys; print(*range(9), sep='\\n', file=sys.stderr); sys.exit(3)"
    with pytest.raises(ProgramError, match=r"python.* failed \(3\): 6 / 7 / 8$"):
        run([sys.executable, "-c", script])


def test_a_program_that_hangs_is_stopped() -> None:
    with pytest.raises(ProgramError, match=r"took longer than 0\.2 s"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], limit=0.2)


def test_what_is_no_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="cannot be run"):
        run([tmp_path])


def fake(folder: Path, name: str, encoder: str) -> str:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho ' V....D {encoder} an encoder'\n")
    path.chmod(0o755)
    return str(path)


def test_the_first_ffmpeg_that_has_what_is_needed_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = fake(tmp_path, "one", "libx265"), fake(tmp_path, "two", "libvvenc")
    monkeypatch.setattr(programs, "_ffmpegs", lambda: [first, second])
    assert ffmpeg() == ffmpeg("libx265") == first
    assert ffmpeg("libvvenc") == second
    with pytest.raises(InputError, match="no ffmpeg here has libx265, libvvenc; install ffmpeg"):
        ffmpeg("libx265", "libvvenc")
    monkeypatch.setattr(programs, "_ffmpegs", lambda: [])
    with pytest.raises(InputError, match="ffmpeg is not installed; install ffmpeg"):
        ffmpeg("libx265")


def test_the_users_own_ffmpeg_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = fake(tmp_path, "ffmpeg", "libx265")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ffmpeg("libx265") == own
