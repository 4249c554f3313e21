"""`gesso table`: codecs and presets side by side; what cannot run is named with its reason."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import Result

from gesso.cards import ModelCard
from gesso.codec import PillowCodec
from gesso.errors import InputError
from gesso_cli.demo import photograph

Run = Callable[..., Result]
LEVELS = ("--qualities", "jpeg:10,20,40,70", "--qualities", "10,50,90,100")


def pictures(folder: Path, count: int, side: int) -> Path:
    folder.mkdir()
    astronaut = np.asarray(photograph("astronaut"))
    for index in range(count):
        crop = astronaut[100 * index : 100 * index + side, 150 : 150 + side]
        Image.fromarray(crop).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return pictures(tmp_path / "pictures", 2, 64)


@pytest.fixture
def table(run: Run, tiny: Path, folder: Path) -> Run:
    def call(*arguments: object, metrics: str = "psnr,ssim", codecs: str = "jpeg,webp") -> Result:
        rest = ("--model", tiny, "--device", "cpu", "--jobs", "1", "--codecs", codecs)
        return run("table", folder, *rest, "--metrics", metrics, *LEVELS, *arguments)

    return call


def test_table_document_and_csv_agree(table: Run, tmp_path: Path) -> None:
    out, lines = tmp_path / "table.json", tmp_path / "table.csv"
    result = table("--json", out, "--csv", lines, "--training-free")
    assert result.exit_code == 0, result.stderr
    document = json.loads(out.read_text())
    found = [(line["codec"], line["variant"]) for line in document["lines"]]
    presets = ("fast", "medium")
    variants = ("plain", *(f"{p}{free}" for p in presets for free in ("", " training-free")))
    assert found == [(codec, variant) for codec in ("jpeg", "webp") for variant in variants]
    assert document["anchor"] is None
    rows = list(csv.DictReader(lines.read_text().splitlines()))
    printed = result.stdout.splitlines()
    assert "PSNR, SSIM over 2 pictures" in printed[0]
    assert "each codec's own plain decode" in printed[1]
    assert printed[2].split()[:5] == ["codec", "variant", "BD-PSNR", "quality", "bpp"]
    for line, row, text in zip(document["lines"], rows, printed[3:13], strict=True):
        assert f"{line['lowest']['psnr']:.2f}" in text and line["variant"] in text
        assert float(row["lowest_psnr"]) == line["lowest"]["psnr"]
        if line["variant"] != "plain":
            assert f"{line['bd_metric']['psnr']:+.2f}" in text
            assert row["bd_psnr"] == str(line["bd_metric"]["psnr"])
            assert line["seconds"]["after"] > 0
    # the preset that the model has not
    assert "skipped slow: no such preset of tiny" in printed
    assert document["skipped"]["slow"] == "no such preset of tiny"


def test_each_codec_s_report_stands_beside_the_table(table: Run, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "table.json"
    assert table("--json", out).exit_code == 0
    report = tmp_path / "table.jpeg.json"
    document = json.loads(report.read_text())
    assert (document["codec"], document["qualities"]) == ("jpeg", [10, 20, 40, 70])
    assert json.loads((tmp_path / "table.webp.json").read_text())["qualities"] == [10, 50, 90, 100]
    # the same figure, by the command for any two curves
    found = json.loads(run("bd", f"{report}:plain", f"{report}:medium", "--json").stdout)
    [figures] = found["tests"].values()
    line = json.loads(out.read_text())["lines"][2]
    assert figures["psnr"]["bd_metric"] == line["bd_metric"]["psnr"]


def test_pictures_are_coded_once_for_all_variants(
    table: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded: list[tuple[tuple[int, int], float]] = []
    encode = PillowCodec.encode

    def counted(self: PillowCodec, image: Image.Image, quality: float) -> bytes:
        coded.append((image.size, quality))
        return encode(self, image, quality)

    monkeypatch.setattr(PillowCodec, "encode", counted)
    assert table("--training-free", codecs="jpeg").exit_code == 0
    whole = [quality for size, quality in coded if size == (64, 64)]
    assert sorted(whole) == [10, 10, 20, 20, 40, 40, 70, 70]


def test_it_is_resumed_codec_by_codec(table: Run, tmp_path: Path) -> None:
    out, report = tmp_path / "table.json", tmp_path / "table.jpeg.json"
    assert table("--json", out, codecs="jpeg").exit_code == 0
    before = json.loads(report.read_text())
    again = table("--json", out, codecs="jpeg")
    assert again.exit_code == 1 and "pass --resume to go on" in again.stderr
    assert table("--json", out, "--resume").exit_code == 0
    # even the times are the same: nothing was measured anew
    assert json.loads(report.read_text())["pictures"] == before["pictures"]
    assert {line["codec"] for line in json.loads(out.read_text())["lines"]} == {"jpeg", "webp"}
    assert table("--json", out, "--overwrite", codecs="jpeg").exit_code == 0
    assert json.loads(report.read_text())["pictures"] != before["pictures"]


def test_a_preset_is_added_to_a_report(table: Run, tmp_path: Path) -> None:
    out, report = tmp_path / "table.json", tmp_path / "table.jpeg.json"
    assert table("--json", out, "--presets", "fast", codecs="jpeg").exit_code == 0
    before = json.loads(report.read_text())["pictures"]
    assert table("--json", out, "--resume", codecs="jpeg").exit_code == 0
    grown = json.loads(report.read_text())["pictures"]
    assert [p["points"][:8] for p in grown] == [p["points"] for p in before]
    assert {row["variant"] for row in grown[0]["points"][8:]} == {"medium"}
    assert [line["variant"] for line in json.loads(out.read_text())["lines"]] == [
        *("plain", "fast", "medium")
    ]
    # nothing that was measured is dropped unasked
    refused = table("--json", out, "--resume", "--presets", "fast", codecs="jpeg")
    assert refused.exit_code == 1 and "was measured with settings" in refused.stderr


def test_the_anchor_may_be_another_codec(table: Run) -> None:
    result = table("--anchor", "webp", "--json", "-")
    lines = {(line["codec"], line["variant"]): line for line in json.loads(result.stdout)["lines"]}
    assert lines["webp", "plain"]["bd_metric"] == {}
    assert lines["jpeg", "plain"]["bd_metric"]["psnr"] < 0
    assert "against webp's plain decode" in table("--anchor", "webp").stdout


def test_photographs_of_their_own(table: Run, tmp_path: Path) -> None:
    photos = pictures(tmp_path / "photos", 1, 96)
    out = tmp_path / "table.json"
    result = table("--photos", photos, "--json", out, metrics="psnr,ssim,lpips", codecs="jpeg")
    assert result.exit_code == 0, result.stderr
    assert "PSNR over 2 pictures; SSIM, LPIPS over 1 pictures" in result.stdout
    assert json.loads(out.read_text())["images"] == {"psnr": 2, "ssim": 1, "lpips": 1}
    [picture] = json.loads((tmp_path / "table.jpeg.photos.json").read_text())["pictures"]
    assert picture["width"] == 96 and set(picture["points"][0]["values"]) == {"ssim", "lpips"}


def test_several_models_share_the_presets(table: Run, tiny: Path, tmp_path: Path) -> None:
    card = ModelCard.read(tiny)
    folder = shutil.copytree(tiny, tmp_path / "other")
    own = {**card.settings, "presets": {"medium": {"steps": 1}, "slow": {"steps": 1}}}
    replace(card, name="other", folder=folder, settings=own).write()
    document = json.loads(table("--model", folder, "--json", "-", codecs="jpeg").stdout)
    assert [line["variant"] for line in document["lines"]] == ["plain", "fast", "medium", "slow"]
    settings = document["settings"]["jpeg"]
    assert [settings[preset].split()[0] for preset in ("fast", "medium", "slow")] == [
        "tiny", "tiny", "other",
    ]  # fmt: skip


def test_a_codec_that_cannot_run_is_skipped(table: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = PillowCodec.encode

    def broken(self: PillowCodec, image: Image.Image, quality: float) -> bytes:
        if self.name == "webp":
            raise InputError("webp is not built in here")
        return encode(self, image, quality)

    monkeypatch.setattr(PillowCodec, "encode", broken)
    result = table()
    assert result.exit_code == 0
    assert "skipped webp: webp is not built in here" in result.stdout
    alone = table(codecs="webp")
    assert (alone.exit_code, alone.stderr.count("\n")) == (1, 1)
    assert "webp is not built in here" in alone.stderr


def test_the_page_draws_every_codec(table: Run, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert table("--html", page).exit_code == 0
    assert all(name in page.read_text("utf-8") for name in ("jpeg: medium", "webp: plain"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--presets", "swift"), "no preset 'swift'; there are fast, medium, slow"),
        (("--anchor", "vvc"), "the anchor vvc is none of --codecs"),
        (("--codecs", "nonesuch"), "no codec named 'nonesuch'"),
        (("--qualities", "nonesuch:30"), "no codec named 'nonesuch'"),
        (("--qualities", "jpeg:500"), "quality 500 is outside jpeg's range"),
        (("--photos", "."), "with --photos, --metrics need some"),
        (("--resume",), "--resume needs the report"),
        (("--model", "nonesuch"), "no prior named 'nonesuch'"),
    ],
)
def test_wrong_settings_are_named(table: Run, arguments: tuple[str, ...], said: str) -> None:
    result = table(*arguments, metrics="psnr")
    assert (result.exit_code, said in result.stderr) == (1, True), result.stderr


def test_a_figure_that_cannot_be_had_is_told_once(table: Run) -> None:
    result = table("--training-free", "--qualities", "jpeg:10,40", metrics="psnr", codecs="jpeg")
    note = "jpeg, no BD-PSNR: 2 points on a curve; BD figures need 4 or more"
    assert result.stdout.splitlines().count(note) == 1
    assert result.stdout.splitlines()[4].split()[1] == "-"
