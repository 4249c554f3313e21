"""The plug-in that ffmpeg loads: found, or compiled from its source on first use."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from gesso.errors import InputError

__all__ = ["MEND", "NAME", "SOURCE", "VARIABLE", "built", "environment"]

NAME = "gesso"
SOURCE = Path(__file__).with_name("gesso.c")
VARIABLE = "GESSO_FREI0R"  # names a plug-in that is built already
COMPILERS = ("cc", "gcc", "clang")
LIMIT = 120.0  # seconds to compile
SUFFIX = ".dylib" if sys.platform == "darwin" else ".so"
MEND = "take the exact route, which needs no plug-in: leave --route frei0r out"


def built(folder: Path) -> None:
    """Put the plug-in into a folder, under the name that ffmpeg looks for.

    It is the file that GESSO_FREI0R names; else it is compiled with $CC, cc, gcc or clang and
    kept in ``$XDG_CACHE_HOME/gesso/frei0r`` (``~/.cache/gesso/frei0r``), where that can be.

    Args:
        folder: private, and there.

    Raises:
        InputError: there is neither a plug-in nor a compiler.
    """
    place = folder / f"{NAME}{SUFFIX}"
    if given := os.environ.get(VARIABLE):
        if not Path(given).is_file():
            raise InputError(f"{VARIABLE} names {given}, which is no file; unset it, or {MEND}")
        place.symlink_to(Path(given).resolve())
        return
    kept = _cache()
    if kept is None:
        _compile(place)
        return
    text = SOURCE.read_bytes() + f"{sys.platform} {platform.machine()}".encode()
    file = kept / f"{hashlib.sha256(text).hexdigest()[:16]}{SUFFIX}"
    if not file.is_file():
        _compile(file)
    place.symlink_to(file)


def environment(folder: Path, socket: Path) -> dict[str, str]:
    """The variables with which ffmpeg finds the plug-in, before those of the user, and us."""
    places = [str(folder), *filter(None, [os.environ.get("FREI0R_PATH")])]
    return {**os.environ, "FREI0R_PATH": os.pathsep.join(places), "GESSO_SOCKET": str(socket)}


def _cache() -> Path | None:
    """A folder of the user's alone; None where there can be none."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    place = Path(base).expanduser() / "gesso" / "frei0r"
    try:
        place.mkdir(0o700, parents=True, exist_ok=True)
        about = place.stat()
    except OSError:
        return None
    # Nobody else may put code there that ffmpeg runs.
    mine = about.st_uid == os.getuid() and not about.st_mode & 0o022
    return place if mine and os.access(place, os.W_OK) else None


def _compile(file: Path) -> None:
    """Compile the source into a file, which is there whole or not at all."""
    number, name = tempfile.mkstemp(suffix=SUFFIX, dir=file.parent)
    os.close(number)
    made = Path(name)
    command = [*_compiler(), "-O2", "-shared", "-fPIC", "-o", str(made), str(SOURCE)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
        if done.returncode:
            said = " / ".join(done.stderr.strip().splitlines()[:3])
            raise InputError(f"{command[0]} cannot compile {SOURCE.name}: {said}; {MEND}")
        made.replace(file)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{command[0]} cannot be run: {error}; {MEND}") from error
    finally:
        with suppress(FileNotFoundError):
            made.unlink()


def _compiler() -> list[str]:
    if words := shlex.split(os.environ.get("CC", "")):
        return words
    for name in COMPILERS:
        if path := shutil.which(name):
            return [path]
    raise InputError(
        "--route frei0r needs a C compiler once; install one (such as gcc), name a plug-in that "
        f"is built already in {VARIABLE}, or {MEND}"
    )
