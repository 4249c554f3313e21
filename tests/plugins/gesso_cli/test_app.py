"""The command as a whole: quick help, plug-ins, exit codes, errors on one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import gesso
import gesso_hooks.manager
from gesso.errors import InputError
from gesso_cli import app as app_module
from gesso_cli.app import build
from gesso_hooks import hookimpl

Run = Callable[..., Result]
COMMAND = (sys.executable, "-c", "from gesso_cli.app import main; main()")
HEAVY = ("torch", "diffusers", "numpy", "PIL", "skimage", "safetensors", "lpips")


@pytest.fixture
def plugin() -> Iterator[Callable[[object], None]]:
    """``plugin(object)``: a plug-in for this test."""
    there: list[object] = []

    def register(one: object) -> None:
        there.append(one)
        gesso_hooks.manager.manager().register(one, "for-a-test")

    yield register
    for one in there:
        gesso_hooks.manager.manager().unregister(one)


def failing(error: BaseException) -> typer.Typer:
    """The command with a sub-command ``fail`` that raises ``error``."""
    app = build()

    @app.command()
    def fail() -> None:
        raise error

    return app


def test_help_lists_every_command(run: Run) -> None:
    result = run("--help")
    assert result.exit_code == 0
    commands = ("encode", "decode", "enhance", "models", "train", "calibrate", "evaluate", "demo")
    for command in (*commands, "bench"):
        assert command in result.stdout
        assert run(command, "--help").exit_code == 0
    assert run("train", "prior", "--help").exit_code == 0


def test_help_imports_nothing_heavy_and_is_quick() -> None:
    script = (
        "import sys, time; from gesso_cli.app import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "print(heavy, time.process_time(), file=sys.stderr)"
    )
    seconds = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", script, "--help"], capture_output=True, text=True, check=True
        )
        heavy, spent = done.stderr.rsplit(" ", 1)
        assert heavy == "[]"
        seconds.append(float(spent))
    # Processor time: a busy machine must not fail this.
    assert min(seconds) < 0.6


def test_version(run: Run) -> None:
    assert run("--version").stdout == f"gesso {gesso.__version__}\n"


@pytest.mark.parametrize("arguments", [(), ("train",)])
def test_no_command_shows_the_help_and_exits_with_2(run: Run, arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Commands" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonesuch",), "gesso: No such command 'nonesuch'; see gesso --help\n"),
        (("models", "--nonesuch"), "gesso: No such option: --nonesuch; see gesso models --help\n"),
        (("enhance", "-o", "x"), "gesso: Missing argument 'SRC'; see gesso enhance --help\n"),
    ],
)
def test_usage_errors_are_one_line_and_exit_with_2(
    run: Run, arguments: tuple[str, ...], said: str
) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", said)


def test_a_plug_in_adds_sub_commands(plugin: Callable[[object], None], run: Run) -> None:
    class Plugin:
        @hookimpl
        def gesso_commands(self, app: typer.Typer) -> None:
            @app.command()
            def hello(name: str) -> None:
                print(f"hello {name}")

    plugin(Plugin())
    assert run("hello", "world").stdout == "hello world\n"


def test_a_broken_plug_in_is_named_and_the_rest_works(
    plugin: Callable[[object], None], run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    class Plugin:
        @hookimpl
        def gesso_commands(self, app: typer.Typer) -> None:
            raise ZeroDivisionError("oh")

    plugin(Plugin())
    assert run("--version").exit_code == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("gesso: warning: plug-in 'for-a-test', gesso_commands: ZeroDivision")


def test_a_known_error_is_its_message() -> None:
    result = CliRunner().invoke(failing(InputError("a.jpg\nis   bad; mend it")), ["fail"])
    assert (result.exit_code, result.stderr) == (1, "gesso: a.jpg is bad; mend it\n")


def test_an_unknown_error_asks_for_a_report() -> None:
    result = CliRunner().invoke(failing(ZeroDivisionError("oh")), ["fail"])
    assert result.exit_code == 1
    assert result.stderr.startswith("gesso: ZeroDivisionError: oh; this is a mistake in gesso")
    assert "Traceback" not in result.stderr


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GESSO_DEBUG", "1")
    result = CliRunner().invoke(failing(InputError("bad; mend it")), ["fail"])
    assert result.exit_code == 1
    assert "Traceback" in result.stderr
    assert result.stderr.endswith("gesso: bad; mend it\n")


def test_ctrl_c_exits_with_130() -> None:
    result = CliRunner().invoke(failing(KeyboardInterrupt()), ["fail"])
    assert (result.exit_code, result.stderr) == (130, "gesso: interrupted\n")


WARNING = """
import warnings
from gesso_cli import app, options

app.guarded = lambda run: warnings.warn("a quality\\n  of 3", stacklevel=2)
try:
    app.main()
except SystemExit:
    pass
options.prepare(None)
warnings.warn("another", stacklevel=1)
warnings.warn("not for users", FutureWarning, stacklevel=1)
"""


def test_warnings_are_one_line_in_every_process_of_the_command() -> None:
    command = (sys.executable, "-c", WARNING)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stderr.splitlines()
    assert said[:2] == ["gesso: warning: a quality of 3", "gesso: warning: another"]
    assert said[2].endswith("FutureWarning: not for users")


def test_the_console_script_exits_with_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gesso", "nonesuch"])
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(SystemExit) as stop:
            app_module.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.value.code == 2


FORKED = """
import os, signal, sys, time
from gesso_cli.app import main

try:
    main()
except SystemExit:
    pass
number = os.fork()
if not number:
    # No byte code runs, and with it no handler of Python's, until this is over.
    sum(range(10**12))
time.sleep(0.2)
os.kill(number, signal.SIGTERM)
for _ in range(100):
    ended, status = os.waitpid(number, os.WNOHANG)
    if ended:
        sys.exit(os.WTERMSIG(status))
    time.sleep(0.1)
os.kill(number, signal.SIGKILL)
sys.exit("the fork outlives SIGTERM")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_of_the_program_ends_at_once() -> None:
    """CompressAI's `bench -j` terminates the forks of its pool, and waits for them."""
    command = [sys.executable, "-c", FORKED, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == signal.SIGTERM, done.stderr


def test_a_reader_that_leaves_is_no_error() -> None:
    with subprocess.Popen(
        [*COMMAND, "models", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1


@pytest.fixture
def heard() -> Iterator[None]:
    """Children hear Ctrl-C, which those of a shell's background job would ignore as it does."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_the_destination_alone(
    tiny: Path, photo: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    target = out / "result.png"
    target.write_bytes(b"old")
    arguments = ("enhance", photo, "-o", target, "--overwrite", "--model", tiny, "--steps", "1000")
    with subprocess.Popen([*COMMAND, *map(str, arguments)], stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 120
        # Its temporary file shows that the work has begun.
        while len(os.listdir(out)) < 2:
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(60) == code
    assert os.listdir(out) == ["result.png"]
    assert target.read_bytes() == b"old"
