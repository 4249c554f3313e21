"""Three stages between two processes: frames are read, treated and written at the same time.

The stages hand frames on through bounded channels, so that the slowest sets the pace and
memory stays flat.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ffmpeg_gesso.matroska import block
from gesso.errors import GessoError, InputError

if TYPE_CHECKING:
    from ffmpeg_gesso.treatment import Treatment

__all__ = ["Channel", "Closed", "FrameError", "Stages", "Timed", "said", "write_all"]

NANO = 10**9
Item = TypeVar("Item")


class FrameError(GessoError, RuntimeError):
    """A frame that could not be treated; the message begins with its number."""


class Closed(Exception):
    """The channel was closed by whoever ends the run."""


class Channel(Generic[Item]):
    """A queue of bounded length that can be closed from anywhere, and then blocks nobody."""

    def __init__(self, length: int) -> None:
        self._items: deque[Item] = deque()
        self._length = length
        self._ended = self._closed = False
        self._changed = threading.Condition()

    def put(self, item: Item) -> None:
        """Wait for room; raises Closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._items) < self._length)
            if self._closed:
                raise Closed
            self._items.append(item)
            self._changed.notify_all()

    def take(self, most: int) -> list[Item]:
        """The next items: as many as are wanted, fewer only at the end; raises Closed."""
        taken: list[Item] = []
        while len(taken) < most:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._ended or self._items)
                if self._closed:
                    raise Closed
                if not self._items:
                    break
                taken.append(self._items.popleft())
                self._changed.notify_all()
        return taken

    def end(self) -> None:
        """Nothing more will be put."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing more will be taken, either."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()


@dataclass(frozen=True)
class Timed:
    """A raw picture.

    Attributes:
        number: counted from 0.
        pts: in the source's time base.
        duration: in the same; 0 where it is not known.
        picture: a buffer of its samples.
    """

    number: int
    pts: int
    duration: int
    picture: Any


class Stages:
    """The three stages of one node, each a thread.

    Args:
        frames: what is read; it may block, and ends when the process before it ends.
        size: bytes that every picture must have.
        treatment: of the frames.
        sink: file descriptor to write to; closed when all is written or nobody reads.
        begin: what is written first.
        base: the time base of the frames.
        shift: in ns, added to every timestamp.
        failed: called with the error that ends a stage.
        done: called when no more is to be written, with whether all frames were.
    """

    def __init__(
        self,
        frames: Iterator[Timed],
        size: int,
        treatment: Treatment,
        sink: int,
        begin: bytes,
        base: Fraction,
        shift: int,
        failed: Callable[[Exception], None],
        done: Callable[[bool], None],
    ) -> None:
        self._frames, self._size, self._treatment = frames, size, treatment
        self._sink, self._begin, self._base, self._shift = sink, begin, base, shift
        self._failed, self._done = failed, done
        ahead = max(2, treatment.batch)
        self._read: Channel[Timed] = Channel(2 * ahead)
        self._treated: Channel[Timed] = Channel(ahead)
        # Python waits for the one that treats, be it at a frame that nobody wants any more: torch
        # aborts where the interpreter ends under it. The others may hang on a pipe.
        self._threads = [
            threading.Thread(
                target=self._guarded,
                args=(stage,),
                name=stage.__name__,
                daemon=stage != self._treating,
            )
            for stage in (self._reading, self._treating, self._writing)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Let go of everything; a thread that reads or writes ends with its process."""
        self._read.close()
        self._treated.close()

    def join(self, limit: float) -> None:
        """Wait for the threads, each at most ``limit`` seconds."""
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(limit)

    def _guarded(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except Closed:
            pass
        except Exception as error:
            # First, so that nobody takes the end of the pipe for the end of the video.
            self._failed(error)
            self.stop()

    def _reading(self) -> None:
        for frame in self._frames:
            size = memoryview(frame.picture).nbytes
            if size != self._size:
                raise FrameError(
                    f"frame {frame.number} has another size or pixel format than the first "
                    f"({size} bytes, not {self._size}); put scale= and format= before gesso"
                )
            self._read.put(frame)
        self._read.end()

    def _treating(self) -> None:
        while batch := self._read.take(self._treatment.batch):
            for frame, picture in zip(batch, self._treat(batch), strict=True):
                self._treated.put(replace(frame, picture=picture))
        self._treated.end()

    def _treat(self, batch: Sequence[Timed]) -> list[Any]:
        try:
            return self._treatment.apply([frame.picture for frame in batch])
        except Exception as error:
            if len(batch) == 1:
                raise FrameError(f"frame {batch[0].number}: {said(error)}") from error
        # One by one, to tell which it was.
        return [self._treat([frame])[0] for frame in batch]

    def _writing(self) -> None:
        whole = False
        try:
            write_all(self._sink, self._begin)
            last = -1
            while batch := self._treated.take(1):
                [frame] = batch
                time = self.nanoseconds(frame.pts) + self._shift
                if time < 0 or time < last:
                    raise InputError(
                        f"frame {frame.number} comes before the one before it; "
                        "put setpts= before gesso"
                    )
                last = time
                view = memoryview(frame.picture).cast("B")
                write_all(
                    self._sink, block(time, self.nanoseconds(frame.duration), view.nbytes), view
                )
            whole = True
        except BrokenPipeError:
            self.stop()  # whoever reads has all that it wants
        finally:
            os.close(self._sink)
            self._done(whole)

    def nanoseconds(self, pts: int) -> int:
        """A timestamp, rounded to the next nanosecond."""
        return round(pts * self._base * NANO)


def write_all(sink: int, *parts: bytes | memoryview) -> None:
    """Write whole buffers to a file descriptor; BrokenPipeError where nobody reads."""
    views = [memoryview(part) for part in parts]
    while views:
        written = os.writev(sink, views)
        while views and written >= views[0].nbytes:
            written -= views.pop(0).nbytes
        if views and written:
            views[0] = views[0][written:]


def said(error: Exception) -> str:
    """One line of an error."""
    text = " ".join(str(error).split())
    return text if isinstance(error, GessoError) else f"{type(error).__name__}: {text}"
