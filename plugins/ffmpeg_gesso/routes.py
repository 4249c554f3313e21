"""The two ways for frames: between processes, exact; or inside the graph of one."""

from __future__ import annotations

from collections.abc import Sequence

from gesso.errors import InputError

__all__ = ["ROUTES", "run_by"]

ROUTES = ("exact", "frei0r")


def run_by(
    route: str, arguments: Sequence[str], stderr: int | None = None, stdin: int | None = None
) -> int:
    """Run ffmpeg's command line, given without the program's name; its exit code.

    Args:
        route: one of ROUTES.
        arguments: of ffmpeg.
        stderr: where the processes print; None is ours.
        stdin: of the last process; None is ours.

    Raises:
        InputError: no such route; a node, graph or input that it cannot serve.
        FrameError: a frame that the model failed on.
        Refused: ffmpeg does not take the command.
    """
    if route not in ROUTES:
        raise InputError(f"there is no route {route!r}; there are: {', '.join(ROUTES)}")
    if route == "frei0r":
        from ffmpeg_gesso.frei0r.running import run

        return run(arguments, stderr, stdin)
    from ffmpeg_gesso.binary import binary
    from ffmpeg_gesso.planning import plan
    from ffmpeg_gesso.running import Run

    return Run(plan(arguments, binary()), stderr, stdin)()
