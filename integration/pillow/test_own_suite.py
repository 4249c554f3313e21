"""Pillow's own test suite, with gesso registered and idle, and forced on every save and open.

`make test` runs the files about JPEG, MPO, WebP and AVIF. The whole suite (four runs of one
to three minutes) is run by

    GESSO_WHOLE_SUITE=1 .venv/bin/pytest integration/pillow -k whole

The suite is taken from the source distribution of the installed Pillow, fetched once into
``.cache/``; without a package index these tests are skipped.
"""

from __future__ import annotations

import os
import re
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
VERSION = metadata.version("pillow")
CACHE = HERE.parents[1] / ".cache"
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
Outcomes = dict[str, str]
whole = pytest.mark.skipif(
    not os.environ.get("GESSO_WHOLE_SUITE"), reason="takes minutes: set GESSO_WHOLE_SUITE=1"
)


@pytest.fixture(scope="session")
def suite() -> Path:
    """Pillow's source distribution, unpacked."""
    target = CACHE / f"pillow-{VERSION}"
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = [sys.executable, "-m", "pip", "download", f"pillow=={VERSION}"]
            command += ["--no-deps", "--no-binary", ":all:", "--retries", "1", "--dest", folder]
            fetched = subprocess.run(command, capture_output=True, text=True, check=False)
            archives = list(Path(folder).glob("*.tar.gz"))
            if fetched.returncode or not archives:
                why = [*fetched.stderr.strip().splitlines(), "no reason given"][0]
                pytest.skip(f"the sources of Pillow {VERSION} cannot be fetched: {why}")
            with tarfile.open(archives[0]) as archive:
                archive.extractall(folder, filter="data")
            next(Path(folder).glob("[pP]illow-*/")).rename(target)
    return target


@pytest.fixture(scope="session")
def stock(suite: Path) -> dict[str, Outcomes]:
    """What Pillow's tests say without gesso, by the files that were run; filled on demand."""
    return {}


def run(suite: Path, paths: list[str], forced: str | None) -> tuple[Outcomes, int, int]:
    """The outcome of each test, and how many pictures the identity model was given.

    ``forced`` is what gesso_in_pillow is told; None leaves gesso out.
    """
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *paths]
    if forced is not None:
        environment |= {"PYTHONPATH": str(HERE), "GESSO_IN_PILLOW": forced}
        command += ["-p", "gesso_in_pillow"]
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
        cases = ET.parse(report).iter("testcase")
        outcomes = {
            f"{case.get('classname')}::{case.get('name')}": case[0].tag if len(case) else "passed"
            for case in cases
        }
    print(f"\n{forced!r}: {dict(Counter(outcomes.values()))}")
    counted = re.search(r"gesso: (\d+) saved, (\d+) opened", done.stdout)
    saved, opened = map(int, counted.groups()) if counted else (0, 0)
    return outcomes, saved, opened


def check(suite: Path, stock: dict[str, Outcomes], paths: list[str], forced: str) -> None:
    key = " ".join(paths)
    if key not in stock:
        stock[key] = run(suite, paths, None)[0]
    expected = stock[key]
    outcomes, saved, opened = run(suite, paths, forced)
    different = {
        name: (expected.get(name), outcomes.get(name))
        for name in expected.keys() | outcomes.keys()
        if expected.get(name) != outcomes.get(name)
    }
    assert not different
    assert Counter(expected.values())["passed"] > 250
    assert (saved > 100) == ("save" in forced)
    assert (opened > 100) == ("open" in forced)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("forced", ["", "save open"])
def test_jpeg_webp_and_avif_tests_say_what_they_say_without_gesso(
    forced: str, suite: Path, stock: dict[str, Outcomes]
) -> None:
    check(suite, stock, ROUTINE, forced)


@whole
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("forced", ["", "save", "open"])
def test_the_whole_suite_says_what_it_says_without_gesso(
    forced: str, suite: Path, stock: dict[str, Outcomes]
) -> None:
    check(suite, stock, WHOLE, forced)
