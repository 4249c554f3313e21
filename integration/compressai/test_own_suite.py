"""CompressAI's own tests of its zoo, models and evaluation say the same with gesso in the zoo."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROUTINE = [f"tests/test_{name}.py" for name in ("zoo", "models", "init")]


@pytest.mark.timeout(600)
def test_its_own_tests_say_what_they_say_without_gesso(
    sources: Callable[[str], Path], unchanged: Callable[..., str], tmp_path: Path
) -> None:
    # Away from its sources, so that the installed package is tested.
    shutil.copytree(sources("compressai") / "tests", tmp_path / "tests")
    arguments = [*ROUTINE, "-m", "not pretrained", "-c", os.devnull, "--rootdir", str(tmp_path)]
    printed = unchanged(tmp_path, arguments, HERE / "gesso_in_compressai.py", passed=21)
    assert "gesso: 18 entries" in printed
