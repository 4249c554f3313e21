"""`gesso traverse`: two ways from the decode to the natural picture, as table, page, document."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import Result

from gesso_cli.demo import photograph

Run = Callable[..., Result]


@pytest.fixture
def source(tmp_path: Path, pixels: NDArray[Any]) -> Path:
    path = tmp_path / "source.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def traverse(run: Run, tiny: Path, source: Path) -> Run:
    def call(*arguments: object, metrics: str | None = "psnr,ssim") -> Result:
        rest = ["--model", tiny, "--device", "cpu", "--jobs", "1", "--tradeoffs", "0.5"]
        if metrics:
            rest += ["--metrics", metrics]
        return run("traverse", source, *rest, *arguments)

    return call


def test_table_document_and_page_agree(traverse: Run, tmp_path: Path) -> None:
    report, page = tmp_path / "report.json", tmp_path / "page.html"
    result = traverse("-q", "15", "--json", report, "--html", page)
    assert result.exit_code == 0, result.stderr
    document = json.loads(report.read_text())
    assert document["qualities"] == [15]
    points = document["traversal"]
    assert [p["tradeoff"] for p in points] == [0, 0, 0, 0.5, 0.5, 1, 1]
    title, heading, *lines = result.stdout.splitlines()
    assert title.startswith("jpeg, quality 15, 1 picture, ") and "preset fast" in title
    assert heading.split() == ["tradeoff", "PSNR", "SSIM"]
    for point, line in zip(points, lines, strict=True):
        values = (f"{point['values']['psnr']:.2f}", f"{point['values']['ssim']:.4f}")
        assert line.split()[-3:] == [point["way"], *values]
    assert '"scale": "tradeoff"' in page.read_text("utf-8")


def test_it_is_resumed(traverse: Run, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert traverse("--json", report).exit_code == 0
    before = json.loads(report.read_text())
    assert "exists; pass --resume" in traverse("--json", report).stderr
    assert traverse("--json", report, "--resume").exit_code == 0
    assert json.loads(report.read_text())["pictures"] == before["pictures"]


def test_of_few_pictures_the_patches_are_compared(traverse: Run, source: Path) -> None:
    photograph("astronaut").crop((180, 0, 308, 64)).save(source)  # of two patches
    result = traverse("--json", "-", "--tradeoffs", "0", metrics=None)
    document = json.loads(result.stdout)
    assert list(document["lower_is_better"]) == ["psnr", "lpips", "dists", "patch_fid"]
    assert document["traversal"][-1]["values"]["patch_fid"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-q", "500"), "quality 500 is outside jpeg's range"),
        (("--tradeoffs", "2"), "tradeoff must be"),
        (("--tradeoffs", "x"), "'x' is no list of numbers"),
        (("--codec", "nonesuch"), "no codec named 'nonesuch'"),
        (("--resume",), "--resume needs the report"),
    ],
)
def test_wrong_settings_are_named(traverse: Run, arguments: tuple[str, ...], said: str) -> None:
    result = traverse(*arguments)
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
