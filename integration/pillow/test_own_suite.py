"""Pillow's own test suite, with gesso registered and idle, and forced on every save and open.

`make test` runs the files about JPEG, MPO, WebP and AVIF. The whole suite (four runs of one
to three minutes) is run by

    GESSO_WHOLE_SUITE=1 .venv/bin/pytest integration/pillow -k whole
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROUTINE = [
    f"Tests/test_file_{name}.py"
    for name in (
        "jpeg",
        "mpo",
        "webp",
        "webp_alpha",
        "webp_animated",
        "webp_lossless",
        "webp_metadata",
        "avif",
    )
]
# A picture of 268 megapixels, in each run; the whole suite has it.
ROUTINE += [f"--deselect={ROUTINE[2]}::TestFileWebp::test_write_encoding_error_message"]
WHOLE = ["Tests"]
whole = pytest.mark.skipif(
    not os.environ.get("GESSO_WHOLE_SUITE"), reason="takes minutes: set GESSO_WHOLE_SUITE=1"
)


@pytest.fixture(scope="session")
def suite(sources: Callable[[str], Path]) -> Path:
    """Pillow's source distribution, unpacked."""
    return sources("pillow")


@pytest.fixture
def check(suite: Path, unchanged: Callable[..., str]) -> Callable[[list[str], str], None]:
    """Runs the tests where gesso_in_pillow is told ``forced``."""

    def told(paths: list[str], forced: str) -> None:
        given = {"GESSO_IN_PILLOW": forced}
        printed = unchanged(suite, paths, HERE / "gesso_in_pillow.py", given, passed=251)
        # How many pictures the identity model was given.
        counted = re.search(r"gesso: (\d+) saved, (\d+) opened", printed)
        saved, opened = map(int, counted.groups()) if counted else (0, 0)
        assert (saved > 100) == ("save" in forced)
        assert (opened > 100) == ("open" in forced)

    return told


@pytest.mark.timeout(600)
@pytest.mark.parametrize("forced", ["", "save open"])
def test_jpeg_webp_and_avif_tests_say_what_they_say_without_gesso(
    forced: str, check: Callable[[list[str], str], None]
) -> None:
    check(ROUTINE, forced)


@whole
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("forced", ["", "save", "open"])
def test_the_whole_suite_says_what_it_says_without_gesso(
    forced: str, check: Callable[[list[str], str], None]
) -> None:
    check(WHOLE, forced)
