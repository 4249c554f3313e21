"""What is said when something fails."""

from __future__ import annotations

import errno

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from gesso.errors import GessoError, InputError
from gesso_cli.failures import describe, guarded


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a.jpg"),
            "a.jpg: No such file or directory; check the path",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", b"b.png"),
            "b.png: No space left on device; free some space or choose another place",
        ),
        (
            OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"),
            "a to b: Invalid cross-device link; try another place",
        ),
        (MemoryError(), "out of memory; pass a smaller --tile or a smaller picture"),
        (
            ModuleNotFoundError("no", name="lpips"),
            "needs the package lpips; run: pip install 'gesso[all]'",
        ),
        (
            InputError("cannot tell; pass codec= and quality=, or sigma="),
            "cannot tell; pass --codec and --quality, or --sigma",
        ),
        (InputError("a=b.png has x=1; rename it"), "a=b.png has x=1; rename it"),
    ],
)
def test_an_error_names_what_is_wrong_and_the_mend(error: Exception, said: str) -> None:
    assert describe(error) == said


@given(st.text(), st.sampled_from([GessoError, InputError, OSError, RuntimeError, ValueError]))
def test_every_error_is_one_line(text: str, kind: type[Exception]) -> None:
    assert len(describe(kind(text)).splitlines()) <= 1


def raising(error: BaseException) -> object:
    raise error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (InputError("x"), 1),
        (OSError("x"), 1),
        (typer.BadParameter("x"), 2),
        (typer.Exit(7), 7),
        (typer.Abort(), 130),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    assert guarded(lambda: raising(error)) == code


def test_a_command_that_returns_has_succeeded() -> None:
    assert guarded(lambda: None) == 0
    assert guarded(lambda: "text") == 0
