"""The two ways for frames: between processes, exact; or inside the graph of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gesso.errors import InputError

if TYPE_CHECKING:
    from ffmpeg_gesso.running import Run

__all__ = ["ROUTES", "prepared", "run_by"]

ROUTES = ("exact", "frei0r")


@contextmanager
def prepared(
    route: str, arguments: Sequence[str], stderr: int | None = None, stdin: int | None = None
) -> Iterator[Run]:
    """A run of ffmpeg's command line, given without the program's name, and what it needs.

    Args:
        route: one of ROUTES.
        arguments: of ffmpeg.
        stderr: where the processes print; None is ours.
        stdin: of the last process; None is ours.

    Raises:
        InputError: no such route; a node, graph or input that it cannot serve.
        Refused: ffmpeg does not take the command.
    """
    if route not in ROUTES:
        raise InputError(f"there is no route {route!r}; there are: {', '.join(ROUTES)}")
    if route == "frei0r":
        from ffmpeg_gesso.frei0r.running import prepared

        with prepared(arguments, stderr, stdin) as run:
            yield run
        return
    from ffmpeg_gesso.binary import binary
    from ffmpeg_gesso.planning import plan
    from ffmpeg_gesso.running import Run

    yield Run(plan(arguments, binary()), stderr, stdin)


def run_by(
    route: str, arguments: Sequence[str], stderr: int | None = None, stdin: int | None = None
) -> int:
    """Run what :func:`prepared` prepares; its exit code.

    Raises:
        InputError, Refused: as there.
        FrameError: a frame that the model failed on.
    """
    with prepared(route, arguments, stderr, stdin) as run:
        return run()
