"""ImageIO's own test suite, with gesso registered and idle, and in the Pillow plug-in's place.

`make test` runs the files about plug-ins, requests and the v2 API. The tests of the Pillow and
PyAV plug-ins need ImageIO's pictures (60 MB, fetched once); they are run, too, by

    GESSO_WHOLE_SUITE=1 .venv/bin/pytest integration/imageio -k whole

``GESSO_IMAGEIO_PICTURES`` names another place to clone them from. The suite is taken from the
source distribution of the installed ImageIO, fetched once into ``.cache/``; without a package
index these tests are skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

HERE = Path(__file__).parent
VERSION = metadata.version("imageio")
CACHE = HERE.parents[1] / ".cache"
PICTURES = "https://github.com/imageio/test_images.git"
ROUTINE = [
    f"tests/test_{name}.py" for name in ("core", "config", "format", "legacy_plugin_wrapper", "v2")
]
WHOLE = [*ROUTINE, *(f"tests/test_{name}.py" for name in ("pillow", "pyav", "meta"))]
# That no plug-in named so writes MP3; with PyAV behind it, gesso opens whatever that does.
WIDER = "tests.test_pillow::test_incomatible_write_format"
Outcomes = dict[str, str]
whole = pytest.mark.skipif(
    not os.environ.get("GESSO_WHOLE_SUITE"), reason="takes minutes: set GESSO_WHOLE_SUITE=1"
)


@pytest.fixture(scope="session")
def suite() -> Path:
    """ImageIO's source distribution, unpacked."""
    target = CACHE / f"imageio-{VERSION}"
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = [sys.executable, "-m", "pip", "download", f"imageio=={VERSION}"]
            command += ["--no-deps", "--no-binary", ":all:", "--retries", "1", "--dest", folder]
            fetched = subprocess.run(command, capture_output=True, text=True, check=False)
            archives = list(Path(folder).glob("*.tar.gz"))
            if fetched.returncode or not archives:
                why = [*fetched.stderr.strip().splitlines(), "no reason given"][0]
                pytest.skip(f"the sources of ImageIO {VERSION} cannot be fetched: {why}")
            with tarfile.open(archives[0]) as archive:
                archive.extractall(folder, filter="data")
            next(Path(folder).glob("imageio-*/")).rename(target)
    return target


@pytest.fixture(scope="session")
def pictures(suite: Path) -> Path:
    """ImageIO's pictures, beside its tests, where these look for them."""
    target = suite / ".test_images"
    if not target.exists():
        source = os.environ.get("GESSO_IMAGEIO_PICTURES", PICTURES)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = ["git", "clone", "--quiet", "--depth", "1", source, f"{folder}/clone"]
            fetched = subprocess.run(command, capture_output=True, text=True, check=False)
            if fetched.returncode:
                pytest.skip(f"ImageIO's pictures cannot be fetched: {fetched.stderr.strip()}")
            (Path(folder) / "clone").rename(target)
    return target


@pytest.fixture(scope="session")
def stock(suite: Path) -> dict[str, Outcomes]:
    """What ImageIO's tests say without gesso, by the files that were run; filled on demand."""
    return {}


def run(suite: Path, paths: list[str], role: str | None) -> Outcomes:
    """The outcome of each test; ``role`` is what gesso_in_imageio is told, None leaves it out."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not needs_internet", *paths]
    if role is not None:
        path = [str(HERE), *environment.get("PYTHONPATH", "").split(os.pathsep)]
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, path))}
        environment |= {"GESSO_IN_IMAGEIO": role}
        command += ["-p", "gesso_in_imageio"]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        done = subprocess.run(
            [*command, f"--junitxml={report}"],
            cwd=suite,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert report.exists(), done.stdout + done.stderr
        outcomes = {
            f"{case.get('classname')}::{case.get('name')}": case[0].tag if len(case) else "passed"
            for case in ET.parse(report).iter("testcase")
        }
    print(f"\n{role!r}: {dict(Counter(outcomes.values()))}")
    return outcomes


def check(suite: Path, stock: dict[str, Outcomes], paths: list[str], role: str) -> None:
    key = " ".join(paths)
    if key not in stock:
        stock[key] = run(suite, paths, None)
    expected, outcomes = stock[key], run(suite, paths, role)
    different = {
        name: (expected.get(name), outcomes.get(name))
        for name in expected.keys() | outcomes.keys()
        if expected.get(name) != outcomes.get(name) and (role, name) != ("pillow", WIDER)
    }
    assert not different
    assert Counter(expected.values())["passed"] > 50


@pytest.mark.timeout(600)
@pytest.mark.parametrize("role", ["idle", "pillow"])
def test_tests_of_the_core_say_what_they_say_without_gesso(
    role: str, suite: Path, stock: dict[str, Outcomes]
) -> None:
    check(suite, stock, ROUTINE, role)


@whole
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("role", ["idle", "pillow"])
def test_the_whole_of_pillow_and_pyav_says_what_it_says_without_gesso(
    role: str, suite: Path, pictures: Path, stock: dict[str, Outcomes]
) -> None:
    check(suite, stock, WHOLE, role)
