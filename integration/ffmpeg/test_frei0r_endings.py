"""However a run of one ffmpeg ends, no process, socket or folder stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ffmpeg_gesso.command import run
from ffmpeg_gesso.frei0r import building
from ffmpeg_gesso.stages import FrameError
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.programs import ffmpeg
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager

QUIET = ["-v", "error", "-nostdin"]
ROUTE = ["--route", "frei0r", *QUIET]
ENDLESS = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25", "-f", "lavfi", "-i", "sine"]
MODEL = "gesso=enhance=fast:sigma=0.1:device=cpu"
SCRIPT = "import sys; from ffmpeg_gesso.command import run; sys.exit(run(sys.argv[1:]))"
COUNT = 12


class Model:
    """Darkens every frame, and tells ``seen`` its number first."""

    def __init__(self, seen: Callable[[int], object]) -> None:
        self.count, self.seen = 0, seen

    @hookimpl
    def gesso_after_decode(self, frame: Frame) -> Frame:
        self.count += 1
        self.seen(self.count - 1)
        return frame.with_rgb(frame.rgb * 0.5)


@pytest.fixture
def plug() -> Iterator[Callable[[Callable[[int], object]], Model]]:
    """``plug(seen)``: a model for this test."""
    there: list[Model] = []

    def plug(seen: Callable[[int], object]) -> Model:
        model = Model(seen)
        there.append(model)
        manager().register(model)
        return model

    yield plug
    for model in there:
        manager().unregister(model)


@pytest.fixture(autouse=True)
def folders(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Path]]]:
    """``folders()``: those of running runs; none is there at the end of a test."""
    if building.VARIABLE not in os.environ and not any(map(shutil.which, building.COMPILERS)):
        pytest.skip("needs a C compiler")
    try:
        ffmpeg("frei0r")
    except InputError as error:
        pytest.skip(str(error))
    with tempfile.TemporaryDirectory(prefix="test-") as folder:  # the path of a socket is short
        monkeypatch.setenv("TMPDIR", folder)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield lambda: list(Path(folder).iterdir())
        assert not list(Path(folder).iterdir())


def waiting(condition: Callable[[], object], limit: float = 60) -> bool:
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return bool(condition())


def child(number: int) -> int:
    """The ffmpeg that another process started; 0 where it has none."""
    if not Path(f"/proc/{number}/task").exists():
        pytest.skip("needs /proc")
    for thread in Path(f"/proc/{number}/task").iterdir():
        for each in (thread / "children").read_text().split():
            # Tests before this one may have left helpers of other libraries.
            if b"ffmpeg" in Path(f"/proc/{each}/cmdline").read_bytes().split(b"\0")[0]:
                return int(each)
    return 0


def running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_model_at_work(
    clips: Path,
    tmp_path: Path,
    binary: str,
    plug: Callable[[Callable[[int], object]], Model],
    folders: Callable[[], list[Path]],
) -> None:
    modes: set[int] = set()
    model = plug(lambda _: modes.update(stat.S_IMODE(each.stat().st_mode) for each in folders()))
    bright = []
    words = ["-i", str(clips / "rich.mkv"), "-frames:v", str(COUNT), "-an", "-sn", "-c:v", "ffv1"]
    for route in ("exact", "frei0r"):
        model.count = 0
        out = str(tmp_path / f"{route}.mkv")
        assert run(["--route", route, *QUIET, *words, "-vf", MODEL, out]) == 0
        assert model.count >= COUNT
        command = [binary, "-v", "error", "-i", out, "-pix_fmt", "gray", "-f", "rawvideo", "-"]
        samples = subprocess.run(command, capture_output=True, check=True).stdout
        assert len(samples) == COUNT * 160 * 120
        bright.append(sum(samples) / len(samples))
    assert abs(bright[0] - bright[1]) < 1
    assert 0o700 in modes
    assert modes == {0o700}


def test_a_model_that_fails(
    clips: Path, tmp_path: Path, plug: Callable[[Callable[[int], object]], Model]
) -> None:
    def seen(number: int) -> None:
        if number == 10:
            raise ValueError("this one")

    model = plug(seen)
    fresh, old = tmp_path / "fresh.mkv", tmp_path / "old.mkv"
    old.write_bytes(b"something")
    for out in (fresh, old):
        model.count = 0
        with pytest.raises(FrameError, match="frame 10: ValueError: this one"):
            run([*ROUTE, "-y", "-i", str(clips / "rich.mkv"), "-vf", MODEL, str(out)])
    assert not fresh.exists()
    assert old.exists()


def test_a_killed_ffmpeg(tmp_path: Path, plug: Callable[[Callable[[int], object]], Model]) -> None:
    def seen(number: int) -> None:
        if number == 5:
            os.kill(child(os.getpid()), signal.SIGKILL)

    plug(seen)
    before = threading.active_count()
    words = [*ENDLESS, "-vf", MODEL, "-c:v", "ffv1", str(tmp_path / "out.mkv")]
    assert run([*ROUTE, *words]) == 128 + signal.SIGKILL
    assert not child(os.getpid())
    assert waiting(lambda: threading.active_count() <= before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_a_whole_file(
    number: int, tmp_path: Path, packets: Callable[[Path], list[str]]
) -> None:
    out = tmp_path / "out.mp4"
    words = [*ROUTE, *ENDLESS, "-vf", "gesso=identity", "-c:v", "libx264", str(out)]
    command = [sys.executable, "-c", SCRIPT, *words]
    with subprocess.Popen(command, start_new_session=True) as ours:
        assert waiting(lambda: out.exists() and out.stat().st_size > 0)
        time.sleep(0.5)
        ours.send_signal(number)
        assert ours.wait(60) == 255  # as ffmpeg has it
    assert len(packets(out)) > 20


def test_a_killed_gesso_takes_ffmpeg_with_it(
    tmp_path: Path, folders: Callable[[], list[Path]]
) -> None:
    out = tmp_path / "out.mkv"
    words = [*ROUTE, *ENDLESS, "-vf", "gesso=identity", "-c:v", "libx264", str(out)]
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *words], stderr=subprocess.PIPE, text=True
    ) as ours:
        assert waiting(lambda: out.exists() and out.stat().st_size > 0)
        process = child(ours.pid)
        assert running(process)
        ours.kill()
        assert waiting(lambda: not running(process))
        assert ours.stderr is not None
        assert "gesso: it ended before the video did" in ours.stderr.read()
    for folder in folders():  # nobody was left to do it
        shutil.rmtree(folder)


def test_an_endless_pipe_ends_with_its_output(tmp_path: Path, binary: str) -> None:
    source = [binary, *QUIET, *ENDLESS[:4], "-c:v", "mpeg4", "-f", "nut", "-"]
    words = [*ROUTE, "-i", "-", "-frames:v", "30", "-vf", "gesso=identity", "-c:v", "ffv1"]
    out = tmp_path / "out.mkv"
    with subprocess.Popen(source, stdout=subprocess.PIPE) as giving:
        command = [sys.executable, "-c", SCRIPT, *words, str(out)]
        with subprocess.Popen(command, stdin=giving.stdout) as ours:
            assert giving.stdout is not None
            giving.stdout.close()
            assert ours.wait(60) == 0
        assert giving.wait(60) != 0  # nobody reads any more
    assert out.stat().st_size > 1000
