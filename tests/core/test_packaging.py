"""The distribution: what it lists is what there is."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import gesso

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = sorted(
    path.parent.relative_to(ROOT).as_posix()
    for source in ("core", "hooks", "plugins")
    for path in (ROOT / source).glob("*/__init__.py")
)


def test_wheel_holds_every_package() -> None:
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["packages"]) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_is_typed_checked_and_bound_by_contract(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()
    assert package in PROJECT["tool"]["mypy"]["files"]
    assert Path(package).name in PROJECT["tool"]["importlinter"]["root_packages"]


def test_version_of_the_module_is_the_distribution_s() -> None:
    assert gesso.__version__ == metadata.version("gesso")


def test_entry_points_name_what_there_is() -> None:
    for group in ("gesso", "console_scripts"):
        own = [e for e in metadata.entry_points(group=group) if e.dist and e.dist.name == "gesso"]
        assert own
        for entry in own:
            assert entry.load() is not None


def test_extra_for_everything_names_every_other_for_users() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    [everything] = extras["all"]
    assert everything == f"gesso[{','.join(e for e in extras if e not in ('all', 'dev'))}]"


def test_ruff_and_mypy_know_the_three_roots() -> None:
    assert PROJECT["tool"]["ruff"]["src"] == ["core", "hooks", "plugins"]
    for root in ("core", "hooks", "plugins"):
        assert f"/{root}" in PROJECT["tool"]["mypy"]["mypy_path"]
