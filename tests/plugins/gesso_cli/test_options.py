"""What options become: numbers, names, processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gesso.cards import models
from gesso.errors import InputError
from gesso.evaluation.measure import DEFAULT_METRICS
from gesso.runtime import Runtime
from gesso_cli import options as o

CPU = Runtime(device_name="cpu")


def test_lists_are_read_or_named() -> None:
    assert o.names("a, b,,c") == ["a", "b", "c"]
    assert o.numbers("10,2.5", float) == [10, 2.5]
    for text in ("", "a", "1,b"):
        with pytest.raises(InputError, match="is no list of numbers"):
            o.numbers(text, float)


def test_processes_follow_the_machine_and_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert o.job_count(None, 24, CPU) == 4
    assert o.job_count(None, 3, CPU) == 3
    assert o.job_count(6, 24, CPU) == 6
    assert o.job_count(6, 0, CPU) == 1
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert o.job_count(None, 500, CPU) == 8


def test_the_usual_metrics_are_the_librarys() -> None:
    assert o.names(o.DEFAULT_METRICS) == list(DEFAULT_METRICS)


def test_metrics_are_known_by_their_letters() -> None:
    assert o.metrics("msssim, MS-SSIM,ms_ssim,Patch-FID") == ["ms_ssim"] * 3 + ["patch_fid"]
    assert o.metrics("lpips,somebody's") == ["lpips", "somebody's"]  # whoever looks it up names it


def test_a_spawned_process_knows_the_chosen_model(tiny: Path) -> None:
    o.prepare(str(tiny))
    assert "tiny" in models()
    o.prepare(None)
