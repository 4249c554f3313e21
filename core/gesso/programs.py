"""Programs of others that gesso runs when they are there: found, asked, run with a limit."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from gesso.errors import GessoError, InputError

__all__ = ["ProgramError", "ffmpeg", "program", "run"]

LIMIT = 600.0  # seconds; nothing that codes one picture may take longer
FFMPEG_MEND = "install ffmpeg, or run: pip install 'gesso[ffmpeg]'"


class ProgramError(GessoError, RuntimeError):
    """A program of others failed; the message ends with what it said last."""


def program(name: str, mend: str) -> str:
    """The path of a program; InputError with ``mend`` where it is not installed."""
    path = shutil.which(name)
    if path is None:
        raise InputError(f"{name} is not installed; {mend}")
    return path


def run(command: Sequence[str | Path], data: bytes = b"", limit: float = LIMIT) -> bytes:
    """Feed ``data`` to a program and return what it prints on stdout.

    Raises:
        ProgramError: it failed or took longer than ``limit`` seconds.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(word) for word in command], input=data, capture_output=True, timeout=limit
        )
    except subprocess.TimeoutExpired as error:
        raise ProgramError(f"{name} took longer than {limit:g} s") from error
    except OSError as error:
        raise ProgramError(f"{name} cannot be run: {error}") from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ProgramError(f"{name} failed ({done.returncode}): {' / '.join(said[-3:])}")
    return done.stdout


def ffmpeg(*needs: str) -> str:
    """The first ffmpeg that has every encoder and filter in ``needs``.

    The user's own comes first, then the one that the package imageio-ffmpeg carries.

    Raises:
        InputError: there is none, or none has them.
    """
    candidates = _ffmpegs()
    for path in candidates:
        if not set(needs) - _features(path):
            return path
    if not candidates:
        raise InputError(f"ffmpeg is not installed; {FFMPEG_MEND}")
    raise InputError(f"no ffmpeg here has {', '.join(needs)}; {FFMPEG_MEND}")


def _ffmpegs() -> list[str]:
    found = [path] if (path := shutil.which("ffmpeg")) else []
    try:
        # Optional: which codecs and filters there are depends on it, never whether we start.
        from importlib import import_module

        found.append(str(import_module("imageio_ffmpeg").get_ffmpeg_exe()))
    except (ImportError, RuntimeError):  # it raises RuntimeError where it carries no binary
        pass
    return found


@cache
def _features(path: str) -> frozenset[str]:
    """Names of the encoders and filters of one binary."""
    names: set[str] = set()
    for listing in ("-encoders", "-filters"):
        text = run([path, "-hide_banner", listing]).decode("utf-8", "replace")
        names |= {words[1] for line in text.splitlines() if len(words := line.split()) > 2}
    return frozenset(names)
