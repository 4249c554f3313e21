"""`gesso bd`: figures between any two curves of any two documents."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]
Write = Callable[..., Path]

BITS = (0.2, 0.35, 0.6, 0.9, 1.3)


def points(variant: str, share: float = 1.0, lpips: float = 0.0) -> list[dict[str, Any]]:
    """A curve; ``share`` of its bits, and ``lpips`` more at each."""
    return [
        {
            "quality": index,
            "variant": variant,
            "bpp": share * bits,
            "psnr": 25 + 5 * index,
            "lpips": 0.5 - 0.08 * index + lpips,
        }
        for index, bits in enumerate(BITS)
    ]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def call(name: str, *curves: list[dict[str, Any]], **more: Any) -> Path:
        path = tmp_path / name
        document = {
            "points": copy.deepcopy([p for curve in curves for p in curve]),
            "lower_is_better": {"psnr": False, "lpips": True},
            "pictures": [{"sha256": "same"}],
            **more,
        }
        path.write_text(json.dumps(document))
        return path

    return call


def test_ten_percent_fewer_bits_are_ten_percent_of_every_metric(run: Run, write: Write) -> None:
    one, two = write("one.json", points("plain")), write("two.json", points("plain", 0.9))
    for method in ("pchip", "akima"):
        result = run("bd", one, two, "--json", "--method", method)
        assert result.exit_code == 0, result.stderr
        document = json.loads(result.stdout)
        assert (document["anchor"], document["method"]) == (f"{one}:plain", method)
        figures = document["tests"][f"{two}:plain"]
        assert list(figures) == ["psnr", "lpips"]
        for found in figures.values():
            assert found["bd_rate"] == pytest.approx(-10, abs=1e-6)
            assert found["overlap_rate"] == 1
            assert found["note"] == ""
        assert figures["lpips"]["bd_metric"] < 0 < figures["psnr"]["bd_metric"]
        assert result.stderr == ""


def test_a_file_stands_for_its_variants_but_the_anchor(run: Run, write: Write) -> None:
    one = write("one.json", points("plain"), points("gesso", lpips=-0.02), points("peer"))
    result = run("bd", one, one, "--json")
    assert list(json.loads(result.stdout)["tests"]) == [f"{one}:gesso", f"{one}:peer"]
    result = run("bd", f"{one}:gesso", f"{one}:plain", "--json")
    found = json.loads(result.stdout)["tests"][f"{one}:plain"]
    assert found["lpips"]["bd_metric"] == pytest.approx(0.02)
    assert found["psnr"]["bd_rate"] == pytest.approx(0, abs=1e-9)


def test_the_table_shows_figures_with_their_overlap(run: Run, write: Write) -> None:
    one, two = write("one.json", points("plain")), write("two.json", points("plain", 0.9))
    lines = [line.split() for line in run("bd", one, two).stdout.splitlines()]
    assert lines[-2][1:4] == ["PSNR", "-10.0", "%"]
    assert lines[-2][4:6] == ["100", "%"]
    assert lines[-1][:3] == ["LPIPS", "-10.0", "%"]


def test_a_name_with_a_colon_is_a_name(run: Run, write: Write, tmp_path: Path) -> None:
    one = write("a:b.json", points("plain"), points("gesso", 0.9))
    result = run("bd", f"{one}:plain", one, "--json")
    assert list(json.loads(result.stdout)["tests"]) == [f"{one}:gesso"]


def test_doubts_are_said_on_stderr(run: Run, write: Write) -> None:
    one = write("one.json", points("plain"))
    two = write("two.json", points("plain", 0.8, lpips=0.2), complete=False)
    write("three.json", points("plain", 0.9), pictures=[{"sha256": "other"}])
    result = run("bd", one, two, one.with_name("three.json"))
    assert result.exit_code == 0
    assert f"{two}:plain, lpips: rate: the curves overlap on 23 % of their range" in result.stderr
    assert f"{two} is of an interrupted run" in result.stderr
    assert "three.json:plain were measured on different pictures" in result.stderr


def test_metrics_that_only_one_has_are_left_out(run: Run, write: Write) -> None:
    one = write("one.json", points("plain"))
    two = write("two.json", points("plain"), lower_is_better={"lpips": True})
    [figures] = json.loads(run("bd", one, two, "--json").stdout)["tests"].values()
    assert list(figures) == ["lpips"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"lower_is_better": {"fid": True}}, "no metric in common"),
        ({"lower_is_better": {"psnr": True}}, "less psnr is better in one of"),
        ({"points": []}, "holds no point"),
        ({"points": 3}, "is no evaluation document"),
    ],
)
def test_documents_that_do_not_fit_are_named(
    run: Run, write: Write, more: dict[str, Any], said: str
) -> None:
    one, two = write("one.json", points("plain")), write("two.json", points("plain"), **more)
    result = run("bd", one, two)
    assert result.exit_code == 1
    assert said in result.stderr and "two.json" in result.stderr


def test_wrong_names_are_told(run: Run, write: Write, tmp_path: Path) -> None:
    one = write("one.json", points("plain"), points("gesso"))
    result = run("bd", one, f"{one}:nobody")
    assert "has no variant 'nobody'; there are plain, gesso" in result.stderr
    result = run("bd", one, tmp_path / "none.json")
    assert "none.json cannot be read" in result.stderr
    result = run("bd", one, f"{one}:plain")
    assert "name a TEST that is another curve" in result.stderr
    assert result.exit_code == 1
