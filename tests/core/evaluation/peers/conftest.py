"""A photograph to code, and programs that stand in for those of others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from PIL import Image

Fake = Callable[..., Path]


@pytest.fixture(scope="session")
def photo(astronaut: NDArray[Any]) -> Image.Image:
    """A face, 128 x 96."""
    return Image.fromarray(astronaut[80:176, 160:288])


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """``fake("jpegqs", "import sys; ...")``: a program on a path that holds nothing else."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(name: str, source: str) -> Path:
        program = folder / name
        program.write_text(f"#!{sys.executable}\n{source}\n")
        program.chmod(0o755)
        return program

    return write
