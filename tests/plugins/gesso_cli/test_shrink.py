"""`gesso shrink`: a smaller copy, and clear words where there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

from gesso.cards import ModelCard

Run = Callable[..., Result]


def test_a_folder_is_copied_smaller(run: Run, tiny: Path, tmp_path: Path) -> None:
    result = run("shrink", str(tiny), "--out", str(tmp_path / "small"))
    assert result.exit_code == 0 and " MB in " in result.stderr
    card = ModelCard.read(tmp_path / "small")
    assert card.verify().stat().st_size < ModelCard.read(tiny).path.stat().st_size


def test_the_wrong_model_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("shrink", "nonesuch", "--out", str(tmp_path / "small"))
    assert result.exit_code != 0 and "nonesuch" in result.stderr
    assert not (tmp_path / "small").exists()
