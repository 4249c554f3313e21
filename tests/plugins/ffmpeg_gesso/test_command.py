"""`gesso ffmpeg` hands every argument on as it is."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from ffmpeg_gesso import command, routes
from ffmpeg_gesso.wishes import OPTIONS
from gesso.errors import InputError
from gesso_cli.app import build


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the command is asked to run."""
    found: list[list[str]] = []

    def run(arguments: Any) -> int:
        found.append(list(arguments))
        return 7

    monkeypatch.setattr(command, "run", run)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        ["-i", "a b.mp4", "-vf", "gesso=identity", "-c:v", "libx265", "--", "-out.mp4"],
        ["-h", "full"],
        ["-vn", "-version"],
        [],
    ],
)
def test_arguments_are_not_looked_at(arguments: list[str], handed: list[list[str]]) -> None:
    result = CliRunner().invoke(build(), ["ffmpeg", *arguments])
    assert handed == [arguments]
    assert result.exit_code == 7


def test_help_lists_the_options_of_a_node(handed: list[list[str]]) -> None:
    result = CliRunner().invoke(build(), ["ffmpeg", "--help"])
    assert handed == []
    assert result.exit_code == 0
    assert all(name in result.output for name in OPTIONS)


@pytest.mark.parametrize(
    ("arguments", "route", "rest"),
    [
        (["-i", "a"], "exact", ["-i", "a"]),
        (["--route", "frei0r", "-i", "a"], "frei0r", ["-i", "a"]),
        (["--route=exact", "-i", "a"], "exact", ["-i", "a"]),
        (["-i", "a", "--route", "frei0r"], "exact", ["-i", "a", "--route", "frei0r"]),
        ([], "exact", []),
    ],
)
def test_the_route_stands_before_what_is_ffmpeg_s(
    arguments: list[str], route: str, rest: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[str, list[str]]] = []

    def run_by(route: str, arguments: list[str]) -> int:
        found.append((route, list(arguments)))
        return 0

    monkeypatch.setattr(routes, "run_by", run_by)
    assert command.run(arguments) == 0
    assert found == [(route, rest)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--route"], "--route lacks its value; write exact or frei0r"),
        (["--route", "short"], "no route 'short'; there are: exact, frei0r"),
    ],
)
def test_a_route_that_there_is_not(arguments: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        command.run(arguments)
