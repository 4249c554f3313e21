"""`gesso ffmpeg`: ffmpeg's own command line with gesso nodes in its filtergraphs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from ffmpeg_gesso.wishes import OPTIONS
from gesso.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["add", "run"]

ROUTE = "--route"
HELP = "\n\n".join(
    (
        "Run ffmpeg with gesso=... nodes in its filtergraphs.",
        "Every argument is ffmpeg's. A node may stand in -vf, -filter:v, -filter_complex and "
        "in filter scripts, as in: gesso ffmpeg -i in.mp4 "
        '-vf "scale=1280:-2,gesso=enhance=fast:codec=x264:crf=28" -c:a copy out.mp4',
        "Its options, as key=value with ':' between them:",
        *(f"{name}: {about}" for name, about in OPTIONS.items()),
        "--route frei0r before all else takes the frames out of one ffmpeg and back, where the "
        "default, exact, runs several: inputs may be a pipe (-i -), but frames have 8 bits and "
        "go through RGBA. It needs a C compiler once, or a plug-in that GESSO_FREI0R names.",
    )
)


class Verbatim(TyperCommand):
    """A command whose arguments are not looked at."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """All of them are extra; ``--help`` alone is ours, as ffmpeg's is ``-h``."""
        if args == ["--help"]:
            return list(super().parse_args(ctx, args))
        super().parse_args(ctx, [])
        ctx.args = list(args)
        return list(args)


def add(app: typer.Typer) -> None:
    """Add ``gesso ffmpeg``, ``gesso bench ffmpeg`` and ``gesso bench flicker`` to ``app``."""
    from ffmpeg_gesso.benchmark import add as add_benchmark

    app.command("ffmpeg", cls=Verbatim, help=HELP)(ffmpeg)
    add_benchmark(app)


def ffmpeg(context: typer.Context) -> None:
    """See HELP."""
    raise typer.Exit(run(context.args))


def run(arguments: Sequence[str]) -> int:
    """Run ffmpeg's command line, given without the program's name; its exit code.

    Before it may stand ``--route`` and its name.

    Raises:
        InputError: a node, graph or input that gesso cannot serve, or no such route.
        FrameError: a frame that the model failed on.
    """
    from ffmpeg_gesso.routes import run_by
    from ffmpeg_gesso.selection import Refused

    try:
        return run_by(*_route(arguments))
    except Refused as refused:
        sys.stderr.write(refused.said)
        return refused.code


def _route(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """The route, and what is ffmpeg's."""
    first, *rest = arguments or [""]
    option, given, name = first.partition("=")
    if option != ROUTE:
        return "exact", list(arguments)
    if not given:
        if not rest:
            raise InputError(f"{ROUTE} lacks its value; write exact or frei0r")
        name, *rest = rest
    return name, rest
