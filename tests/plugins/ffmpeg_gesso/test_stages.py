"""Stages overlap, wait for one another, and end whatever ends them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from ffmpeg_gesso.stages import Channel, Closed, FrameError, Stages, Timed, write_all

SIZE = 1000


class Treatment:
    def __init__(self, batch: int = 1, broken: int | None = None) -> None:
        self.batch, self.broken, self.batches = batch, broken, [0]

    def apply(self, pictures: Sequence[Any]) -> list[Any]:
        self.batches.append(len(pictures))
        if self.broken is not None and any(each[0] == self.broken for each in pictures):
            raise ValueError("no such luck")
        return list(pictures)


class Rig:
    """Stages with a pipe at their end."""

    def __init__(self, count: int, treatment: Treatment, sizes: Sequence[int] = ()) -> None:
        self.given = 0
        self.count, self.sizes = count, sizes
        self.errors: list[Exception] = []
        self.whole: list[bool] = []
        self.source, sink = os.pipe()
        self.stages = Stages(
            self.frames(),
            SIZE,
            treatment,
            sink,
            b"begin",
            Fraction(1, 30),
            0,
            self.errors.append,
            self.whole.append,
        )

    def frames(self) -> Iterator[Timed]:
        for number in range(self.count):
            self.given += 1
            size = self.sizes[number] if self.sizes else SIZE
            yield Timed(number, number, 1, bytes([number % 256]) * size)

    def read(self) -> bytes:
        with os.fdopen(self.source, "rb") as source:
            return source.read()


@pytest.mark.parametrize("batch", [1, 3, 50])
def test_every_frame_arrives_in_order(batch: int) -> None:
    treatment = Treatment(batch)
    rig = Rig(20, treatment)
    rig.stages.start()
    data = rig.read()
    rig.stages.join(5)
    assert data.startswith(b"begin")
    places = [data.index(bytes([number]) * SIZE) for number in range(1, 20)]
    assert places == sorted(places)
    assert (rig.errors, rig.whole) == ([], [True])
    assert max(treatment.batches) == min(batch, 20)


def test_a_slow_reader_holds_everything_back() -> None:
    rig = Rig(5000, Treatment())
    rig.stages.start()
    time.sleep(0.3)
    assert rig.given < 200  # 64 of these frames fill the pipe
    os.close(rig.source)
    rig.stages.join(5)
    assert (rig.errors, rig.whole) == ([], [False])


@pytest.mark.parametrize("batch", [1, 4])
def test_a_frame_that_fails_is_named(batch: int) -> None:
    rig = Rig(20, Treatment(batch, broken=6))
    rig.stages.start()
    rig.read()
    rig.stages.join(5)
    [error] = rig.errors
    assert isinstance(error, FrameError)
    assert str(error) == "frame 6: ValueError: no such luck"


def test_another_size_midway_is_named() -> None:
    rig = Rig(5, Treatment(), [SIZE, SIZE, 900, SIZE, SIZE])
    rig.stages.start()
    rig.read()
    rig.stages.join(5)
    assert "frame 2 has another size" in str(rig.errors[0])


def test_the_interpreter_does_not_end_under_a_model(tmp_path: Path) -> None:
    """What it computes with aborts the process otherwise, after all outputs are written."""
    script = """
import os, sys, time
from fractions import Fraction
from pathlib import Path
from ffmpeg_gesso.stages import Stages, Timed

class Slow:
    batch = 1
    def apply(self, pictures):
        Path(sys.argv[1], "begun").touch()
        time.sleep(0.5)
        Path(sys.argv[1], "done").touch()
        return pictures

source, sink = os.pipe()
frames = iter([Timed(0, 0, 1, bytes(4))])
Stages(frames, 4, Slow(), sink, b"", Fraction(1, 30), 0, print, print).start()
while not Path(sys.argv[1], "begun").exists():
    time.sleep(0.01)
"""
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, timeout=60)
    assert (tmp_path / "done").exists()


def test_time_does_not_run_backwards() -> None:
    rig = Rig(0, Treatment())
    frames = iter([Timed(0, 5, 1, bytes(SIZE)), Timed(1, 4, 1, bytes(SIZE))])
    rig.stages._frames = frames
    rig.stages.start()
    rig.read()
    rig.stages.join(5)
    assert "frame 1 comes before" in str(rig.errors[0])


def test_a_closed_channel_blocks_nobody() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    ended: list[str] = []

    def wait() -> None:
        with pytest.raises(Closed):
            channel.put(2)
        ended.append("put")

    thread = threading.Thread(target=wait)
    thread.start()
    channel.close()
    thread.join(5)
    assert ended == ["put"]
    with pytest.raises(Closed):
        channel.take(1)


def test_writing_goes_on_after_a_short_write() -> None:
    source, sink = os.pipe()
    data = os.urandom(1 << 20)
    thread = threading.Thread(target=lambda: (write_all(sink, data, data), os.close(sink)))
    thread.start()
    with os.fdopen(source, "rb") as reader:
        assert reader.read() == data * 2
    thread.join(5)
