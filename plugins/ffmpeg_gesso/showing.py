"""What the benchmarks show: a bar of frames, numbers in tables and in JSON."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Tick", "finite", "frame_bar", "number"]

Tick = Callable[[int, int], None]


@contextmanager
def frame_bar() -> Iterator[Tick]:
    """A progress bar that is told (done, total)."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("frames", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def number(value: float | None, digits: int) -> str:
    """With so many decimals; empty where there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def finite(value: Any) -> Any:
    """What JSON has no number for becomes null."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else None
