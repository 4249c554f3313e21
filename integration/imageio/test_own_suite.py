"""ImageIO's own test suite, with gesso registered and idle, and in the Pillow plug-in's place.

`make test` runs the files about plug-ins, requests and the v2 API. The tests of the Pillow and
PyAV plug-ins need ImageIO's pictures (60 MB, fetched once); they are run, too, by

    GESSO_WHOLE_SUITE=1 .venv/bin/pytest integration/imageio -k whole

``GESSO_IMAGEIO_PICTURES`` names another place to clone them from.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PICTURES = "https://github.com/imageio/test_images.git"
ROUTINE = [
    f"tests/test_{name}.py" for name in ("core", "config", "format", "legacy_plugin_wrapper", "v2")
]
WHOLE = [*ROUTINE, *(f"tests/test_{name}.py" for name in ("pillow", "pyav", "meta"))]
# That no plug-in named so writes MP3; with PyAV behind it, gesso opens whatever that does.
WIDER = "tests.test_pillow::test_incomatible_write_format"
whole = pytest.mark.skipif(
    not os.environ.get("GESSO_WHOLE_SUITE"), reason="takes minutes: set GESSO_WHOLE_SUITE=1"
)


@pytest.fixture(scope="session")
def suite(sources: Callable[[str], Path]) -> Path:
    """ImageIO's source distribution, unpacked."""
    return sources("imageio")


@pytest.fixture(scope="session")
def pictures(suite: Path) -> Path:
    """ImageIO's pictures, beside its tests, where these look for them."""
    target = suite / ".test_images"
    if not target.exists():
        source = os.environ.get("GESSO_IMAGEIO_PICTURES", PICTURES)
        with tempfile.TemporaryDirectory(dir=suite) as folder:
            command = ["git", "clone", "--quiet", "--depth", "1", source, f"{folder}/clone"]
            fetched = subprocess.run(command, capture_output=True, text=True, check=False)
            if fetched.returncode:
                pytest.skip(f"ImageIO's pictures cannot be fetched: {fetched.stderr.strip()}")
            (Path(folder) / "clone").rename(target)
    return target


@pytest.fixture
def check(suite: Path, unchanged: Callable[..., str]) -> Callable[[list[str], str], None]:
    """Runs the tests where gesso_in_imageio has a role."""

    def told(paths: list[str], role: str) -> None:
        arguments = ["-m", "not needs_internet", *paths]
        given = {"GESSO_IN_IMAGEIO": role}
        but = [WIDER] if role == "pillow" else []
        unchanged(suite, arguments, HERE / "gesso_in_imageio.py", given, passed=51, but=but)

    return told


@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", ["idle", "pillow"])
def test_tests_of_the_core_say_what_they_say_without_gesso(
    role: str, check: Callable[[list[str], str], None]
) -> None:
    check(ROUTINE, role)


@whole
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", ["idle", "pillow"])
def test_the_whole_of_pillow_and_pyav_says_what_it_says_without_gesso(
    role: str, pictures: Path, check: Callable[[list[str], str], None]
) -> None:
    check(WHOLE, role)
