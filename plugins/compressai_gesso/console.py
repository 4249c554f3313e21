"""What `gesso train hyperprior` prints: answers on stdout, everything else on stderr."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["answer_json", "asking", "say", "watching"]

Log = Callable[[dict[str, Any]], None]


def say(message: str) -> None:
    """One line on stderr."""
    print(f"gesso: {' '.join(message.split())}", file=sys.stderr, flush=True)


def answer_json(content: Any) -> None:
    """A JSON document on stdout."""
    print(json.dumps(content, indent=1), flush=True)


@contextmanager
def asking() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed since; pressed again, it stops at once."""
    pressed = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        say("stopping after this step; Ctrl-C again stops at once, without a checkpoint")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def watching(steps: int) -> Iterator[Log]:
    """A live bar on a terminal, and a line for every full record anywhere."""
    from rich.console import Console
    from rich.progress import Progress

    began = time.monotonic()
    console = Console(stderr=True, highlight=False)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading pictures", total=None)

        def log(record: dict[str, Any]) -> None:
            label = f"loss {record['loss']:.4f}"
            progress.update(task, completed=record["step"], total=steps, description=label)
            if "lr" in record:
                say(f"{_line(record)}, {(time.monotonic() - began) / 60:.1f} min")

        yield log


def _line(record: dict[str, Any]) -> str:
    parts = [
        f"step {record['step']}",
        f"loss {record['loss']:.4f}",
        f"lr {record['lr']:.2g}",
        f"{record['pictures_per_second']:.1f} pictures/s",
    ]
    if found := record.get("validation"):
        parts.append(
            f"validation: loss {found['loss']:.4f}, {found['bpp']:.3f} bpp, {found['psnr']:.2f} dB"
        )
    return ", ".join(parts)
