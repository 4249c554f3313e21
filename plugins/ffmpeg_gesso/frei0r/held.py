"""A stream that can be read once, read several times: what was read is kept until the last."""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from ffmpeg_gesso.running import pipe
from ffmpeg_gesso.stages import write_all

__all__ = ["Held"]

PART = 1 << 16
PATIENCE = 0.1  # seconds between looks at whether anybody still wants more


class Held:
    """What comes from a file descriptor.

    Args:
        source: stays open.
    """

    def __init__(self, source: int) -> None:
        self._source = source
        self._kept: deque[bytes] = deque()

    @contextmanager
    def reader(self, last: bool = False) -> Iterator[int]:
        """A pipe that gives it from the beginning, for one process; one at a time.

        Args:
            last: nothing is kept any more, so memory stays flat.
        """
        out, sink = pipe()
        over = threading.Event()
        thread = threading.Thread(target=self._feed, args=(sink, over, last), daemon=True)
        thread.start()
        try:
            yield out
        finally:
            over.set()
            os.close(out)  # which frees a thread that waits to write
            thread.join()

    def _feed(self, sink: int, over: threading.Event, last: bool) -> None:
        try:
            for part in self._parts(over, last):
                write_all(sink, part)
        except BrokenPipeError:
            pass  # whoever reads has all that it wants
        finally:
            os.close(sink)

    def _parts(self, over: threading.Event, last: bool) -> Iterator[bytes]:
        if last:
            while self._kept:
                yield self._kept.popleft()
        yield from self._kept
        while not over.is_set():
            # Never blocked in a read, whose bytes nobody would get.
            if not select.select([self._source], [], [], PATIENCE)[0]:
                continue
            part = os.read(self._source, PART)
            if not part:
                return
            if not last:
                self._kept.append(part)
            yield part
