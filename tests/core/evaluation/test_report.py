"""A report keeps its numbers, says what is not finite, and is written whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from torch import device

from gesso.errors import InputError
from gesso.evaluation.report import PictureRows, Report, Row, describe_machine, read_pictures


def row(quality: float, bits: float, plain: float, gesso: float, seconds: float = 1.0) -> Row:
    times = {"encode": seconds, "decode": seconds, "gesso": 10 * seconds}
    return Row(quality, 100, bits, {"psnr": plain}, {"psnr": gesso}, times)


def report(*pictures: tuple[Row, ...]) -> Report:
    return Report(
        codec="jpeg",
        side="enhance",
        settings={"model": "m", "seed": 0},
        qualities=tuple(r.quality for r in pictures[0]),
        lower_is_better={"psnr": False},
        pictures=tuple(
            PictureRows(f"{i}.png", f"{i}" * 64, 8, 8, rows) for i, rows in enumerate(pictures)
        ),
        unreadable={},
    )


def test_points_are_means_over_pictures() -> None:
    document = report((row(10, 1.0, 20, 22),), (row(10, 3.0, 30, 36),)).to_json()
    assert document["points"] == [
        {"quality": 10, "variant": "plain", "bpp": 2.0, "psnr": 25.0},
        {"quality": 10, "variant": "gesso", "bpp": 2.0, "psnr": 29.0},
    ]


def test_seconds_are_medians_so_that_loading_the_model_does_not_weigh() -> None:
    rows = [(row(10, 1, 20, 20, seconds),) for seconds in (50.0, 1.0, 1.5)]
    assert report(*rows).to_json()["seconds"] == {"encode": 1.5, "decode": 1.5, "gesso": 15.0}


def test_infinite_values_become_null_and_come_back(tmp_path: Path) -> None:
    path, whole = tmp_path / "r.json", report((row(10, 1.0, math.inf, 22),))
    whole.save(path)
    document = json.loads(path.read_text())
    assert document["points"][0]["psnr"] is None
    assert document["bd_rate"] == {"psnr": None}
    same = {"codec": "jpeg", "side": "enhance", "settings": {"model": "m", "seed": 0}}
    assert read_pictures(path, same, [10], ["psnr"]) == {"0" * 64: whole.pictures[0]}


def test_an_interrupted_report_without_pictures_can_be_written(tmp_path: Path) -> None:
    empty = Report("jpeg", "enhance", {}, (10.0,), {"psnr": False}, (), {"a.png": "gone"})
    empty.save(tmp_path / "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["images"] == 0
    assert document["points"][0] == {"quality": 10.0, "variant": "plain", "bpp": None, "psnr": None}
    assert document["seconds"] == {"encode": None, "decode": None, "gesso": None}


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no-such-folder"):
        report((row(10, 1, 20, 20),)).save(tmp_path / "no-such-folder" / "r.json")
    assert list(tmp_path.iterdir()) == []


def test_the_machine_is_described() -> None:
    machine = describe_machine(device("cpu"))
    assert machine["device"] == "cpu"
    assert machine["cpu"]
    assert machine["threads"] >= 1
    json.dumps(machine)
