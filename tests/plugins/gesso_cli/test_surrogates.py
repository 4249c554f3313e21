"""`gesso surrogates`: a table for people, a document for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from skimage import data
from typer.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    whole = data.astronaut()
    for index, top in enumerate((0, 200, 400)):
        Image.fromarray(whole[top : top + 64, 180:260]).save(tmp_path / f"{index}.png")
    return tmp_path


def test_a_table(folder: Path, run: Run) -> None:
    result = run("surrogates", folder, "--codec", "jpeg", "--qualities", "10,60")
    assert result.exit_code == 0 and "jpeg, 3 pictures" in result.stdout
    lines = [line.split() for line in result.stdout.splitlines()]
    assert [line[0] for line in lines if line and line[0] in ("10", "60", "all")] == [
        "10", "60", "all",
    ]  # fmt: skip


def test_a_document(folder: Path, run: Run) -> None:
    result = run("surrogates", folder, "--codec", "jpeg", "--qualities", "20", "--json")
    found = json.loads(result.stdout)
    assert found["pictures"] == 3
    assert [row["quality"] for row in found["codecs"]["jpeg"]] == [20, None]
