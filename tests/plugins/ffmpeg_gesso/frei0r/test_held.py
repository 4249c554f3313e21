"""What can be read once is read as often as it is asked for, and lost by nobody."""

from __future__ import annotations

import os
import threading
import time

from ffmpeg_gesso.frei0r.held import Held

DATA = os.urandom(3 << 20)


def fed(data: bytes) -> int:
    """A pipe that gives ``data``."""
    source, sink = os.pipe()

    def feed() -> None:
        with os.fdopen(sink, "wb") as file:
            file.write(data)

    threading.Thread(target=feed, daemon=True).start()
    return source


def read(descriptor: int, most: int | None = None) -> bytes:
    data = b""
    while most is None or len(data) < most:
        part = os.read(descriptor, 1 << 16 if most is None else most - len(data))
        if not part:
            break
        data += part
    return data


def test_every_reader_gets_it_from_the_beginning() -> None:
    source = fed(DATA)
    held = Held(source)
    with held.reader() as first:
        assert read(first, 1000) == DATA[:1000]
    with held.reader() as second:
        assert read(second, 2 << 20) == DATA[: 2 << 20]
    with held.reader(last=True) as last:
        assert read(last) == DATA
    os.close(source)
    assert not held._kept


def test_a_source_that_gives_nothing_holds_nobody_up() -> None:
    source, sink = os.pipe()
    held = Held(source)
    began = time.monotonic()
    with held.reader():
        pass
    assert time.monotonic() - began < 5
    os.write(sink, b"at last")
    os.close(sink)
    with held.reader(last=True) as last:
        assert read(last) == b"at last"
    os.close(source)
