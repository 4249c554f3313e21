"""Lines of a table say what the reports say, against the anchor that was asked for."""

from __future__ import annotations

import csv
import io
import json
import math

import pytest

from gesso.evaluation.curves import delta
from gesso.evaluation.report import PictureRows, Report, Row
from gesso.evaluation.table import Table

QUALITIES = (10.0, 20.0, 30.0, 40.0)
STEPS = {"before": 0.0, "encode": 0.5, "decode": 0.25, "after": 0.0}


def report(
    codec: str,
    metrics: dict[str, bool],
    gain: float = 1.0,
    qualities: tuple[float, ...] = QUALITIES,
) -> Report:
    """Two pictures whose PSNR rises and whose LPIPS falls with quality; the preset adds to both."""
    pictures = []
    for index, name in enumerate("ab"):
        rows = [
            Row(
                variant,
                quality,
                100,
                gain * quality / 40 + index / 10,
                {
                    m: (1 - quality / 100 if low else 25 + quality / 4)
                    * (1 if variant == "plain" else 0.8)
                    + index / 100
                    for m, low in metrics.items()
                },
                {**STEPS, "after": 0.0 if variant == "plain" else 2.0},
            )
            for variant in ("plain", "fast")
            for quality in qualities
        ]
        pictures.append(PictureRows(name, name * 64, 8, 8, tuple(rows)))
    variants = {"plain": qualities, "fast": qualities}
    return Report(codec, "enhance", {"model": "m"}, variants, metrics, tuple(pictures))


def test_each_codec_is_held_to_itself_or_to_the_anchor() -> None:
    one, two = report("jpeg", {"psnr": False}), report("webp", {"psnr": False}, gain=0.8)
    own = Table({"jpeg": [one], "webp": [two]}).lines
    assert [(line.codec, line.variant) for line in own] == [
        ("jpeg", "plain"), ("jpeg", "fast"), ("webp", "plain"), ("webp", "fast"),
    ]  # fmt: skip
    assert own[0].deltas == own[2].deltas == {}
    curves = two.curve("plain", "psnr"), two.curve("fast", "psnr")
    assert own[3].deltas["psnr"] == delta(*curves, False)
    held = Table({"jpeg": [one], "webp": [two]}, "jpeg").lines
    assert held[0].deltas == {}
    assert held[2].deltas["psnr"] == delta(one.curve("plain", "psnr"), curves[0], False)
    assert held[2].deltas["psnr"].metric > 0  # equal quality for fewer bits


def test_a_line_has_the_lowest_quality_the_means_and_the_times() -> None:
    _, fast = Table({"jpeg": [report("jpeg", {"psnr": False, "lpips": True})]}).lines
    assert (fast.quality, fast.bpp) == (10, pytest.approx(0.3))
    assert fast.plain["lpips"] == pytest.approx(0.905)
    assert fast.lowest["lpips"] == pytest.approx(0.725)
    assert fast.mean["lpips"] == pytest.approx(0.8 * 0.75 + 0.005)
    assert (fast.decode, fast.after) == (0.25, 2.0)


def test_metrics_of_other_pictures_stand_in_the_same_line() -> None:
    both = [report("jpeg", {"psnr": False}), report("jpeg", {"lpips": True}, gain=2)]
    _, fast = Table({"jpeg": both}).lines
    assert list(fast.lowest) == list(fast.deltas) == ["psnr", "lpips"]
    assert fast.bpp == pytest.approx(0.3)  # of the first
    expected = delta(both[1].curve("plain", "lpips"), both[1].curve("fast", "lpips"), True)
    assert fast.deltas["lpips"] == expected


def test_json_and_csv_hold_the_lines() -> None:
    few = report("hyperprior", {"psnr": False}, qualities=QUALITIES[:3])
    table = Table({"hyperprior": [few]}, None, {"slow": "no such preset"})
    document = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert document["anchor"] is None and document["skipped"] == {"slow": "no such preset"}
    fast = document["lines"][1]
    assert fast["bd_metric"] == {"psnr": None}
    assert "BD figures need 4" in fast["notes"]["psnr"]
    assert document["images"] == {"psnr": 2}
    plain, fast = csv.DictReader(io.StringIO(table.to_csv()))
    assert (plain["variant"], plain["bd_psnr"], fast["after_seconds"]) == ("plain", "", "2.0")
    assert math.isclose(float(fast["lowest_psnr"]), table.lines[1].lowest["psnr"])
