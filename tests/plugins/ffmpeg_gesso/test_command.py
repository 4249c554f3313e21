"""`gesso ffmpeg` hands every argument on as it is."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from ffmpeg_gesso import command
from ffmpeg_gesso.wishes import OPTIONS
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
