"""`gesso enhance`: the right file, from the right settings, and nothing else touched."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from typer.testing import CliRunner, Result

import gesso
import gesso_hooks.manager
from gesso import EnhanceOptions, Frame, Target, cards
from gesso.cards import ModelCard, register_model
from gesso_cli.app import build
from gesso_hooks import hookimpl

Run = Callable[..., Result]


@pytest.fixture
def enhance(run: Run, tiny: Path) -> Run:
    """``enhance(...)``: the sub-command with the tiny model, on the CPU."""

    def call(*arguments: object) -> Result:
        return run("enhance", *arguments, "--model", tiny, "--device", "cpu")

    return call


@pytest.fixture
def seen() -> Iterator[list[tuple[Target | None, EnhanceOptions, tuple[int, int], int]]]:
    """What the hook is asked, by a plug-in that answers with a negative."""
    asked: list[tuple[Target | None, EnhanceOptions, tuple[int, int], int]] = []

    class Plugin:
        @hookimpl
        def gesso_after_decode(
            self, frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Any
        ) -> Frame:
            asked.append((target, options, (frame.height, frame.width), runtime.tile))
            return frame.with_rgb(1 - frame.rgb)

    plugin = Plugin()
    gesso_hooks.manager.manager().register(plugin)
    yield asked
    gesso_hooks.manager.manager().unregister(plugin)


def pixels_of(path: Path) -> NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(image)


def test_the_file_is_what_the_library_makes(enhance: Run, photo: Path, tiny: Path) -> None:
    result = enhance(photo, "-o", photo.with_name("out.png"), "--seed", 3)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.startswith(f"gesso: {photo} -> {photo.with_name('out.png')} (jpeg quality")
    register_model(ModelCard.read(tiny))
    expected = gesso.enhance(Image.open(photo), seed=3, model="tiny", runtime=gesso.Runtime("cpu"))
    assert np.array_equal(pixels_of(photo.with_name("out.png")), np.asarray(expected))


def test_options_reach_the_hook_once_per_picture(
    enhance: Run, photo: Path, pixels: NDArray[Any], seen: list[Any]
) -> None:
    out = photo.with_name("out.png")
    given = ("--preset", "slow", "--tradeoff", 0.5, "--seed", 7, "--steps", 3, "--tile", 256)
    assert enhance(photo, "-o", out, *given).exit_code == 0
    [(target, options, size, tile)] = seen
    assert target == Target("jpeg", 20)
    assert options == EnhanceOptions("tiny", "slow", 0.5, 7, None, 3)
    assert (size, tile) == ((72, 96), 256)
    assert np.array_equal(pixels_of(out), 255 - pixels_of(photo))


def test_tradeoff_0_is_the_decoded_picture(enhance: Run, photo: Path) -> None:
    out = photo.with_name("out.png")
    assert enhance(photo, "-o", out, "--tradeoff", 0).exit_code == 0
    assert np.array_equal(pixels_of(out), pixels_of(photo))


def test_json_is_all_there_is_on_stdout(enhance: Run, photo: Path) -> None:
    bad = photo.with_name("bad.jpg")
    bad.write_bytes(b"no picture")
    result = enhance(photo, bad, "-o", photo.parent / "out", "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["model"], document["preset"]) == ("tiny", "fast")
    good, failed = document["pictures"]
    assert good["output"] == str(photo.parent / "out" / "photo.png")
    assert (good["codec"], good["quality"], good["width"], good["height"]) == ("jpeg", 20, 96, 72)
    said = f"{bad} is no picture that Pillow knows; convert it"
    assert failed == {"source": str(bad), "error": said}


def test_one_bad_picture_is_named_and_the_rest_goes_on(
    enhance: Run, photo: Path, pixels: NDArray[Any]
) -> None:
    folder = photo.parent
    whole = photo.read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "zero.jpg").touch()
    Image.fromarray(pixels).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(pixels).save(folder / "good.webp", quality=40)
    bad = [folder / name for name in ("cut.jpg", "zero.jpg", "cmyk.jpg", "missing.jpg")]
    result = enhance(photo, *bad, folder / "good.webp", "-o", folder / "out")
    assert result.exit_code == 1
    assert sorted(os.listdir(folder / "out")) == ["good.png", "photo.png"]
    lines = result.stderr.splitlines()
    assert len(lines) == 6
    assert "cut.jpg is damaged: " in lines[1]
    assert "zero.jpg is empty (0 bytes)" in lines[2]
    assert "cmyk.jpg is in mode CMYK; convert it to RGB" in lines[3]
    assert "missing.jpg: No such file or directory; check the path" in lines[4]


def test_nothing_is_replaced_unasked(enhance: Run, photo: Path, pixels: NDArray[Any]) -> None:
    out = photo.with_name("out.png")
    out.write_bytes(b"mine")
    result = enhance(photo, "-o", out)
    assert (result.exit_code, result.stderr) == (
        1,
        f"gesso: {out} exists; pass --overwrite to replace it\n",
    )
    assert out.read_bytes() == b"mine"
    Image.fromarray(pixels).save(photo.with_name("own.png"))
    own = photo.with_name("own.png")
    before = own.read_bytes()
    result = enhance(own, "-o", photo.parent, "--sigma", 0.1)
    assert result.stderr == f"gesso: {own} would replace its own input; pass --overwrite to do so\n"
    assert own.read_bytes() == before
    assert enhance(own, "-o", photo.parent, "--sigma", 0.1, "--overwrite").exit_code == 0
    assert own.read_bytes() != before
    assert enhance(photo, "-o", out, "--overwrite").exit_code == 0
    assert pixels_of(out).shape == (72, 96, 3)


def test_two_results_never_go_to_one_place(enhance: Run, photo: Path) -> None:
    (photo.parent / "b").mkdir()
    other = photo.parent / "b" / "photo.jpg"
    other.write_bytes(photo.read_bytes())
    result = enhance(photo, other, "-o", photo.parent / "out", "--overwrite")
    assert result.exit_code == 1
    assert f"several pictures would become {photo.parent / 'out' / 'photo.png'}" in result.stderr
    assert os.listdir(photo.parent / "out") == []


@pytest.mark.parametrize("out", ["new", "new.folder/", "there.d"])
def test_folders_are_made_and_taken(enhance: Run, photo: Path, out: str) -> None:
    (photo.parent / "there.d").mkdir()
    assert enhance(photo, "-o", f"{photo.parent}/{out}").exit_code == 0
    assert (photo.parent / out / "photo.png").exists()


def test_names_that_cannot_be_written(enhance: Run, photo: Path) -> None:
    for out, said in {
        "out.gif": "no picture format for .gif; end it in .png, ",
        "missing/out.png": "create its folder first",
    }.items():
        result = enhance(photo, "-o", photo.parent / out)
        assert result.exit_code == 1
        assert said in result.stderr
        assert result.stderr.count("\n") == 1
    file = photo.with_name("file.png")
    file.touch()
    result = enhance(photo, photo, "-o", file)
    assert "file.png is a file; name a folder for 2 pictures" in result.stderr


def test_a_lossy_output_says_so(enhance: Run, photo: Path) -> None:
    out = photo.with_name("out.jpg")
    result = enhance(photo, "-o", out)
    assert result.exit_code == 0
    assert "will be JPEG at its best, quality 100, 4:4:4; only .png is lossless" in result.stderr
    with Image.open(out) as image:
        assert isinstance(image, JpegImageFile)
        assert set(image.quantization[0]) == {1}


def test_metadata_and_orientation_are_kept(enhance: Run, photo: Path) -> None:
    exif = Image.Exif()
    exif[274] = 6
    with Image.open(photo) as image:
        image.save(photo, quality=20, exif=exif, icc_profile=b"profile", xmp=b"<xmp/>")
    out = photo.with_name("out.png")
    assert enhance(photo, "-o", out).exit_code == 0
    with Image.open(out) as image:
        image.load()
        assert image.size == (96, 72)
        assert image.getexif()[274] == 6
        assert (image.info["icc_profile"], image.info["xmp"]) == (b"profile", b"<xmp/>")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--codec", "nonesuch", "--quality", 3), "no codec named 'nonesuch'; there are avif,"),
        (("--quality", 300), "quality 300 is outside jpeg's range [1, 100]"),
        (
            ("--preset", "slow"),
            "has no preset 'slow', only fast, medium; choose one of",
        ),
        (("--device", "nonesuch"), "device 'nonesuch' is not to be had here; use 'auto' or 'cpu'"),
        (("--model", "nonesuch"), "no prior named 'nonesuch'; there are: consistency, "),
        (("--tile", 200), "tile 200 and tile - overlap"),
    ],
)
def test_wrong_settings_are_named(
    run: Run, photo: Path, tiny: Path, arguments: tuple[object, ...], said: str
) -> None:
    rest = () if "--model" in arguments else ("--model", tiny)
    result = run("enhance", photo, "-o", photo.with_name("out.png"), *arguments, *rest)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not photo.with_name("out.png").exists()


@pytest.mark.parametrize(
    "arguments", [("--tradeoff", "1.5"), ("--steps", "0"), ("--preset", "x"), ("--seed", "-1")]
)
def test_values_out_of_range_are_usage_errors(
    run: Run, photo: Path, arguments: tuple[str, ...]
) -> None:
    result = run("enhance", photo, "-o", photo.with_name("out.png"), *arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"gesso: Invalid value for '{arguments[0]}'")
    assert result.stderr.endswith("; see gesso enhance --help\n")
    assert result.stderr.count("\n") == 1


def test_damaged_weights_are_named(run: Run, photo: Path, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    for file in tiny.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    weights = folder / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    cards._make.cache_clear()  # the undamaged ones may be in memory
    result = run("enhance", photo, "-o", photo.with_name("out.png"), "--model", folder)
    assert result.exit_code == 1
    assert "has SHA-256" in result.stderr
    assert not photo.with_name("out.png").exists()


def test_a_full_disk_leaves_the_destination_alone(photo: Path, tiny: Path) -> None:
    out = photo.with_name("out.png")
    out.write_bytes(b"mine")
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); "
    script = "from gesso_cli.app import main; main()"
    arguments = ("enhance", photo, "-o", out, "--overwrite", "--model", tiny)
    done = subprocess.run(
        [sys.executable, "-c", limit + script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 5000
    assert done.returncode == 1
    assert done.stderr == (
        f"gesso: cannot write {out}: File too large; free some space or choose another place\n"
    )
    assert out.read_bytes() == b"mine"
    assert sorted(os.listdir(photo.parent)) == ["out.png", "photo.jpg"]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    mode=st.sampled_from(["RGB", "RGBA", "L", "LA", "I;16"]),
    width=st.integers(1, 40),
    height=st.integers(1, 40),
)
def test_size_mode_and_alpha_of_any_picture_are_kept(
    tmp_path: Path, tiny: Path, mode: str, width: int, height: int
) -> None:
    bands = {"RGB": 3, "RGBA": 4, "LA": 2}.get(mode)
    shape = (height, width, bands) if bands else (height, width)
    top = 65535 if mode == "I;16" else 255
    array = np.random.default_rng(1).integers(0, top + 1, shape)
    image = Image.fromarray(array.astype(np.uint16 if mode == "I;16" else np.uint8))
    source, out = tmp_path / "a.png", tmp_path / "b.png"
    image.save(source)
    arguments = ["enhance", source, "-o", out, "--sigma", "0.1", "--overwrite", "--model", tiny]
    result = CliRunner().invoke(build(), [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.stderr
    with Image.open(out) as back:
        assert (back.mode, back.size) == (mode, image.size)
        if mode in ("RGBA", "LA"):
            assert back.getchannel("A").tobytes() == image.getchannel("A").tobytes()
