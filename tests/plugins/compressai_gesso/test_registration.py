"""Gesso's places in CompressAI: taken on import or on request, given back whole."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

import compressai_gesso
import compressai_gesso.registration as registration
from compressai_gesso.library import library
from compressai_gesso.plugin import gesso_hosts
from gesso.errors import InputError

TABLES = (
    ("zoo", "image_models"),
    ("zoo", "models"),
    ("zoo.image", "model_architectures"),
    ("registry", "MODELS"),
)


def tables() -> list[dict[str, Any]]:
    return [getattr(library(module), name) for module, name in TABLES]


def ours(table: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name.startswith("gesso-")}


@pytest.fixture(autouse=True)
def registered() -> Any:
    yield
    compressai_gesso.register()


def test_it_takes_four_tables_and_gives_them_back() -> None:
    compressai_gesso.register()
    filled = [dict(table) for table in tables()]
    compressai_gesso.register()
    assert [dict(table) for table in tables()] == filled
    compressai_gesso.unregister()
    assert not any(ours(table) for table in tables())
    stock = [dict(table) for table in tables()]
    assert all(set(stock[i]) == set(filled[i]) - set(ours(filled[i])) for i in range(4))
    compressai_gesso.unregister()
    compressai_gesso.register()
    assert [set(table) for table in tables()] == [set(table) for table in filled]


def test_what_there_is() -> None:
    compressai_gesso.register()
    functions, everything, classes, registry = tables()
    stock = {name for name in functions if not name.startswith("gesso-")}
    files = {f"gesso-{name}" for name in ("jpeg", "webp", "avif", "hevc", "vvc", "latent")}
    others = {"gesso-hyperprior", "gesso-elic2022-official"}
    assert set(ours(functions)) == {f"gesso-{name}" for name in stock} | files | others
    assert ours(functions) == ours(everything)
    assert ours(classes) == ours(registry)
    assert set(ours(classes)) == set(ours(functions))


def test_a_name_that_is_taken_stays() -> None:
    compressai_gesso.unregister()
    models = library("zoo").image_models
    models["gesso-jpeg"] = other = object()
    try:
        compressai_gesso.register()
        assert models["gesso-jpeg"] is other
        compressai_gesso.unregister()
        assert models["gesso-jpeg"] is other
    finally:
        del models["gesso-jpeg"]


ENTRIES = "from compressai.zoo import image_models; assert 'gesso-jpeg' in image_models"
SCRIPTS = {
    "ours first": f"import compressai_gesso, sys; assert 'torch' not in sys.modules; {ENTRIES}",
    "theirs first": f"import compressai; import compressai_gesso; {ENTRIES}",
    "through discovery": f"import gesso_hooks; gesso_hooks.load(); {ENTRIES}",
    "their program": "import compressai_gesso, runpy, sys; "
    "sys.argv = ['eval_model', 'pretrained', '--help']; "
    "runpy.run_module('compressai.utils.eval_model', run_name='__main__')",
    "not asked for any more": "import compressai_gesso; compressai_gesso.unregister(); "
    "from compressai.zoo import image_models; assert 'gesso-jpeg' not in image_models; "
    "compressai_gesso.register(); assert 'gesso-jpeg' in image_models",
}


@pytest.mark.parametrize("order", SCRIPTS)
def test_whoever_is_imported_first(order: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPTS[order]], capture_output=True, text=True, check=False
    )
    assert not done.returncode, done.stderr
    assert order != "their program" or "gesso-jpeg" in done.stdout


def test_without_compressai_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "compressai"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "compressai", None)
    with pytest.raises(InputError, match=r"pip install 'gesso\[compressai\]'"):
        registration.register()


def test_it_is_a_host() -> None:
    [host] = gesso_hosts()
    assert (host.name, host.installed) == ("compressai", True)
    host.unregister()
    assert not ours(library("zoo").image_models)
    host.register()
    assert ours(library("zoo").image_models)
