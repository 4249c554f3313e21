"""Third-party plug-ins, installed for one test."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import gesso.cards
import gesso.codec
import gesso_hooks.manager

Install = Callable[..., None]


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing loaded yet, the core's registries restored afterwards, no plug-in but the core's."""
    monkeypatch.setattr(gesso_hooks.manager, "_manager", None)
    monkeypatch.setattr(gesso_hooks.manager, "_ready", False)
    for module in (gesso.cards, gesso.codec):
        monkeypatch.setattr(module, "_registry", dict(module._registry))
    monkeypatch.setenv("GESSO_PLUGINS", "")
    monkeypatch.delenv("GESSO_TRACE_PLUGINS", raising=False)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("third_"):
            del sys.modules[name]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """``install(name, source)``: a distribution whose module ``third_<name>`` is a plug-in.

    It lies as pip would have put it, on a path of its own, and is added to GESSO_PLUGINS.
    """
    listed: list[str] = []

    def install(
        name: str, source: str, *, distribution: str = "", value: str = "", listing: bool = True
    ) -> None:
        distribution = distribution or f"third-{name}"
        module = f"third_{distribution.removeprefix('third-')}"
        folder = tmp_path / distribution
        info = folder / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{module}.py").write_text(textwrap.dedent(source))
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[gesso]\n{name} = {value or module}\n")
        monkeypatch.syspath_prepend(str(folder))
        if listing:
            listed.append(name)
            monkeypatch.setenv("GESSO_PLUGINS", ",".join(listed))

    return install


@pytest.fixture
def module() -> Callable[[str], ModuleType]:
    """The module of an installed plug-in, once it has been loaded."""
    return lambda name: sys.modules[f"third_{name}"]
