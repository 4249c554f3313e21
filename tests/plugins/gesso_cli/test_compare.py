"""`gesso compare`: one photograph, plain against gesso, at equal bytes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from typer.testing import Result

import gesso_hooks.manager
from gesso import Frame
from gesso.cards import ModelCard
from gesso_hooks import hookimpl

Run = Callable[..., Result]


@pytest.fixture
def source(tmp_path: Path, pixels: NDArray[Any]) -> Path:
    path = tmp_path / "source <b>.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def compare(run: Run, tiny: Path, source: Path) -> Run:
    def call(*arguments: object) -> Result:
        rest = ("--model", tiny, "--device", "cpu", "--metrics", "psnr")
        return run("compare", source, *rest, *arguments)

    return call


@pytest.fixture
def blurring(tmp_path: Path, tiny: Path) -> Iterator[Path]:
    """The folder of a preprocessor, and a plug-in that does its work: it blurs."""

    class Plugin:
        @hookimpl
        def gesso_before_encode(self, frame: Frame) -> Frame:
            return Frame.of(frame.restore().filter(ImageFilter.GaussianBlur(1)))

    folder = shutil.copytree(tiny, tmp_path / "blur")
    replace(ModelCard.read(tiny), name="blur", role="preprocessor", folder=folder).write()
    plugin = Plugin()
    gesso_hooks.manager.manager().register(plugin)
    yield folder
    gesso_hooks.manager.manager().unregister(plugin)


def embedded(page: Path) -> dict[str, Any]:
    """What the page's scripts read."""
    [text] = re.findall(r'id="content">(.*?)</script>', page.read_text("utf-8"), re.DOTALL)
    return json.loads(text)


def test_page_report_and_table_agree(compare: Run, tmp_path: Path) -> None:
    page, report = tmp_path / "page.html", tmp_path / "report.json"
    result = compare("-q", "10,40", "--html", page, "--json", report)
    assert result.exit_code == 0, result.stderr
    document, content = json.loads(report.read_text()), embedded(page)
    assert (document["images"], document["qualities"]) == (1, [10, 40])
    assert [p["quality"] for p in content["pairs"]] == [10, 40]
    for number, pair in enumerate(content["pairs"]):
        plain, gesso = document["points"][2 * number : 2 * number + 2]
        assert f"PSNR {plain['psnr']:.2f}" in pair["captions"][0]
        assert f"PSNR {gesso['psnr']:.2f}" in pair["captions"][1]
        assert f"{plain['psnr']:.2f}" in result.stdout
        # one file is behind both
        assert pair["captions"][0].split(" · ")[:2] == pair["captions"][1].split(" · ")[:2]
    assert content["pairs"][0]["name"] == "source <b>.png"
    assert "<title>source &lt;b&gt;.png: jpeg with and without gesso" in page.read_text("utf-8")


def test_without_files_there_is_the_table(compare: Run, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    result = compare("-q", "20")
    assert result.exit_code == 0 and "PSNR" in result.stdout
    assert sorted(tmp_path.iterdir()) == before


def test_json_on_stdout_is_all_there_is_on_it(compare: Run) -> None:
    result = compare("-q", "20", "--json", "-")
    assert json.loads(result.stdout)["codec"] == "jpeg"


def test_the_way_to_gesso_is_walked_in_its_order(compare: Run, tmp_path: Path) -> None:
    page, report = tmp_path / "page.html", tmp_path / "report.json"
    result = compare(
        "-q", "20", "--training-free", "--tradeoffs", "1,0.5,0.25", "--html", page, "--json", report
    )
    assert result.exit_code == 0, result.stderr
    names = [p["variant"] for p in json.loads(report.read_text())["points"]]
    assert names == ["plain", "tradeoff 0.25", "tradeoff 0.5", "gesso"]
    content = embedded(page)
    assert [s["name"] for s in content["series"] if s["way"]] == names
    assert len(content["pairs"]) == 1
    psnr = [s["points"][0]["values"]["psnr"] for s in content["series"]]
    # a prior of random weights errs more the more of it there is
    assert psnr == sorted(psnr, reverse=True) and psnr[0] > psnr[-1]


def test_before_the_encoder_bytes_are_made_equal(
    run: Run, source: Path, blurring: Path, tmp_path: Path, pixels: NDArray[Any]
) -> None:
    page, report = tmp_path / "page.html", tmp_path / "report.json"
    result = run(
        "compare", source, "--side", "preprocess", "--model", blurring, "--metrics", "psnr",
        "-q", "30,60", "--html", page, "--json", report, "--device", "cpu",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    points = json.loads(report.read_text())["points"]
    for number, pair in enumerate(embedded(page)["pairs"]):
        plain, gesso = (
            dict(zip(("quality", "bytes"), re.findall(r"quality ([\d.]+) · ([\d,]+) bytes", c)[0],
                     strict=True)) for c in pair["captions"]
        )  # fmt: skip
        # a blur saves bytes, so that plain gets a lower quality for as many
        assert float(gesso["quality"]) == pair["quality"] > float(plain["quality"])
        size = int(gesso["bytes"].replace(",", ""))
        assert size / pixels[..., 0].size * 8 == pytest.approx(points[2 * number + 1]["bpp"])
        sizes = [coded_size(pixels, quality) for quality in range(1, 101)]
        nearest = min(abs(other - size) for other in sizes)
        assert abs(int(plain["bytes"].replace(",", "")) - size) == nearest
        assert int(plain["bytes"].replace(",", "")) == sizes[int(plain["quality"]) - 1]


def coded_size(pixels: NDArray[Any], quality: int) -> int:
    from gesso.codec import get_codec

    return len(get_codec("jpeg").encode(Image.fromarray(np.asarray(pixels)), quality))


def test_files_that_exist_are_kept(compare: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    result = compare("-q", "20", "--html", page)
    assert result.exit_code == 1
    assert f"{page} exists; pass --overwrite" in result.stderr.replace("\n", " ")
    assert page.read_text() == "mine"
    assert compare("-q", "20", "--html", page, "--overwrite").exit_code == 0
    assert page.read_text("utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--html", "nowhere/page.html"), "cannot write nowhere/page.html: create its folder"),
        (("--codec", "nonesuch"), "no codec named 'nonesuch'"),
        (("-q", "x"), "'x' is no list of numbers"),
        (("-q", "500"), "quality 500 is outside jpeg's range"),
        (("--side", "nonesuch"), "no side 'nonesuch'"),
        (("--side", "preprocess", "--tradeoffs", "0.5"), "--tradeoffs are of --side enhance"),
        (("--tradeoffs", "2"), "tradeoff"),
    ],
)
def test_wrong_settings_are_named(compare: Run, arguments: tuple[str, ...], said: str) -> None:
    result = compare(*arguments)
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr


def test_a_photo_that_cannot_be_used_is_named(run: Run, tiny: Path, tmp_path: Path) -> None:
    torn = tmp_path / "torn.png"
    torn.write_bytes(b"no picture")
    result = run("compare", torn, "--model", tiny, "--device", "cpu", "-q", "20")
    assert result.exit_code == 1
    assert "torn.png: not a picture that Pillow knows" in result.stderr
