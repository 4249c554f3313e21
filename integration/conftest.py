"""Hosts' own test suites: where their sources come from, and what their tests say."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import pytest

CACHE = Path(__file__).parents[1] / ".cache"
Outcomes = dict[str, str]


@pytest.fixture(scope="session")
def sources() -> Callable[[str], Path]:
    """``sources("pillow")``: the source distribution of the installed version, unpacked.

    Fetched once into ``.cache/``; without a package index the test is skipped.
    """
    return _sources


def _sources(name: str) -> Path:
    version = metadata.version(name)
    target = CACHE / f"{name}-{version}"
    if target.exists():
        return target
    CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        command = [sys.executable, "-m", "pip", "download", f"{name}=={version}"]
        command += ["--no-deps", "--no-binary", ":all:", "--retries", "1", "--dest", folder]
        fetched = subprocess.run(command, capture_output=True, text=True, check=False)
        archives = list(Path(folder).glob("*.tar.gz"))
        if fetched.returncode or not archives:
            why = [*fetched.stderr.strip().splitlines(), "no reason given"][0]
            pytest.skip(f"the sources of {name} {version} cannot be fetched: {why}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(folder, filter="data")
        next(path for path in Path(folder).iterdir() if path.is_dir()).rename(target)
    return target


@pytest.fixture(scope="session")
def outcomes() -> Callable[..., tuple[Outcomes, str]]:
    """``outcomes(suite, arguments, plugin)``: each test's outcome, and what was printed.

    ``plugin`` is the file of a pytest plug-in to load, ``given`` the environment it reads.
    """
    return _outcomes


@pytest.fixture(scope="session")
def unchanged(outcomes: Callable[..., tuple[Outcomes, str]]) -> Callable[..., str]:
    """``unchanged(suite, arguments, plugin, given)``: all outcomes are those without the plug-in.

    Returns what was printed with it. At least ``passed`` tests pass; ``but`` names exceptions.
    """
    stock: dict[tuple[Path, tuple[str, ...]], Outcomes] = {}

    def compare(
        suite: Path,
        arguments: Sequence[str],
        plugin: Path,
        given: Mapping[str, str] | None = None,
        *,
        passed: int,
        but: Sequence[str] = (),
    ) -> str:
        key = suite, tuple(arguments)
        if key not in stock:
            stock[key] = outcomes(suite, arguments)[0]
        expected = stock[key]
        found, printed = outcomes(suite, arguments, plugin, given)
        different = {
            name: (expected.get(name), found.get(name))
            for name in (expected.keys() | found.keys()) - set(but)
            if expected.get(name) != found.get(name)
        }
        assert not different
        assert Counter(expected.values())["passed"] >= passed
        return printed

    return compare


def _outcomes(
    suite: Path,
    arguments: Sequence[str],
    plugin: Path | None = None,
    given: Mapping[str, str] | None = None,
) -> tuple[Outcomes, str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    if plugin is not None:
        paths = [str(plugin.parent), *environment.get("PYTHONPATH", "").split(os.pathsep)]
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), **(given or {})}
        command += ["-p", plugin.stem]
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
        found = {
            f"{case.get('classname')}::{case.get('name')}": case[0].tag if len(case) else "passed"
            for case in ET.parse(report).iter("testcase")
        }
    print(f"\n{given}: {dict(Counter(found.values()))}")
    return found, done.stdout
