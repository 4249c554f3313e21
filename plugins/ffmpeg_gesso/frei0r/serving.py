"""Serves the frames of a graph's gesso nodes over a unix socket, one connection for each."""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ffmpeg_gesso.layouts import layout_of
from ffmpeg_gesso.stages import FrameError, said
from ffmpeg_gesso.treatment import Identity, Model, Treatment
from ffmpeg_gesso.wishes import Wish
from gesso.errors import GessoError, InputError

__all__ = ["CHANNELS", "HELLO", "MAGIC", "Server", "check_width"]

# Must match struct hello in gesso.c: node, width, height.
HELLO = struct.Struct("=4sIII")
MAGIC = b"GSO1"
BUFFER = 1 << 22  # bytes that the kernel may hold on the way
LARGEST = 1 << 16  # pixels on a side
CHANNELS = 4


class Server:
    """The models of a graph.

    Args:
        path: of the socket; nothing is there yet.
        wishes: what is done at each node, by its number.
        failed: called with the error of a frame; when it returns, ffmpeg no longer waits.
        step: what widths must be a multiple of, for this ffmpeg.

    Raises:
        InputError: no socket can be made there.
    """

    def __init__(
        self,
        path: Path,
        wishes: Sequence[Wish],
        failed: Callable[[Exception], None],
        step: int = 1,
    ) -> None:
        self._path, self._wishes, self._failed, self._step = path, wishes, failed, step
        self._over = False
        self._lock = threading.Lock()
        self._lines: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listening = threading.Thread(target=self._listen, name="listening", daemon=True)
        # Of each node: a filter begins anew where the size of the pictures changes.
        self._count: Counter[int] = Counter()
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._door.bind(str(path))
        except OSError as error:
            self._door.close()
            raise InputError(
                f"no socket can be made at {path} ({error}); set TMPDIR to a shorter path"
            ) from error
        self._door.listen()

    def start(self) -> None:
        """Begin."""
        self._listening.start()

    def stop(self) -> None:
        """Let go of every connection; a thread with a model at work ends after its frame."""
        with self._lock:
            self._over = True
            lines = list(self._lines)
        # Closing a socket wakes nobody who waits for calls; a call does.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as call:
            call.connect(str(self._path))
        for line in lines:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    def join(self, limit: float) -> None:
        """Wait for the threads, each at most ``limit`` seconds."""
        # First, as it may still begin others.
        self._listening.join(limit)
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(limit)

    def _listen(self) -> None:
        with self._door:
            while not self._over:
                line, _ = self._door.accept()
                thread = threading.Thread(target=self._answer, args=(line,), daemon=True)
                with self._lock:
                    self._threads = [each for each in self._threads if each.is_alive()] + [thread]
                    # Inside, so that nobody joins a thread that has not begun.
                    thread.start()

    def _answer(self, line: socket.socket) -> None:
        with line:
            with self._lock:
                if self._over:
                    return
                self._lines.add(line)
            try:
                self._serve(line)
            except OSError:
                pass  # ffmpeg is gone
            except Exception as error:
                self._failed(error)
            finally:
                with self._lock:
                    self._lines.discard(line)

    def _serve(self, line: socket.socket) -> None:
        hello = bytearray(HELLO.size)
        if not _fill(line, hello):
            return  # ffmpeg only looked whether anybody is there
        magic, node, width, height = HELLO.unpack(hello)
        if magic != MAGIC or node >= len(self._wishes) or not 0 < max(width, height) <= LARGEST:
            raise InputError("the frei0r plug-in is not of this gesso; build it anew")
        check_width(width, self._step)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        treatment = _treatment(self._wishes[node], width, height)
        picture = bytearray(width * height * CHANNELS)
        while _fill(line, picture):
            number = self._count[node]
            self._count[node] += 1
            line.sendall(memoryview(_treated(treatment, picture, number)).cast("B"))


def check_width(width: int, step: int) -> None:
    """InputError for a width that is no multiple of ``step``."""
    if width % step:
        raise InputError(
            f"this ffmpeg gives frei0r filters rows of {width} pixels askew; put scale= or pad= "
            f"to a multiple of {step} before gesso, take a newer ffmpeg, or leave "
            "--route frei0r out"
        )


def _treatment(wish: Wish, width: int, height: int) -> Treatment:
    if wish.idle:
        return Identity()
    from ffmpeg_gesso.pixels import Raw

    try:
        return Model(wish, Raw(layout_of("rgba"), width, height))
    except OSError as error:
        raise GessoError(said(error)) from error


def _treated(treatment: Treatment, picture: bytearray, number: int) -> Any:
    try:
        [result] = treatment.apply([picture])
    except Exception as error:
        raise FrameError(f"frame {number}: {said(error)}") from error
    return result


def _fill(line: socket.socket, buffer: bytearray) -> bool:
    """Read a whole buffer; whether it came."""
    view = memoryview(buffer)
    while view:
        got = line.recv_into(view)
        if not got:
            return False
        view = view[got:]
    return True
