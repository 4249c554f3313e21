"""Processes share the work, report what goes wrong, and do not outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gesso.errors import GessoError, InputError
from gesso.evaluation.workers import spread

pytestmark = pytest.mark.usefixtures("spawnable")
PATHS = {name: Path(name) for name in "abc"}


def named(work: str, name: str, path: Path) -> tuple[str, int, str]:
    return work + name, os.getpid(), os.environ.get("PREPARED", "")


def test_every_path_is_worked_on_by_another_process() -> None:
    found = dict(spread(named, "x", PATHS, 2))
    assert {text for text, _, _ in found.values()} == {"xa", "xb", "xc"}
    assert os.getpid() not in {pid for _, pid, _ in found.values()}
    assert {name: text for name, (text, _, _) in found.items()} == {n: f"x{n}" for n in PATHS}


def mark() -> None:
    os.environ["PREPARED"] = "yes"


def test_prepare_runs_in_the_processes_and_not_here() -> None:
    found = dict(spread(named, "x", PATHS, 1, mark))
    assert {prepared for _, _, prepared in found.values()} == {"yes"}
    assert "PREPARED" not in os.environ


def raising(work: str, name: str, path: Path) -> str:
    raise InputError(f"{name} is bad")


def test_errors_reach_the_caller() -> None:
    with pytest.raises(InputError, match="a is bad"):
        list(spread(raising, "", {"a": Path("a")}, 1))


def dying(work: str, name: str, path: Path) -> str:
    os._exit(9)


def test_a_process_that_dies_is_said() -> None:
    with pytest.raises(GessoError, match=r"one of 1 processes died.*fewer jobs"):
        list(spread(dying, "", {"a": Path("a")}, 1))


def sleeping(work: Path, name: str, path: Path) -> str:
    (work / str(os.getpid())).touch()
    time.sleep(600)
    return name


PARENT = """
import signal, sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # which nohup would have ignored
sys.path.insert(0, {here!r})
from gesso.evaluation.workers import spread
from test_workers import sleeping
if __name__ == "__main__":
    list(spread(sleeping, Path({marks!r}), {{"a": Path("a")}}, 1))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="asks for processes by POSIX signals")
@pytest.mark.parametrize("how", ["kill", "terminate", "interrupt"])
def test_processes_end_with_their_parent(tmp_path: Path, how: str) -> None:
    script, marks = tmp_path / "parent.py", tmp_path / "marks"
    marks.mkdir()
    script.write_text(PARENT.format(here=str(Path(__file__).parent), marks=str(marks)))
    parent = subprocess.Popen([sys.executable, script], stderr=subprocess.DEVNULL)
    try:
        while not list(marks.iterdir()):
            assert parent.poll() is None
            time.sleep(0.05)
        [worker] = [int(path.name) for path in marks.iterdir()]
        if how == "interrupt":
            parent.send_signal(signal.SIGINT)
        else:
            getattr(parent, how)()
        parent.wait(30)
    finally:
        parent.kill()
    for _ in range(200):
        if not alive(worker):
            return
        time.sleep(0.05)
    raise AssertionError("the process outlives its parent")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # a dead process that nobody waited for still has a number
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
