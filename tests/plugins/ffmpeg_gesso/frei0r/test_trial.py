"""An ffmpeg shows what it can do before a run begins."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ffmpeg_gesso.frei0r.trial import HEIGHT, STEP, WIDTH, try_out
from gesso.errors import InputError


@pytest.fixture
def answer() -> Iterator[Callable[[str], int]]:
    """``answer(script)``: what the trial finds of an ffmpeg that is this shell script."""
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:

        def answer(script: str) -> int:
            program = Path(folder) / "ffmpeg"
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o700)
            try:
                return try_out(str(program), Path(folder))
            finally:
                (Path(folder) / "trial").unlink()

        yield answer


def test_a_picture_that_comes_back(answer: Callable[[str], int]) -> None:
    assert answer("cat") == 1


def test_a_picture_that_comes_askew(answer: Callable[[str], int]) -> None:
    assert answer(f"cat >/dev/null; head -c {WIDTH * HEIGHT * 4} /dev/zero") == STEP


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo 'Could not find module' >&2; exit 1", "Could not find module"),
        ("kill -SEGV $$", "it ended with -11"),
        ("cat >/dev/null", "it ended with 0"),
    ],
)
def test_an_ffmpeg_that_cannot_load_plug_ins(
    script: str, why: str, answer: Callable[[str], int]
) -> None:
    with pytest.raises(InputError, match=rf"cannot load frei0r plug-ins \({why}\); take the exact"):
        answer(script)
