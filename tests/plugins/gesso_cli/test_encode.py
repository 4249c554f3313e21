"""`gesso encode`: ordinary files of prepared pictures, and nothing else touched."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import Result

import gesso
import gesso_hooks.manager
from gesso import Frame, PreprocessOptions, Runtime, Target
from gesso.cards import DEFAULTS
from gesso_hooks import hookimpl

Run = Callable[..., Result]


@pytest.fixture
def seen() -> Iterator[list[tuple[Target, PreprocessOptions]]]:
    """What the hook is asked, by a plug-in that answers with a negative."""
    asked: list[tuple[Target, PreprocessOptions]] = []

    class Plugin:
        @hookimpl
        def gesso_before_encode(
            self, frame: Frame, target: Target, options: PreprocessOptions
        ) -> Frame:
            asked.append((target, options))
            return frame.with_rgb(1 - frame.rgb)

    plugin = Plugin()
    gesso_hooks.manager.manager().register(plugin)
    yield asked
    gesso_hooks.manager.manager().unregister(plugin)


@pytest.fixture
def source(tmp_path: Path, pixels: NDArray[Any]) -> Path:
    path = tmp_path / "source.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(path, exif=exif, icc_profile=b"profile")
    return path


def test_the_file_is_pillow_s_of_the_prepared_picture(
    run: Run, source: Path, pixels: NDArray[Any], tmp_path: Path
) -> None:
    out = tmp_path / "out.jpg"
    given = ("--effort", "max", "--effort-steps", 2, "--device", "cpu", "--dtype", "fp32")
    result = run("encode", source, "-o", out, "-q", 30, *given)
    assert result.exit_code == 0, result.stderr
    assert f"{source} -> {out} (jpeg quality 30, {out.stat().st_size} bytes, " in result.stderr
    prepared = gesso.preprocess(
        pixels, "jpeg", 30, effort="max", steps=2, runtime=Runtime("cpu", "fp32")
    )
    Image.fromarray(prepared).save(tmp_path / "expected.jpg", quality=30)
    with Image.open(out) as found, Image.open(tmp_path / "expected.jpg") as expected:
        assert np.array_equal(np.asarray(found), np.asarray(expected))
        assert found.quantization == expected.quantization  # type: ignore[attr-defined]
        assert (found.getexif()[0x0112], found.info["icc_profile"]) == (6, b"profile")


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.jpg", "jpeg"), ("a.JPEG", "jpeg"), ("a.webp", "webp"), ("a.avif", "avif")],
)
def test_the_suffix_tells_the_codec(
    run: Run, source: Path, name: str, codec: str, seen: list[Any]
) -> None:
    out = source.with_name(name)
    given = ("--effort", "max", "--strength", 0.5, "--no-guard", "--seconds", 9, "--seed", 3)
    assert run("encode", source, "-o", out, "-q", 40, *given).exit_code == 0
    assert seen == [(Target(codec, 40), PreprocessOptions(None, 0.5, False, 3, "max", None, 9.0))]
    with Image.open(out) as image, Image.open(source) as plain:
        assert image.format == codec.upper()
        far = np.asarray(image).astype(int) - (255 - np.asarray(plain).astype(int))
    assert np.abs(far).mean() < 12


def test_a_folder_takes_many_and_names_the_bad_ones(
    run: Run, source: Path, seen: list[Any], tmp_path: Path
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    given = ("-o", tmp_path / "out", "-q", 50, "--codec", "webp", "--effort", "max", "--json")
    result = run("encode", source, bad, *given)
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["model"], document["effort"], document["quality"]) == (None, "max", 50)
    good, failed = document["pictures"]
    out = tmp_path / "out" / "source.webp"
    assert (good["output"], good["bytes"], good["codec"]) == (str(out), out.stat().st_size, "webp")
    assert failed["error"] == f"{bad} is no picture that Pillow knows; convert it"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "a.png"), "lossless or unknown, and there is nothing to prepare it for"),
        (("-o", "a.jpg", "--codec", "webp"), "a.jpg is a name for jpeg, not for webp"),
        (("-o", "out", "--codec", "vvc"), "cannot write files of vvc; --codec is one of jpeg,"),
        (("-o", "a.jpg", "--effort", "fast"), "efforts medium and max do without one"),
        (("-o", "a.jpg", "-q", 0), "quality 0 is outside jpeg's range"),
    ],
)
def test_what_is_wrong_is_named(
    run: Run, source: Path, arguments: tuple[Any, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    monkeypatch.setitem(DEFAULTS, "preprocessor", "gone")
    result = run("encode", source, "-q", 30, "--effort", "max", *arguments)
    assert result.exit_code == 1 and said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(source.parent.glob("a.*"))


def test_a_file_that_is_there_survives(run: Run, source: Path, seen: list[Any]) -> None:
    out = source.with_name("out.jpg")
    out.write_bytes(b"mine")
    given = ("-o", out, "-q", 30, "--effort", "max")
    result = run("encode", source, *given)
    assert result.exit_code == 1 and "pass --overwrite to replace it" in result.stderr
    assert out.read_bytes() == b"mine"
    assert run("encode", source, *given, "--overwrite").exit_code == 0
    assert out.read_bytes() != b"mine"
