"""`gesso encode` to ``.gsl``: pixels alone, as the codec has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import Result

from gesso.latent.codec import LATENT, LatentCodec

Run = Callable[..., Result]


@pytest.fixture
def source(tmp_path: Path, pixels: NDArray[Any], latent: dict[str, Path]) -> Path:
    Image.fromarray(pixels).save(tmp_path / "source.png")
    return tmp_path / "source.png"


def test_the_file_is_the_codec_s(
    run: Run, source: Path, pixels: NDArray[Any], latent: dict[str, Path]
) -> None:
    out, picture = source.with_name("a.gsl"), Image.fromarray(pixels)
    result = run("encode", source, "-o", out, "-q", 32)
    assert result.exit_code == 0, result.stderr
    assert out.read_bytes() == LATENT.encode(picture, 32)
    size = out.stat().st_size
    assert f"{source} -> {out} (latent quality 32, {size} bytes, " in result.stderr
    options = {"palette": "kmeans", "dither": 0.5, "model": str(latent["other"])}
    given = ("--palette", "kmeans", "--dither", 0.5, "--autoencoder", latent["other"])
    assert run("encode", source, "-o", out, "-q", 16, "--overwrite", *given).exit_code == 0
    assert out.read_bytes() == LatentCodec(**options).encode(picture, 16)  # type: ignore[arg-type]
    given = ("--refine", 2, "--overwrite")
    assert run("encode", source, "-o", out, "-q", 32, *given).exit_code == 0
    assert out.read_bytes() == LatentCodec(refine=2).encode(picture, 32)


def test_a_folder_takes_many_and_says_what_is_left_out(run: Run, source: Path) -> None:
    exif, rotated = Image.Exif(), source.with_name("turned.jpg")
    exif[0x0112] = 6
    with Image.open(source) as image:
        image.save(rotated, exif=exif, icc_profile=b"profile")
        image.convert("RGBA").save(source.with_name("clear.png"))
        image.convert("L").save(source.with_name("grey.png"))
    deep = source.with_name("deep.png")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(deep)
    sources = (rotated, source.with_name("grey.png"), source.with_name("clear.png"), deep)
    out = source.parent / "out"
    result = run("encode", *sources, "-o", out, "-q", 32, "--codec", "latent", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["autoencoder"], document["quality"]) == (None, 32)
    turned, grey, clear, wide = document["pictures"]
    assert turned["bytes"] == (out / "turned.gsl").stat().st_size
    assert (turned["width"], turned["height"]) == (96, 72)
    assert f"pixels alone: EXIF, ICC profile of {rotated} left out" in result.stderr
    assert LATENT.unpacked(Path(grey["output"]).read_bytes()).header.grey
    assert "mode RGBA cannot be coded" in clear["error"]
    assert "has 16 bits per channel" in wide["error"]
    assert sorted(each.name for each in out.iterdir()) == ["grey.gsl", "turned.gsl"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "a.gsl", "--effort", "max"), "--effort does not apply: nothing is prepared"),
        (("-o", "a.gsl", "--effort-steps", 2), "--effort-steps does not apply"),
        (("-o", "a.gsl", "--seconds", 2), "--seconds does not apply"),
        (
            ("-o", "a.gsl", "--strength", 0.5, "--no-guard", "--seed", 3),
            "--strength, --no-guard, --seed does not apply",
        ),
        (("-o", "a.gsl", "-q", 8), "quality 8 is outside latent's range [16, 256]"),
        (("-o", "a.gsl", "--palette", "best"), "palette is one of shared, kmeans, imagequant"),
        (("-o", "a.gsl", "--autoencoder", "nonesuch"), "no autoencoder named 'nonesuch'"),
        (("-o", "a.gsl", "--codec", "jpeg"), "a.gsl is a name for latent, not for jpeg"),
        (("-o", "a.jpg", "--palette", "kmeans"), "--palette is for .gsl, not for jpeg"),
        (("-o", "a.jpg", "--dither", 1.0), "--dither is for .gsl, not for jpeg"),
    ],
)
def test_what_does_not_go_together_is_named(
    run: Run, source: Path, arguments: tuple[Any, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    result = run("encode", source, "-q", 32, *arguments)
    assert result.exit_code == 1 and said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not list(source.parent.glob("a.*"))


def test_without_an_autoencoder_commands_say_so(
    run: Run, source: Path, latent: dict[str, Path], no_autoencoder: Callable[[], None]
) -> None:
    no_autoencoder()
    said = "no autoencoder named 'autoencoder'"
    result = run("encode", source, "-o", source.with_name("a.gsl"), "-q", 32)
    assert result.exit_code == 1 and said in result.stderr
    assert not source.with_name("a.gsl").exists()
    val = source.parent / "val"
    val.mkdir()
    for index in range(8):  # the fewest to calibrate on
        (val / f"{index}.png").write_bytes(source.read_bytes())
    one = ("--metrics", "psnr", "--jobs", 1)
    for command in (
        ("traverse", source.parent, "--codec", "latent", "-q", 64, "--jobs", 1),
        ("compare", source, "--codec", "latent", "-q", "64", "--metrics", "psnr"),
        ("evaluate", source.parent, "--codec", "latent", "--side", "enhance", *one),
        ("peers", source.parent, "--codec", "latent", "--side", "enhance", *one),
        ("table", source.parent, "--codecs", "latent", *one),
        ("calibrate", latent["prior"], val, "--codecs", "latent"),
        ("at-size", source.parent, "--codecs", "", "--metrics", "psnr"),
    ):
        result = run(*command)
        assert result.exit_code == 1 and said in result.stderr, (command, result.stderr)
        assert "mistake in gesso" not in result.stderr
    rows = json.loads(run("codecs", "--json").stdout)
    [problem] = [row["problem"] for row in rows if row["name"] == "latent"]
    assert said in problem
