"""What a process says beside its frames: of their track, and of each one's time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from queue import SimpleQueue

from ffmpeg_gesso.matroska import described
from gesso.errors import InputError

__all__ = ["Times", "Track"]

Time = tuple[int, int]


class Track:
    """Reads the description of a track; goes on until its writer ends, so that it can end."""

    def __init__(self, descriptor: int) -> None:
        self._data = bytearray()
        self._ready = threading.Event()
        self._descriptor = descriptor
        threading.Thread(target=self._drain, name="track", daemon=True).start()

    def _drain(self) -> None:
        for part in _parts(self._descriptor):
            if not self._ready.is_set():
                self._data += part
                if described(bytes(self._data)):
                    self._ready.set()
        self._ready.set()

    @property
    def ready(self) -> bool:
        """Whether it is there, or will never be."""
        return self._ready.is_set()

    def read(self) -> bytes:
        """Wait for it; without a track in it if the writer ended before."""
        self._ready.wait()
        return bytes(self._data)


class Times:
    """Reads ffmpeg's framecrc: time base, aspect, and a line for each frame."""

    def __init__(self, descriptor: int) -> None:
        self._facts: dict[str, str] = {}
        self._times: SimpleQueue[Time | Exception | None] = SimpleQueue()
        self._ready = threading.Event()
        self._descriptor = descriptor
        threading.Thread(target=self._drain, name="times", daemon=True).start()

    def _drain(self) -> None:
        rest = b""
        for part in _parts(self._descriptor):
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self._line(line.decode("ascii", "replace"))
        self._times.put(None)
        self._ready.set()

    def _line(self, line: str) -> None:
        if line.startswith("#"):
            key, _, value = line[1:].partition(" 0:")
            self._facts[key] = value.strip()
            return
        self._ready.set()
        try:
            _, _, pts, duration, *_ = (word.strip() for word in line.split(","))
            self._times.put((int(pts), int(duration)))
        except ValueError:
            error = InputError("a frame has no timestamp; put setpts= before gesso")
            self._times.put(error)

    def base(self) -> Fraction | None:
        """The time base; waits for the first frame, None where there is none."""
        self._ready.wait()
        return Fraction(self._facts["tb"]) if "tb" in self._facts else None

    def aspect(self) -> str:
        """The sample aspect ratio, as ``4/3``; empty where it is not known."""
        self._ready.wait()
        return self._facts.get("sar", "")

    def take(self) -> Time | None:
        """Timestamp and duration of the next frame; waits, None after the last.

        Raises:
            InputError: it has none.
        """
        time = self._times.get()
        if isinstance(time, Exception):
            raise time
        return time


def _parts(descriptor: int) -> Iterator[bytes]:
    try:
        while part := os.read(descriptor, 1 << 16):
            yield part
    finally:
        os.close(descriptor)
