"""Runs what was planned: the processes, the stages between them, and their end.

The last ffmpeg is the user's own: it has the terminal, and what it prints and returns is what
the run prints and returns. The others end with it, whatever ends it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from itertools import chain
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ffmpeg_gesso.feeds import Command, Feed, Opened, Plan
from ffmpeg_gesso.layouts import Layout, layout_of
from ffmpeg_gesso.matroska import colour, described, header
from ffmpeg_gesso.notes import Times, Track
from ffmpeg_gesso.stages import Stages, Timed
from ffmpeg_gesso.treatment import Identity, Model, Treatment
from ffmpeg_gesso.wishes import Wish
from gesso.errors import GessoError, InputError

if TYPE_CHECKING:
    from av.container import InputContainer

__all__ = ["Run", "pipe"]

NANO = 10**9
GRACE = 10.0  # seconds for a process to finish its files before it is killed
SOON = 1.0  # seconds for one that was killed to be gone
PIPE_SIZE = 1 << 20
PROBE = {"probesize": "32", "analyzeduration": "0", "fpsprobesize": "0"}


class Run:
    """One run of a plan.

    Args:
        plan: what is to be run.
        stderr: where the processes print; None is ours.
        stdin: of the last process; None is ours.
    """

    def __init__(self, plan: Plan, stderr: int | None = None, stdin: int | None = None) -> None:
        self._plan, self._stderr, self._stdin = plan, stderr, stdin
        self._lock = threading.Lock()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._final: subprocess.Popen[bytes] | None = None
        self._stages: list[Stages] = []
        self._error: Exception | None = None
        self._source_code = 0
        self._stopping = False
        self._over = threading.Event()
        self._environment: dict[str, str] | None = None  # ours
        self._there = {url for url in plan.outputs if os.path.lexists(_path(url))}

    @property
    def processes(self) -> list[int]:
        """The numbers of the processes, the last ffmpeg's at the end."""
        with self._lock:
            return [process.pid for process in self._processes]

    def __call__(self) -> int:
        """Run to the end.

        Returns:
            The last ffmpeg's exit code; that of one before it which failed; 128 and the
            signal's number where a signal ended it.

        Raises:
            FrameError: a frame that the model failed on; outputs that were not there before
                are removed.
            InputError: no frame came to a node, or frames that cannot be treated.
        """
        launching = threading.Thread(target=self._launch, name="launching", daemon=True)
        with self._signals():
            launching.start()
            # Waiting here lets signals through, which reading from a pipe would not.
            while not self._over.wait(0.5):
                pass
            launching.join(GRACE)
        self._stop()
        for stages in self._stages:
            stages.join(GRACE)
        if self._error is not None:
            self._remove_outputs()
            raise self._error
        final = self._final
        code = self._source_code
        if final is not None and final.returncode:
            code = code or final.returncode
        return 128 - code if code < 0 else code

    def _launch(self) -> None:
        try:
            pipes = self._open(self._plan.final)
            self._start(self._plan.final, pipes).wait()
        except _Failed as failed:
            self._source_code = self._source_code or failed.code
        except Exception as error:
            if not self._stopping:
                self._fail(error)
        finally:
            self._over.set()

    def _open(self, command: Command) -> dict[Feed, Opened]:
        return {feed: self._feed(feed) for feed in command.feeds}

    def _start(
        self,
        command: Command,
        pipes: dict[Feed, Opened],
        notes: tuple[int, int] | None = None,
        out: int | None = None,
    ) -> subprocess.Popen[bytes]:
        """A process; what it inherits is closed here."""
        inherited = [opened.descriptor for opened in pipes.values()]
        inherited += notes or ()
        with self._lock:
            try:
                if self._stopping:
                    raise _Failed(0)
                final = out is None
                process = subprocess.Popen(
                    command.arguments(pipes, notes or (-1, -1)),
                    stdin=self._stdin if final else subprocess.DEVNULL,
                    stdout=out,
                    stderr=self._stderr,
                    pass_fds=inherited,
                    env=self._environment,
                    # Ctrl-C is for the last one, which ends the others.
                    start_new_session=not final,
                )
                self._processes.append(process)
                if final:
                    self._final = process
            except OSError as error:
                raise InputError(f"{self._plan.binary} cannot be run: {error}") from error
            finally:
                for descriptor in [*inherited, *([] if out is None else [out])]:
                    os.close(descriptor)
        return process

    def _feed(self, feed: Feed) -> Opened:
        """Start what gives a feed its frames, and the stages that treat them."""
        import av

        pipes = self._open(feed.source)
        frames_in, frames_out = pipe()
        track_in, track_out = os.pipe()
        times_in, times_out = os.pipe()
        process = self._start(feed.source, pipes, (track_out, times_out), frames_out)
        track, times = Track(track_in), Times(times_in)
        try:
            container = av.open(f"pipe:{frames_in}", format="nut", options=PROBE)
        except av.error.FFmpegError as error:
            os.close(frames_in)
            raise self._no_frames(process) from error
        # Read now: it is closed after its last frame, which may come soon.
        coded = container.streams.video[0].codec_context
        pixels, size = coded.pix_fmt or "", (coded.width, coded.height)
        ended = partial(self._ended, process, container, frames_in)
        frames = _timed(container, times, process, ended)
        # An ffmpeg of one thread describes the track when some frames were taken off it.
        early: list[Timed] = []
        while (not early or not track.ready) and (frame := next(frames, None)) is not None:
            early.append(frame)
        said, base, aspect = track.read(), times.base(), times.aspect()
        if not early or base is None or not described(said):
            raise self._no_frames(process)
        layout = layout_of(pixels)
        # Matroska has no time before zero.
        shift = max(0, -(early[0].pts * base).__floor__())
        ahead, back = pipe()
        stages = Stages(
            chain(early, frames),
            layout.size(*size),
            _treatment(feed.wish, layout, size, said),
            back,
            header(said, layout.code),
            base,
            shift * NANO,
            self._fail,
            lambda whole: None if whole else _stop_process(process),
        )
        with self._lock:
            self._stages.append(stages)
        stages.start()
        return Opened(ahead, base, aspect, shift)

    def _no_frames(self, process: subprocess.Popen[bytes]) -> Exception:
        """Why no frame came."""
        with suppress(subprocess.TimeoutExpired):
            if code := process.wait(GRACE):
                return _Failed(code)
        return InputError("no frame came to gesso; look at the input and the filters before it")

    def _ended(
        self, process: subprocess.Popen[bytes], container: InputContainer, descriptor: int
    ) -> None:
        """All frames of a process were read, or it was killed."""
        container.close()
        os.close(descriptor)
        code = process.wait()
        if code and not self._stopping and self._running():
            self._source_code = self._source_code or code
            final = self._final
            if final is not None:
                _stop_process(final, signal.SIGTERM)

    def _running(self) -> bool:
        return self._final is None or self._final.poll() is None

    def _fail(self, error: Exception) -> None:
        """End the run for an error of ours."""
        if self._stopping:
            return
        self._error = self._error or error
        with self._lock:
            self._stopping = True
            final = self._final
        if final is not None:
            # It must not make a whole file of a part.
            _stop_process(final)
        self._stop(keep=final)
        if final is None:
            self._over.set()

    def _stop(self, keep: subprocess.Popen[bytes] | None = None) -> None:
        """End every process and stage but ``keep``."""
        with self._lock:
            self._stopping = True
            processes, stages = list(self._processes), list(self._stages)
        for each in stages:
            each.stop()
        for process in processes:
            if process is not keep:
                _stop_process(process)
                process.wait()

    def _remove_outputs(self) -> None:
        for url in self._plan.outputs:
            path = Path(_path(url))
            if url not in self._there and path.is_file() and not path.is_symlink():
                with suppress(OSError):
                    path.unlink()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the last ffmpeg as they would without gesso."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def handle(number: int, frame: FrameType | None) -> None:
            final = self._final
            # From the keyboard it has it already, and a second one would cut its file short.
            if final is not None and not (number == signal.SIGINT and _in_foreground()):
                _stop_process(final, number)
            threading.Thread(target=self._stop, args=(final,), daemon=True).start()
            if final is None:
                self._source_code = self._source_code or -number
                self._over.set()

        before = {
            number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Failed(GessoError, RuntimeError):
    """A process before the last failed, and has said why."""

    def __init__(self, code: int) -> None:
        super().__init__(f"ffmpeg failed ({code})")
        self.code = code


def _treatment(wish: Wish, layout: Layout, size: tuple[int, int], said: bytes) -> Treatment:
    if wish.idle:
        return Identity()
    from ffmpeg_gesso.pixels import Raw

    return Model(wish, Raw(layout, *size, *colour(said)))


def _timed(
    container: InputContainer,
    times: Times,
    process: subprocess.Popen[bytes],
    ended: Callable[[], None],
) -> Iterator[Timed]:
    """The frames of a process; ``ended`` is called after the last."""
    import av

    number = size = 0
    try:
        with suppress(av.error.FFmpegError):
            for packet in container.demux(video=0):
                if not packet.size:
                    continue
                size = size or packet.size
                # A killed process leaves part of a frame; its exit code tells.
                if packet.size < size and _has_failed(process):
                    return
                time = times.take()
                if time is None:
                    return
                yield Timed(number, *time, packet)
                number += 1
    finally:
        ended()


def _has_failed(process: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        return process.wait(SOON) != 0
    return False


def pipe() -> tuple[int, int]:
    """A pipe as large as the kernel gives it to anybody."""
    ends = os.pipe()
    if sys.platform == "linux":
        import fcntl

        with suppress(OSError):
            fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return ends


def _stop_process(process: subprocess.Popen[Any], number: int = signal.SIGKILL) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(number)


def _in_foreground() -> bool:
    """Whether a terminal sends Ctrl-C to us and our children alike."""
    try:
        with open("/dev/tty", "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:
        return False


def _path(url: str) -> str:
    return url.removeprefix("file:")
