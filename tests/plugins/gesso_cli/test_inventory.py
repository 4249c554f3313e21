"""`gesso codecs` and `gesso metrics` say what there is, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from PIL import Image
from typer.testing import Result

import gesso_hooks
from gesso import codec as codec_module
from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.evaluation.metrics import METRICS

Run = Callable[..., Result]


@dataclass(frozen=True)
class Absent:
    """A codec whose program is not installed."""

    name: str = "absent"
    extension: str = ".abs"
    qualities: tuple[float, float] = (51.0, 0.0)

    def encode(self, image: Image.Image, quality: float) -> bytes:
        raise InputError("absent is not installed; install it")

    def decode(self, data: bytes) -> Image.Image:
        raise AssertionError("nothing was encoded")

    def qp(self, quality: float) -> float:
        return quality


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """One codec that works and one that does not."""
    gesso_hooks.load()  # which fills the registry, once
    known = {"jpeg": get_codec("jpeg"), "absent": Absent()}
    monkeypatch.setattr(codec_module, "_registry", known)


def test_codecs_are_tried(run: Run, few: None) -> None:
    result = run("codecs", "--json")
    assert result.exit_code == 0, result.stderr
    jpeg, absent = json.loads(result.stdout)
    assert (jpeg["name"], jpeg["worst"], jpeg["best"], jpeg["problem"]) == ("jpeg", 1, 100, None)
    assert jpeg["qualities"] == [11, 16, 25, 39, 62]
    assert (absent["name"], absent["problem"]) == ("absent", "absent is not installed; install it")
    heading, *lines = run("codecs").stdout.splitlines()
    assert heading.split()[:2] == ["name", "files"]
    assert [line.split()[0] for line in lines] == ["jpeg", "absent"]
    assert lines[0].split()[-1] == "ok"
    assert "absent is not installed" in lines[1]


def test_metrics_are_listed_with_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = replace(METRICS["lpips"], missing=lambda: "lpips is not installed; install it")
    monkeypatch.setitem(METRICS, "lpips", absent)
    rows = {row["name"]: row for row in json.loads(run("metrics", "--json").stdout)}
    assert rows["psnr"]["problem"] is None
    assert rows["psnr"]["lower_is_better"] is False
    assert (rows["fid"]["compares"], rows["dists"]["compares"]) == ("sets", "pairs")
    assert rows["lpips"]["problem"] == "lpips is not installed; install it"
    lines = run("metrics").stdout.splitlines()
    assert len(lines) >= 1 + len(rows)
    assert any("lpips is not installed" in line for line in lines)
