"""Runs a command by the in-graph route: one ffmpeg, and the server of its nodes."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ffmpeg_gesso.arguments import flatten, parse
from ffmpeg_gesso.binary import binary
from ffmpeg_gesso.feeds import Command, Plan
from ffmpeg_gesso.frei0r.building import built, environment
from ffmpeg_gesso.frei0r.held import Held
from ffmpeg_gesso.frei0r.planning import Course, course, reads_stdin
from ffmpeg_gesso.frei0r.serving import Server, check_width
from ffmpeg_gesso.frei0r.trial import try_out
from ffmpeg_gesso.nodes import is_idle
from ffmpeg_gesso.running import GRACE, Run
from gesso.programs import ffmpeg

__all__ = ["GraphRun", "prepared"]

SOCKET = "socket"


class GraphRun(Run):
    """One run of a course.

    Args:
        program: ffmpeg.
        course: what is to be run.
        folder: private; holds the plug-in, and will hold the socket.
        step: what widths must be a multiple of.
        stderr: where ffmpeg prints; None is ours.
        stdin: of ffmpeg; None is ours.

    Raises:
        InputError: no socket can be made there.
    """

    def __init__(
        self,
        program: str,
        course: Course,
        folder: Path,
        step: int = 1,
        stderr: int | None = None,
        stdin: int | None = None,
    ) -> None:
        command = [program, *flatten(course.words)]
        plan = Plan(program, Command((), lambda pipes, notes: command), course.outputs)
        super().__init__(plan, stderr, stdin)
        path = folder / SOCKET
        self._environment = environment(folder, path)
        self._server = Server(path, course.wishes, self._fail, step)

    def __call__(self) -> int:
        """As Run's."""
        self._server.start()
        try:
            return super().__call__()
        finally:
            self._server.stop()
            self._server.join(GRACE)

    def _stop(self, keep: subprocess.Popen[bytes] | None = None) -> None:
        # A stopped ffmpeg finishes its files with the frames that it has; it is the only process.
        if keep is None:
            super()._stop()


@contextmanager
def prepared(
    arguments: Sequence[str], stderr: int | None = None, stdin: int | None = None
) -> Iterator[Run]:
    """A run of ffmpeg's command line, given without the program's name, as one process.

    Args:
        arguments: of ffmpeg; an input may be standard input.
        stderr: where ffmpeg prints; None is ours.
        stdin: None is ours.

    Raises:
        InputError: a node, graph or input that this route cannot serve, frames of more than
            8 bits or HDR, no compiler, or no ffmpeg that loads frei0r plug-ins.
        Refused: ffmpeg does not take the command.
    """
    if is_idle(parse(arguments)):
        whole = [binary(), *arguments]
        yield Run(Plan(whole[0], Command((), lambda pipes, notes: whole), ()), stderr, stdin)
        return
    program = ffmpeg("frei0r")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gesso-")))
        built(folder)
        step = try_out(program, folder)
        held = None
        if reads_stdin(arguments):
            held = Held(_source(stdin, stack))
        found = course(arguments, program, held)
        for width in found.widths:
            check_width(width, step)
        if held is not None:
            stdin = stack.enter_context(held.reader(last=True))
        yield GraphRun(program, found, folder, step, stderr, stdin)


def _source(stdin: int | None, stack: ExitStack) -> int:
    """A file descriptor for what ``stdin`` names."""
    if stdin != subprocess.DEVNULL:
        return stdin or 0
    source = os.open(os.devnull, os.O_RDONLY)
    stack.callback(os.close, source)
    return source
