"""However a run ends, no process stays behind and nothing waits for ever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ffmpeg_gesso.command import run
from ffmpeg_gesso.planning import plan
from ffmpeg_gesso.running import Run
from ffmpeg_gesso.stages import FrameError
from gesso.errors import InputError
from gesso.frame import Frame
from gesso_hooks import hookimpl
from gesso_hooks.manager import manager

QUIET = ["-v", "error", "-nostdin"]
ENDLESS = ["-f", "lavfi", "-i", "testsrc2=s=160x120:r=25", "-f", "lavfi", "-i", "sine"]
MODEL = "gesso=enhance=fast:sigma=0.1:batch=4"


class Model:
    """Darkens every frame; raises at the ``broken``-th."""

    def __init__(self, broken: int | None = None) -> None:
        self.broken, self.seen = broken, 0

    @hookimpl
    def gesso_after_decode(self, frame: Frame) -> Frame:
        first = self.seen
        if self.broken is not None and first <= self.broken < first + frame.batch:
            if frame.batch == 1:
                raise ValueError("this one")
            raise ValueError("one of these")
        self.seen += frame.batch
        return frame.with_rgb(frame.rgb * 0.5)


@pytest.fixture
def plug() -> Iterator[Callable[[Model], Model]]:
    """``plug(model)``: a plug-in for this test."""
    there: list[Model] = []

    def plug(model: Model) -> Model:
        there.append(model)
        manager().register(model)
        return model

    yield plug
    for model in there:
        manager().unregister(model)


def alive(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def waiting(condition: Callable[[], bool], limit: float = 10) -> bool:
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_a_model_at_work(clips: Path, tmp_path: Path, plug: Callable[[Model], Model]) -> None:
    model = plug(Model())
    out = str(tmp_path / "out.mkv")
    source = str(clips / "hdr.mp4")
    assert run([*QUIET, "-i", source, "-vf", MODEL, "-an", "-c:v", "ffv1", out]) == 0
    assert model.seen == 25


def test_a_model_that_fails(clips: Path, tmp_path: Path, plug: Callable[[Model], Model]) -> None:
    model = plug(Model(broken=10))
    fresh, old = tmp_path / "fresh.mkv", tmp_path / "old.mkv"
    old.write_bytes(b"something")
    for out in (fresh, old):
        with pytest.raises(FrameError, match="frame 10: ValueError: this one"):
            run([*QUIET, "-y", "-i", str(clips / "rich.mkv"), "-vf", MODEL, str(out)])
        model.seen = 0
    assert not fresh.exists()
    assert old.exists()


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process(victim: int, binary: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out.mkv")
    ours = Run(plan([*QUIET, *ENDLESS, "-vf", "gesso=identity", "-c:v", "libx264", out], binary))
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(ours()))
    thread.start()
    assert waiting(lambda: len(ours.processes) == 2)
    time.sleep(0.3)
    numbers = ours.processes
    os.kill(numbers[victim], signal.SIGKILL)
    thread.join(20)
    assert codes == [128 + signal.SIGKILL]
    assert not any(alive(number) for number in numbers)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_a_whole_file(
    number: int, tmp_path: Path, packets: Callable[[Path], list[str]]
) -> None:
    out = tmp_path / "out.mp4"
    words = [*QUIET, *ENDLESS, "-vf", "gesso=identity", "-c:v", "libx264", str(out)]
    script = "import sys; from ffmpeg_gesso.command import run; sys.exit(run(sys.argv[1:]))"
    with subprocess.Popen([sys.executable, "-c", script, *words], start_new_session=True) as ours:
        assert waiting(lambda: out.exists() and out.stat().st_size > 0, 20)
        time.sleep(0.5)
        ours.send_signal(number)
        assert ours.wait(20) == 255  # as ffmpeg has it
    assert len(packets(out)) > 20


def test_a_killed_gesso_leaves_nobody(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"
    words = [*QUIET, *ENDLESS, "-vf", "gesso=identity", "-c:v", "libx264", str(out)]
    script = "import sys; from ffmpeg_gesso.command import run; sys.exit(run(sys.argv[1:]))"
    ours = subprocess.Popen([sys.executable, "-c", script, *words])
    assert waiting(lambda: len(children(ours.pid)) == 2 and out.exists(), 20)
    processes = children(ours.pid)
    ours.kill()
    ours.wait()
    # The sound alone would go on for ever; the last one is told as any ffmpeg would be.
    for number in processes[1:]:
        os.kill(number, signal.SIGTERM)
    assert waiting(lambda: not any(running(number) for number in processes))


def children(number: int) -> list[int]:
    path = Path(f"/proc/{number}/task/{number}/children")
    if not path.exists():
        pytest.skip("needs /proc")
    threads = Path(f"/proc/{number}/task").iterdir()
    return sorted(int(n) for t in threads for n in (t / "children").read_text().split())


def running(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_size_that_changes_is_scaled_as_without_gesso(
    binary: str, tmp_path: Path, packets: Callable[[Path], list[str]]
) -> None:
    parts = []
    for name, size in (("a", "96x64"), ("b", "64x48")):
        part = str(tmp_path / f"{name}.ts")
        source = ["-f", "lavfi", "-i", f"testsrc2=s={size}:d=0.4"]
        subprocess.run([binary, *QUIET, *source, "-c:v", "libx264", part], check=True)
        parts.append(part)
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    words = [*QUIET, "-i", str(both), "-c:v", "ffv1"]
    for node in ("gesso=identity", "null"):
        assert run([*words, "-vf", node, str(tmp_path / f"{node}.mkv")]) == 0
    ours, plain = (packets(tmp_path / f"{node}.mkv") for node in ("gesso=identity", "null"))
    assert times(ours) == times(plain)
    assert len(times(ours)) == 20


def times(lines: list[str]) -> list[list[str]]:
    return [line.split(",")[:4] for line in lines if not line.startswith("#")]


def test_an_endless_input_ends_with_its_output(tmp_path: Path) -> None:
    words = [*QUIET, *ENDLESS, "-frames:v", "30", "-shortest", "-vf", "gesso=identity"]
    began = time.monotonic()
    assert run([*words, str(tmp_path / "out.mkv")]) == 0
    assert time.monotonic() - began < 20


def test_no_frames_at_all(clips: Path, tmp_path: Path) -> None:
    words = [*QUIET, "-i", str(clips / "rich.mkv"), "-vf", "select=0,gesso=identity"]
    with pytest.raises(InputError, match="no frame came to gesso"):
        run([*words, str(tmp_path / "out.mkv")])


def test_a_cut_file_ends_as_without_gesso(clips: Path, tmp_path: Path, binary: str) -> None:
    cut = tmp_path / "cut.mkv"
    cut.write_bytes((clips / "rich.mkv").read_bytes()[:20000])
    words = [*QUIET, "-i", str(cut), "-an", "-sn", "-c:v", "ffv1"]
    plain = subprocess.call([binary, *words, "-vf", "null", str(tmp_path / "plain.mkv")])
    assert run([*words, "-vf", "gesso=identity", str(tmp_path / "gesso.mkv")]) == plain


@pytest.mark.parametrize(
    "words", [["-i", "nowhere.mp4"], ["-i", "rich.mkv", "-c:v", "nothing"], ["-bad", "1"]]
)
def test_ffmpeg_s_own_errors(
    words: list[str], clips: Path, binary: str, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [str(clips / word) if word == "rich.mkv" else word for word in words]
    plain = subprocess.call([binary, *QUIET, *words, "-vf", "null", "out.mp4"])
    said = capfd.readouterr().err.splitlines()[-1]
    assert run([*QUIET, *words, "-vf", "gesso=identity", "out.mp4"]) == plain
    assert capfd.readouterr().err.splitlines()[-1] == said


def test_an_input_that_cannot_be_opened_twice() -> None:
    with pytest.raises(InputError, match="opens every input twice, which pipe:0 cannot be"):
        run(["-i", "pipe:0", "-vf", "gesso=identity", "out.mp4"])


def test_a_full_disk() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    words = [*QUIET, "-y", "-t", "2", *ENDLESS[:4], "-vf", "gesso=identity", "-f", "rawvideo"]
    assert run([*words, "/dev/full"]) != 0
