"""The plug-in is compiled once, kept privately, and never half there."""

from __future__ import annotations

import os
import shutil
import stat
import sys
from pathlib import Path

import pytest

from ffmpeg_gesso.frei0r import building
from ffmpeg_gesso.frei0r.building import SUFFIX, VARIABLE, built, environment
from gesso.errors import InputError

needs_compiler = pytest.mark.skipif(
    not any(map(shutil.which, building.COMPILERS)), reason="needs a C compiler"
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (VARIABLE, "CC", "FREI0R_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "gesso" / "frei0r"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir(0o700)
    return folder


@needs_compiler
def test_it_is_compiled_once(
    folder: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(folder)
    [kept] = cache.iterdir()
    assert (folder / f"gesso{SUFFIX}").resolve() == kept
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    before = kept.stat().st_mtime_ns
    monkeypatch.setenv("CC", "no-such-compiler")
    again = tmp_path / "again"
    again.mkdir()
    built(again)
    assert (again / f"gesso{SUFFIX}").resolve() == kept
    assert kept.stat().st_mtime_ns == before


@needs_compiler
@pytest.mark.parametrize("spoilt", ["open to all", "no folder"])
def test_a_cache_that_is_not_private_is_left_alone(
    spoilt: str, folder: Path, cache: Path, tmp_path: Path
) -> None:
    if spoilt == "open to all":
        cache.mkdir(parents=True)
        cache.chmod(0o777)
    else:
        (tmp_path / "cache").write_text("a file")
    built(folder)
    made = folder / f"gesso{SUFFIX}"
    assert made.is_file()
    assert not made.is_symlink()
    assert spoilt == "no folder" or not list(cache.iterdir())


def test_a_plug_in_that_is_built_already(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "other.so"
    given.write_bytes(b"a plug-in")
    monkeypatch.setenv(VARIABLE, str(given))
    monkeypatch.setenv("CC", "no-such-compiler")
    built(folder)
    assert (folder / f"gesso{SUFFIX}").read_bytes() == b"a plug-in"
    given.unlink()
    with pytest.raises(InputError, match=r"GESSO_FREI0R names .*other.so, which is no file"):
        built(folder)


def test_without_a_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(InputError, match=r"needs a C compiler once.*GESSO_FREI0R.*exact route"):
        built(folder)


def test_a_compiler_that_fails_leaves_nothing(
    folder: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "cc.py"
    script.write_text("import sys; sys.exit('gesso.c: too good for me')")
    monkeypatch.setenv("CC", f"{sys.executable} {script}")
    with pytest.raises(InputError, match=r"cannot compile gesso\.c: gesso\.c: too good"):
        built(folder)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(InputError, match="no-such-compiler cannot be run"):
        built(folder)
    assert list(folder.iterdir()) == []
    assert list(cache.iterdir()) == []


def test_plug_ins_of_the_user_s_are_still_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    socket = folder / "socket"
    found = environment(folder, socket)
    assert (found["FREI0R_PATH"], found["GESSO_SOCKET"]) == (str(folder), str(socket))
    monkeypatch.setenv("FREI0R_PATH", "/mine")
    assert environment(folder, socket)["FREI0R_PATH"] == f"{folder}{os.pathsep}/mine"
