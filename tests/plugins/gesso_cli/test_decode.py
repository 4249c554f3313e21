"""`gesso decode` and `gesso enhance`: ``.gsl`` files to pictures, plainly or repaired."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import Result

from gesso.cards import ModelCard
from gesso.latent.codec import LATENT, LatentCodec
from gesso.latent.repair import RepairOptions
from gesso.runtime import Runtime

Run = Callable[..., Result]
FP32 = Runtime("cpu", "fp32")
PLAIN = LatentCodec(runtime=FP32)
HERE = ("--device", "cpu", "--dtype", "fp32")


@pytest.fixture
def source(tmp_path: Path, pixels: NDArray[Any], latent: dict[str, Path]) -> Path:
    path = tmp_path / "a.gsl"
    path.write_bytes(LATENT.encode(Image.fromarray(pixels), 32))
    return path


def shown(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def repaired(source: Path, **options: Any) -> NDArray[Any]:
    codec = LatentCodec(repair=RepairOptions(**options), runtime=FP32)
    return np.asarray(codec.decode(source.read_bytes()))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_a_plain_decode_is_the_codec_s(run: Run, source: Path, suffix: str) -> None:
    out = source.with_suffix(suffix)
    result = run("decode", source, "-o", out, *HERE)
    assert result.exit_code == 0, result.stderr
    assert f"{source} -> {out} (32 entries, " in result.stderr
    assert np.array_equal(shown(out), PLAIN.decode(source.read_bytes()))


def test_the_repair_s_options_ask_for_it(
    run: Run, source: Path, latent: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.png"
    plain = np.asarray(PLAIN.decode(source.read_bytes()))
    given: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        (("--repair",), {}),
        (("--steps", 2, "--strength", 0.1), {"steps": 2, "strength": 0.1}),
        (("--start", 0.3), {"start": 0.3}),
        (("--prior", latent["prior"]), {}),
    ]
    for arguments, options in given:
        result = run("decode", source, "-o", out, "--overwrite", *arguments, *HERE)
        assert result.exit_code == 0, result.stderr
        assert "(32 entries, repaired, " in result.stderr
        assert np.array_equal(shown(out), repaired(source, **options))
        assert not np.array_equal(shown(out), plain)


def test_a_folder_takes_many_and_names_the_bad_ones(
    run: Run, source: Path, photo: Path, tmp_path: Path
) -> None:
    cut, grey = tmp_path / "cut.gsl", tmp_path / "grey.gsl"
    cut.write_bytes(source.read_bytes()[:-1])
    with Image.open(photo) as image:
        grey.write_bytes(LATENT.encode(image.convert("L"), 16))
    result = run("decode", source, cut, grey, photo, "-o", tmp_path / "out", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["repaired"] is False
    good, damaged, flat, foreign = document["pictures"]
    assert (good["quality"], good["width"], good["height"]) == (32, 96, 72)
    assert good["bytes"] == source.stat().st_size and good["repaired"] is False
    assert damaged["error"] == f"{cut}: the file ends within its checksum; it is truncated"
    assert foreign["error"].startswith(f"{photo}: this is no .gsl file")
    assert shown(Path(flat["output"])).shape == (72, 96)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.png", "grey.png"]


def test_an_autoencoder_that_is_not_registered(
    run: Run, source: Path, latent: dict[str, Path], pixels: NDArray[Any]
) -> None:
    other = LatentCodec(model=str(latent["other"]))
    made = replace(LATENT, model=str(latent["other"])).encode(Image.fromarray(pixels), 32)
    from gesso import cards

    cards._registry.pop(str(latent["other"]))
    source.write_bytes(made)
    out = source.with_suffix(".png")
    result = run("decode", source, "-o", out)
    assert result.exit_code == 1 and "which is not here" in result.stderr
    assert "pass its name or folder as --autoencoder" in result.stderr
    assert not out.exists()
    assert run("decode", source, "-o", out, "--autoencoder", latent["other"]).exit_code == 0
    assert np.array_equal(shown(out), other.decode(made))
    given = ("-o", out, "--overwrite", "--autoencoder", latent["other"])
    assert run("enhance", source, "--tradeoff", 0, *given).exit_code == 0
    assert np.array_equal(shown(out), other.decode(made))
    for command, option in (("decode", "--repair"), ("enhance", "--tradeoff=1")):
        result = run(command, source, option, *given)
        assert result.exit_code == 1 and "no prior is known for the latents" in result.stderr
        assert f"name one as {'--prior' if command == 'decode' else '--model'}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "a.xyz"), "no picture format for .xyz"),
        (("-o", "b.png", "--edges", 0.3), "--edges is the weight of a ControlNet"),
        (("-o", "b.png", "--controlnet", "nonesuch"), "Stable Diffusion folder as its prior"),
        (("-o", "b.png", "--prior", "nonesuch"), "no prior named 'nonesuch'"),
    ],
)
def test_what_is_wrong_is_named(
    run: Run, source: Path, arguments: tuple[Any, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.parent)
    result = run("decode", source, *arguments)
    assert result.exit_code == 1 and said in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(source.parent.iterdir()) == [source]


def test_enhance_repairs_as_far_as_it_is_told(
    run: Run, source: Path, latent: dict[str, Path]
) -> None:
    usual: Any = RepairOptions().completed(ModelCard.read(latent["prior"]))
    out = source.with_suffix(".png")
    plain = np.asarray(PLAIN.decode(source.read_bytes()))
    half = repaired(source, strength=usual.strength / 2, start=usual.start / 2, steps=3)
    for arguments, expected in (
        ((), repaired(source)),
        (("--model", latent["prior"]), repaired(source)),
        (("--tradeoff", 0), plain),
        (("--tradeoff", 0.5, "--steps", 3), half),
    ):
        result = run("enhance", source, "-o", out, "--overwrite", *arguments, *HERE)
        assert result.exit_code == 0, result.stderr
        assert np.array_equal(shown(out), expected)
        assert ("repaired" in result.stderr) == (expected is not plain)


def test_enhance_names_what_does_not_apply(run: Run, source: Path) -> None:
    out = source.with_suffix(".png")
    result = run("enhance", source, "-o", out, "--preset", "slow", "--sigma", 0.1)
    assert result.exit_code == 1
    assert f"{source}: --sigma, --preset does not apply to the repair of a .gsl" in result.stderr
    assert not out.exists()


def test_other_commands_name_the_way(run: Run, source: Path) -> None:
    result = run("encode", source, "-o", source.with_suffix(".jpg"), "-q", 30)
    assert result.exit_code == 1
    assert f"{source} is a .gsl; gesso decode makes a PNG of it" in result.stderr


def test_enhance_of_other_files_takes_no_autoencoder(
    run: Run, photo: Path, latent: dict[str, Path]
) -> None:
    out = photo.with_suffix(".png")
    result = run("enhance", photo, "-o", out, "--autoencoder", latent["own"])
    assert result.exit_code == 1
    assert f"{photo} is no .gsl, which --autoencoder is for" in result.stderr
    assert not out.exists()


def test_the_repair_tells_how_far_it_is(source: Path) -> None:
    told: list[tuple[int, int]] = []
    runtime = replace(FP32, progress=lambda done, total: told.append((done, total)))
    wish = RepairOptions(steps=2, strength=0.1)
    LatentCodec(repair=wish, runtime=runtime).decode(source.read_bytes())
    assert told == [(done, len(told)) for done in range(1, len(told) + 1)] and len(told) >= 4
