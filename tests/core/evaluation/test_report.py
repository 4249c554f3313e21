"""A report keeps its numbers, says what is not finite, and is written whole."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from gesso.errors import InputError
from gesso.evaluation.report import STEPS, PictureRows, Report, Row, read_pictures


def row(variant: str, quality: float, bits: float, psnr: float, seconds: float = 1.0) -> Row:
    times = dict(zip(STEPS, (0.0, seconds, seconds, 10 * seconds), strict=True))
    return Row(variant, quality, 100, bits, {"psnr": psnr}, times)


def both(
    quality: float, bits: float, plain: float, gesso: float, seconds: float = 1.0
) -> list[Row]:
    return [
        row("plain", quality, bits, plain, seconds),
        row("gesso", quality, bits, gesso, seconds),
    ]


def report(*pictures: list[Row], variants: tuple[str, ...] = ("plain", "gesso")) -> Report:
    qualities = tuple(dict.fromkeys(r.quality for r in pictures[0]))
    return Report(
        codec="jpeg",
        side="enhance",
        settings={"model": "m", "seed": 0},
        variants=dict.fromkeys(variants, qualities),
        lower_is_better={"psnr": False},
        pictures=tuple(
            PictureRows(f"{i}.png", f"{i}" * 64, 8, 8, tuple(rows))
            for i, rows in enumerate(pictures)
        ),
    )


def test_points_are_means_over_pictures() -> None:
    document = report(both(10, 1.0, 20, 22), both(10, 3.0, 30, 36)).to_json()
    assert document["points"] == [
        {"quality": 10, "variant": "plain", "bpp": 2.0, "psnr": 25.0},
        {"quality": 10, "variant": "gesso", "bpp": 2.0, "psnr": 29.0},
    ]


def test_values_of_whole_sets_take_the_place_of_means() -> None:
    one = report(both(10, 1.0, 20, 22))
    values = {("plain", 10.0): {"fid": 40.0}, ("gesso", 10.0): {"fid": 30.0}}
    whole = Report(
        **{**vars(one), "lower_is_better": {"psnr": False, "fid": True}, "sets": values},
    )
    assert [p["fid"] for p in whole.to_json()["points"]] == [40.0, 30.0]
    assert [p["psnr"] for p in whole.to_json()["points"]] == [20.0, 22.0]


def test_seconds_are_medians_so_that_loading_the_model_does_not_weigh() -> None:
    rows = [both(10, 1, 20, 20, seconds) for seconds in (50.0, 1.0, 1.5)]
    document = report(*rows).to_json()
    assert document["seconds"] == {"encode": 1.5, "decode": 1.5, "gesso": 15.0}
    expected = {"before": 0.0, "encode": 1.5, "decode": 1.5, "after": 15.0}
    assert document["variants"]["gesso"]["seconds"] == expected


def test_ten_percent_fewer_bits_are_a_bd_rate_of_minus_ten() -> None:
    points = [(10, 0.2, 25), (20, 0.4, 28), (30, 0.6, 30), (50, 0.9, 33), (70, 1.3, 36)]
    rows = [row("plain", q, bits, psnr) for q, bits, psnr in points]
    rows += [row("gesso", q, 0.9 * bits, psnr) for q, bits, psnr in points]
    rows += [row("other", q, 1.1 * bits, psnr) for q, bits, psnr in points]
    document = report(rows, variants=("plain", "gesso", "other")).to_json()
    assert document["bd_rate"]["psnr"] == pytest.approx(-10)
    assert document["variants"]["other"]["bd_rate"]["psnr"] == pytest.approx(10)
    overlap = document["bd_overlap"]["psnr"]
    assert overlap["rate"] == pytest.approx(1)
    assert overlap["metric"] == pytest.approx(math.log(1.17 / 0.2) / math.log(1.3 / 0.18))
    assert "plain" not in document["variants"]


def test_infinite_values_become_null_and_come_back(tmp_path: Path) -> None:
    path, whole = tmp_path / "r.json", report(both(10, 1.0, math.inf, 22))
    whole.save(path)
    document = json.loads(path.read_text())
    assert document["points"][0]["psnr"] is None
    assert document["bd_rate"] == {"psnr": None}
    same = {"codec": "jpeg", "side": "enhance", "settings": {"model": "m", "seed": 0}}
    found = read_pictures(path, same, whole.variants, ["psnr"])
    assert found == {"0" * 64: whole.pictures[0]}


def test_an_interrupted_report_without_pictures_can_be_written(tmp_path: Path) -> None:
    variants: dict[str, tuple[float, ...]] = {"plain": (10.0,), "gesso": (10.0,)}
    empty = Report(
        "jpeg", "enhance", {}, variants, {"psnr": False}, unreadable={"a.png": "gone"}
    )  # fmt: skip
    empty.save(tmp_path / "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["images"] == 0
    assert document["points"][0] == {"quality": 10.0, "variant": "plain", "bpp": None, "psnr": None}
    assert document["seconds"] == {"encode": None, "decode": None, "gesso": None}


def test_a_table_has_a_row_for_every_coding(tmp_path: Path) -> None:
    whole = report(both(10, 1.0, 20, 22), both(10, 3.0, 30, 36))
    whole.save_csv(tmp_path / "r.csv")
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(r["file"], r["variant"], float(r["psnr"])) for r in rows] == [
        ("0.png", "plain", 20),
        ("0.png", "gesso", 22),
        ("1.png", "plain", 30),
        ("1.png", "gesso", 36),
    ]
    assert rows[1]["after_seconds"] == "10.0"
    assert (rows[0]["width"], rows[0]["bytes"], rows[0]["bpp"]) == ("8", "100", "1.0")


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-such-folder"):
        report(both(10, 1, 20, 20)).save(tmp_path / "no-such-folder" / "r.json")
    assert list(tmp_path.iterdir()) == []
