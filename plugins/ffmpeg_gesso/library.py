"""ffmpeg-python: ``stream.gesso(...)`` builds the graph, :func:`run` runs it.

>>> import ffmpeg, ffmpeg_gesso
>>> ffmpeg_gesso.register()  # doctest: +SKIP
>>> source = ffmpeg.input("in.mp4")  # doctest: +SKIP
>>> video = source.video.gesso(enhance="fast", codec="x264", crf=28)  # doctest: +SKIP
>>> ffmpeg_gesso.run(video.output(source.audio, "out.mp4"))  # doctest: +SKIP
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from typing import Any

from ffmpeg_gesso.splitting import NODE
from gesso.errors import GessoError, InputError

__all__ = ["RunError", "register", "run", "unregister"]

TAIL = 1 << 16  # bytes of stderr that an error tells
_lock = threading.Lock()


class RunError(GessoError, RuntimeError):
    """ffmpeg failed.

    Attributes:
        code: its exit code.
        stderr: the end of what it printed.
    """

    def __init__(self, code: int, stderr: str) -> None:
        lines = stderr.strip().splitlines()
        super().__init__(f"ffmpeg failed ({code}): {lines[-1] if lines else 'it said nothing'}")
        self.code, self.stderr = code, stderr


def register() -> None:
    """Teach streams of ffmpeg-python the filter ``gesso``; safe to call again.

    Raises:
        InputError: the package ffmpeg-python is not installed.
    """
    try:
        from ffmpeg.nodes import FilterableStream, FilterNode
    except ImportError as error:
        raise InputError(
            "ffmpeg-python is not installed; run: pip install 'gesso[ffmpeg]'"
        ) from error

    def gesso(self: Any, **options: object) -> Any:
        """A gesso node with these options; see ``gesso ffmpeg --help``."""
        return FilterNode(self, NODE, kwargs=options).stream()

    with _lock:
        if not hasattr(FilterableStream, NODE):
            setattr(FilterableStream, NODE, gesso)


def unregister() -> None:
    """Take it away again."""
    from ffmpeg.nodes import FilterableStream

    with _lock:
        if hasattr(FilterableStream, NODE):
            delattr(FilterableStream, NODE)


def run(
    stream: Any, *, quiet: bool = False, overwrite_output: bool = False, route: str = "exact"
) -> str:
    """Run an output stream of ffmpeg-python; gesso nodes in it or not.

    stderr is read while ffmpeg runs, so that it never waits for a reader.

    Args:
        stream: as ``stream.output("out.mp4")`` gives it.
        quiet: print nothing.
        overwrite_output: replace files that exist.
        route: ``exact`` or ``frei0r``; see ``gesso ffmpeg --help``.

    Returns:
        The end of what ffmpeg printed on stderr.

    Raises:
        RunError: ffmpeg failed.
        InputError: a node, graph or input that gesso cannot serve.
        FrameError: a frame that the model failed on.
    """
    import subprocess

    import ffmpeg

    from ffmpeg_gesso.routes import run_by
    from ffmpeg_gesso.selection import Refused

    # Nobody is there to answer a question.
    arguments = [*ffmpeg.get_args(stream, overwrite_output=overwrite_output), "-nostdin"]
    source, sink = os.pipe()
    tail: deque[bytes] = deque()
    reader = threading.Thread(target=_drain, args=(source, tail, quiet), daemon=True)
    reader.start()
    code = 0
    try:
        code = run_by(route, _front(arguments), sink, subprocess.DEVNULL)
    except Refused as refused:
        os.write(sink, refused.said.encode()[-TAIL // 2 :])
        code = refused.code
    finally:
        os.close(sink)
        reader.join()
    said = b"".join(tail)[-TAIL:].decode("utf-8", "replace")
    if code:
        raise RunError(code, said)
    return said


def _front(arguments: list[str]) -> list[str]:
    """ffmpeg-python puts global options last, where ffmpeg warns of them."""
    flags = [word for word in arguments if word in ("-y", "-nostdin")]
    return [*flags, *(word for word in arguments if word not in ("-y", "-nostdin"))]


def _drain(source: int, tail: deque[bytes], quiet: bool) -> None:
    kept = 0
    while part := os.read(source, 1 << 14):
        if not quiet:
            sys.stderr.write(part.decode("utf-8", "replace"))
        tail.append(part)
        kept += len(part)
        while kept - len(tail[0]) > TAIL:
            kept -= len(tail.popleft())
    os.close(source)
