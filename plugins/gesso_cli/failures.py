"""Errors as one line on stderr, and exit codes: 0 done, 1 failed, 2 usage, 130 Ctrl-C."""

from __future__ import annotations

import errno
import os
import re
import sys
import traceback
from collections.abc import Callable

import typer

from gesso.errors import GessoError
from gesso_cli.console import one_line, say

__all__ = ["INTERRUPTED", "describe", "guarded", "show_traceback"]

FAILED, USAGE, INTERRUPTED = 1, 2, 130
# The core names arguments, as in "pass sigma="; here they are options of the same names.
ARGUMENT = re.compile(r"\b([a-z]+)=(?=[\s,;.]|$)")
MENDS = {
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EACCES: "change its permissions or choose another place",
    errno.EPERM: "change its permissions or choose another place",
    errno.EROFS: "choose another place",
    errno.ENOSPC: "free some space or choose another place",
    errno.EDQUOT: "free some space or choose another place",
}


def guarded(call: Callable[[], object]) -> int:
    """The exit code of a command; what it raises becomes one line on stderr."""
    try:
        value = call()
        code = value if isinstance(value, int) else 0
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except typer.Exit as stop:
        code = stop.exit_code
    except BrokenPipeError:
        # Nobody reads any more; the interpreter's last flush must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        show_traceback()
        say(describe(error))
        return USAGE if _is_usage(error) else FAILED
    if code == INTERRUPTED:
        say("interrupted")
    return code


def show_traceback() -> None:
    """The traceback of the error in hand, where GESSO_DEBUG asks for it."""
    if os.environ.get("GESSO_DEBUG", "0") not in ("", "0"):
        traceback.print_exc()


def describe(error: Exception) -> str:
    """One line that names what is wrong and the mend."""
    if _is_usage(error):
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "gesso"
        format_message = getattr(error, "format_message", error.__str__)
        said = one_line(format_message()).rstrip(".")
        return f"{said}; see {command} --help"
    if isinstance(error, GessoError):
        return ARGUMENT.sub(r"--\1", one_line(error))
    if isinstance(error, ModuleNotFoundError):
        return f"needs the package {error.name}; run: pip install 'gesso[all]'"
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return "out of memory; pass a smaller --tile or a smaller picture"
    if type(error).__name__ == "OutOfMemoryError":  # torch's own, not imported for its name
        return "out of memory on the device; pass a smaller --tile or --device cpu"
    if isinstance(error, OSError) and error.strerror:
        named = (error.filename, error.filename2)
        names = [os.fsdecode(n) if isinstance(n, bytes) else str(n) for n in named if n is not None]
        where = " to ".join(names) or "a file"
        return f"{where}: {error.strerror}; {MENDS.get(error.errno or 0, 'try another place')}"
    return (
        f"{type(error).__name__}: {one_line(error)}; "
        "this is a mistake in gesso: report it with the traceback that GESSO_DEBUG=1 shows"
    )


def _is_usage(error: Exception) -> bool:
    # click's, whether typer brings its own copy of click or imports it
    return hasattr(error, "format_message")
