"""`gesso evaluate`: a table for people, a report for machines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter
from typer.testing import Result

import gesso_hooks.manager
from gesso import Frame
from gesso_cli.demo import photograph
from gesso_cli.tables import change, coloured, digits
from gesso_hooks import hookimpl

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(2):
        crop = np.asarray(photograph("astronaut"))[100 * index : 100 * index + 64, 150:246]
        Image.fromarray(crop).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def measure(run: Run, tiny: Path, folder: Path) -> Run:
    def call(*arguments: object) -> Result:
        rest = ("--model", tiny, "--device", "cpu", "--qualities", "10,40", "--metrics", "psnr")
        rest += ("--jobs", "1")
        return run("evaluate", folder, *rest, *arguments)

    return call


@pytest.fixture
def smoothing() -> Iterator[None]:
    """A plug-in that answers in the model's place."""

    class Plugin:
        @hookimpl
        def gesso_after_decode(self, frame: Frame) -> Frame:
            return Frame.of(frame.restore().filter(ImageFilter.SMOOTH))

    plugin = Plugin()
    gesso_hooks.manager.manager().register(plugin)
    yield
    gesso_hooks.manager.manager().unregister(plugin)


def test_table_and_report_agree(measure: Run, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    result = measure("--json", report)
    assert result.exit_code == 0, result.stderr
    document = json.loads(report.read_text())
    assert (document["codec"], document["side"], document["model"]) == ("jpeg", "enhance", "tiny")
    assert document["complete"] and document["settings"]["sha256"]
    lines = [line.split() for line in result.stdout.splitlines()[2:8]]
    points = document["points"]
    for index, (plain, gesso) in enumerate(zip(points[::2], points[1::2], strict=True)):
        one, two, three = lines[3 * index : 3 * index + 3]
        bpp = f"{plain['bpp']:.3f}"
        assert one == [f"{plain['quality']:g}", "plain", bpp, f"{plain['psnr']:.2f}"]
        assert two == ["gesso", bpp, f"{gesso['psnr']:.2f}"]
        assert three == ["change", *change("psnr", plain["psnr"], gesso["psnr"]).split()]


def test_bjontegaard_figures_end_the_table(measure: Run) -> None:
    result = measure("--qualities", "10,20,30,45,65", "--steps", 1)
    assert result.exit_code == 0, result.stderr
    assert ["all", "BD-metric"] in [line.split()[:2] for line in result.stdout.splitlines()]
    few = measure("--qualities", "10,20").stdout.splitlines()[-1]
    assert few.startswith("PSNR: 2 ")


def test_every_coding_has_a_row_in_the_csv_file(measure: Run, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    result = measure("--csv", table)
    assert result.exit_code == 0, result.stderr
    lines = table.read_text().splitlines()
    assert len(lines) == 1 + 2 * 2 * 2
    assert lines[0].startswith("file,width,height,variant,quality,bytes,bpp,psnr")
    again = measure("--csv", table)
    assert (again.exit_code, f"{table} exists; pass --overwrite" in again.stderr) == (1, True)
    assert table.read_text().splitlines() == lines


def test_a_page_shows_pictures_curves_and_the_table(measure: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = measure("--html", page)
    assert result.exit_code == 0, result.stderr
    text = page.read_text()
    assert "<title>jpeg with and without gesso" in text
    assert all(name in text for name in ("0.png", "1.png", "bpp", "PSNR"))
    assert text.count("data:image/webp") >= 2 * 3
    assert measure("--html", page).exit_code == 1


def test_processes_give_the_same_points(measure: Run) -> None:
    documents = [json.loads(measure("--json", "-", "--jobs", n).stdout) for n in (1, 2)]
    for point, other in zip(*(d["points"] for d in documents), strict=True):
        assert point["psnr"] == pytest.approx(other["psnr"], abs=0.01)
        assert point["bpp"] == other["bpp"]


def test_the_report_goes_to_stdout_for_a_dash(measure: Run) -> None:
    result = measure("--json", "-")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["images"] == 2


def test_a_report_is_resumed_or_replaced_only_when_asked(measure: Run, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert measure("--json", report).exit_code == 0
    before = json.loads(report.read_text())
    refused = measure("--json", report)
    assert refused.exit_code == 1
    assert f"{report} exists; pass --resume to go on with it, or --overwrite" in refused.stderr
    assert measure("--json", report, "--resume").exit_code == 0
    after = json.loads(report.read_text())
    # Even the times are the same: nothing was measured anew.
    assert after["pictures"] == before["pictures"]
    assert measure("--json", report, "--resume", "--seed", 1).exit_code == 1
    assert measure("--json", report, "--overwrite", "--seed", 1).exit_code == 0
    assert json.loads(report.read_text())["settings"]["seed"] == 1
    assert "--resume needs the report" in measure("--resume").stderr


def test_unreadable_pictures_are_named_and_fail(measure: Run, folder: Path) -> None:
    (folder / "bad.png").write_text("no picture")
    result = measure()
    assert result.exit_code == 1
    assert "jpeg, 2 pictures" in result.stdout
    assert result.stderr == "gesso: bad.png: not a picture that Pillow knows; it is left out\n"


def test_plug_ins_that_answer_are_what_is_measured(measure: Run, smoothing: None) -> None:
    result = measure("--json", "-")
    document = json.loads(result.stdout)
    plain, gesso = document["points"][-2:]
    assert gesso["psnr"] < plain["psnr"]
    assert document["seconds"]["gesso"] < 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--codec", "nonesuch"), "no codec named 'nonesuch'"),
        (("--metrics", "nonesuch"), "no metric 'nonesuch'; there are psnr"),
        (("--qualities", "x"), "'x' is no list of numbers"),
        (("--qualities", "500"), "quality 500 is outside jpeg's range"),
        (("--side", "nonesuch"), "no side 'nonesuch' to evaluate; there is preprocess, enhance"),
    ],
)
def test_wrong_settings_are_named(measure: Run, arguments: tuple[str, ...], said: str) -> None:
    result = measure(*arguments)
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr


def test_changes_are_percent_but_for_decibels() -> None:
    assert change("psnr", 30, 29.5) == "-0.50 dB"
    assert change("lpips", 0.2, 0.15) == "-25.0 %"
    assert change("dists", 0, 0.1) == "-"
    assert change("ssim", 0.9, 0.91) == "+0.0100"


def test_what_has_no_value_is_a_dash_without_colour() -> None:
    assert digits("fid", math.nan) == change("fid", 10, math.nan) == change("psnr", math.nan, 30)
    assert coloured("fid", math.nan, "-") == digits("fid", math.nan) == "-"


def test_effort_max_needs_no_model(run: Run, folder: Path, tmp_path: Path) -> None:
    rest = ("--qualities", "20", "--metrics", "psnr", "--jobs", "1", "--device", "cpu")
    effort = ("--side", "preprocess", "--effort", "max", "--effort-steps", 2, "--no-guard")
    report = tmp_path / "report.json"
    result = run("evaluate", folder, *rest, *effort, "--json", report)
    assert result.exit_code == 0, result.stderr
    assert ", preprocess in 2 steps\n" in result.stdout and "None" not in result.stdout
    document = json.loads(report.read_text())
    assert (document["settings"]["effort"], document["settings"]["model"]) == ("max", None)
    plain, gesso = document["points"]
    assert plain["psnr"] != gesso["psnr"]
