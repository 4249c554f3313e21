"""CompressAI's own tests of its zoo, models and evaluation say the same with gesso in the zoo.

The tests are taken from the source distribution of the installed CompressAI, fetched once into
``.cache/``; without a package index these tests are skipped.
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
VERSION = metadata.version("compressai")
CACHE = HERE.parents[1] / ".cache"
ROUTINE = [f"tests/test_{name}.py" for name in ("zoo", "models", "init")]
Outcomes = dict[str, str]


@pytest.fixture(scope="session")
def suite() -> Path:
    """CompressAI's tests, away from its sources, so that the installed package is tested."""
    target = CACHE / f"compressai-{VERSION}"
    if not target.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            command = [sys.executable, "-m", "pip", "download", f"compressai=={VERSION}"]
            command += ["--no-deps", "--no-binary", ":all:", "--retries", "1", "--dest", folder]
            fetched = subprocess.run(command, capture_output=True, text=True, check=False)
            archives = list(Path(folder).glob("*.tar.gz"))
            if fetched.returncode or not archives:
                why = [*fetched.stderr.strip().splitlines(), "no reason given"][0]
                pytest.skip(f"the sources of CompressAI {VERSION} cannot be fetched: {why}")
            with tarfile.open(archives[0]) as archive:
                archive.extractall(folder, filter="data")
            target.mkdir()
            next(Path(folder).glob("compressai-*/tests")).rename(target / "tests")
    return target


def run(suite: Path, gesso: bool) -> tuple[Outcomes, str]:
    """The outcome of each test, and what was printed."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *ROUTINE]
    command += ["-m", "not pretrained", "-c", os.devnull, "--rootdir", str(suite)]
    if gesso:
        paths = [str(HERE), *environment.get("PYTHONPATH", "").split(os.pathsep)]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        command += ["-p", "gesso_in_compressai"]
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
    print(f"\n{gesso}: {dict(Counter(outcomes.values()))}")
    return outcomes, done.stdout


@pytest.mark.timeout(600)
def test_its_own_tests_say_what_they_say_without_gesso(suite: Path) -> None:
    expected, _ = run(suite, gesso=False)
    outcomes, printed = run(suite, gesso=True)
    assert outcomes == expected
    assert Counter(outcomes.values())["passed"] > 20
    assert "gesso: 17 entries" in printed
