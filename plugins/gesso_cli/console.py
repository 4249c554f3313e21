"""What the command prints: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

__all__ = ["Tick", "answer", "answer_json", "bar", "live", "one_line", "say", "say_warnings"]

Tick = Callable[[int, int], None]
PIPED_WIDTH = 140  # a table in a file need not fit 80 columns


def one_line(text: object) -> str:
    """Text without line breaks or runs of spaces."""
    return " ".join(str(text).split())


def say(message: str) -> None:
    """One line on stderr."""
    print(f"gesso: {one_line(message)}", file=sys.stderr, flush=True)


def say_warnings() -> None:
    """From here on, in this process, what warns a user is one line, too."""
    others = warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UserWarning):
            say(f"warning: {message}")
        else:
            others(message, category, filename, lineno, file, line)

    warnings.showwarning = show


def answer() -> Console:
    """Where results go."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def answer_json(content: Any) -> None:
    """A JSON document on stdout; numbers that are not finite become null."""
    print(json.dumps(_finite(content), indent=1, allow_nan=False, default=str), flush=True)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def live() -> Progress:
    """A progress display on stderr; only on a terminal, gone when it ends."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def bar(label: str) -> Iterator[Tick]:
    """A progress bar that is told (done, total)."""
    with live() as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
