"""`gesso bench`: honest peaks, one process per size."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import Result

import gesso_hooks
from gesso import enhancer
from gesso_cli.hosts import _clock

Run = Callable[..., Result]


def test_each_size_is_measured_by_itself(run: Run, tiny: Path) -> None:
    arguments = ("--model", tiny, "--device", "cpu", "--tile", 256)
    result = run("bench", "--megapixels", "0.5,0.1", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    small, large = json.loads(result.stdout)["sizes"]
    assert (small["side"], large["side"]) == (316, 707)
    assert large["picture_bytes"] == 3 * 707**2
    assert small["ratio"] == 1
    for row in (small, large):
        assert 0 < row["idle_bytes"] <= row["peak_bytes"]
        assert row["over_picture_bytes"] == row["peak_bytes"] - row["picture_bytes"]
        assert row["seconds_per_megapixel"] == pytest.approx(row["seconds"] / row["megapixels"])


def test_the_table_has_a_line_per_size(run: Run, tiny: Path) -> None:
    result = run("bench", "--megapixels", "0.1", "--model", tiny, "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    heading, line = result.stdout.splitlines()
    assert "over the picture MB" in heading
    assert line.split()[0] == "0.10" and line.split()[3] == "1.00"


def test_a_peak_is_not_the_parent_s() -> None:
    script = (
        "import subprocess, sys; ballast = bytearray(300_000_000)\n"
        "code = 'from gesso_cli.memory import peak; print(peak())'\n"
        "print(subprocess.run([sys.executable, '-c', code], capture_output=True).stdout.decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert 5e6 < int(done.stdout) < 150e6


def test_what_is_wrong_is_named(run: Run, tiny: Path) -> None:
    for arguments, said in {
        ("--megapixels", "0"): "--megapixels must be positive",
        ("--megapixels", "x"): "'x' is no list of numbers",
        ("--model", "nonesuch"): "no prior named 'nonesuch'",
        ("--megapixels", "0.1", "--tile", "200", "--model", str(tiny)): "tile 200 and tile",
    }.items():
        result = run("bench", *arguments)
        assert (result.exit_code, said in result.stderr) == (1, True), result.stderr
        assert result.stderr.count("\n") == 1


def test_speed_has_a_line_per_preset_and_names_the_others(run: Run, tiny: Path) -> None:
    arguments = ("--side", "96", "--repeats", "1", "--model", tiny, "--device", "cpu")
    result = run("bench", "speed", *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    fast, medium = document["presets"]
    assert (fast["preset"], fast["model"], fast["evaluations"]) == ("fast", "tiny", 1)
    assert (medium["preset"], medium["model"], medium["evaluations"]) == ("medium", "tiny", 2)
    assert medium["megapixels_per_second"] == pytest.approx(96**2 / 1e6 / medium["seconds"])
    flops = medium["gflop_per_megapixel"] * medium["megapixels_per_second"]
    assert medium["gflop_per_second"] == pytest.approx(flops)
    assert medium["share_of_peak"] == pytest.approx(flops / medium["peak_gflop_per_second"])
    assert set(document["skipped"]) == {"slow"}
    heading, _, line, *skipped = run("bench", "speed", *arguments).stdout.splitlines()
    assert heading.endswith("share of peak") and line.split()[:3] == ["medium", "tiny", "2"]
    assert skipped[0] == "skipped slow: no such preset of tiny"


def test_the_work_of_a_network_is_counted(run: Run, tiny: Path) -> None:
    """By hand: two evaluations of the tiny network's convolutions and of its attention."""
    from gesso.unet import WindowUNet

    network = WindowUNet.from_pretrained(tiny)
    total = 0

    def count(module: torch.nn.Module, inputs: tuple[torch.Tensor], out: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, torch.nn.Conv2d):
            total += 2 * out.numel() * module.weight[0].numel()
        elif isinstance(module, torch.nn.Linear):
            total += 2 * out.numel() * module.in_features

    for module in network.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.zeros(1, 3, 64, 64), torch.zeros(1))
    # not jpeg, where keeping to the file's coefficients is work, too
    alone = ("--codec", "webp", "--training-free", "--model", tiny)
    arguments = ("--side", "64", "--repeats", "1", *alone, "--json")
    _, medium = json.loads(run("bench", "speed", *arguments).stdout)["presets"]
    layers = 2 * total / 64**2 / 1e3
    # beside these layers, only the products of attention in windows of 4 x 4
    assert layers <= medium["gflop_per_megapixel"] <= 1.1 * layers


def test_hosts_give_the_core_s_pixels_and_their_time_over_the_core_s(
    run: Run, tmp_path: Path
) -> None:
    path, call = tmp_path / "photo.png", enhancer.enhance_frame
    Image.effect_noise((96, 64), 60).save(path)
    result = run("bench", "hosts", path, "--repeats", 1, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    rows = {row["host"]: row for row in document["hosts"]}
    assert (list(rows), document["skipped"]) == (["core", "pillow", "imageio"], [])
    assert document["megapixels"] == 96 * 64 / 1e6
    for row in rows.values():
        assert row["same_pixels"]
        # What is shared with the core is by far the most of it.
        assert 0 < row["own_seconds"] < row["seconds"] and 0.2 < row["ratio"] < 5
    assert rows["core"]["ratio"] == 1
    assert "ENHANCED-JPEG" not in Image.OPEN
    assert enhancer.enhance_frame is call
    heading, core, *_ = run("bench", "hosts", path, "--repeats", 1).stdout.splitlines()
    assert heading.split()[:5] == ["host", "seconds", "ratio", "own", "ms"]
    assert core.split()[0] == "core" and core.split()[2::2] == ["1.000", "yes"]


def test_what_a_host_adds_is_told_from_what_the_core_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spend(seconds: float) -> None:
        end = time.process_time() + seconds
        while time.process_time() < end:
            pass

    def way(own: float) -> Callable[[Path], Any]:
        def call(path: Path) -> Any:
            spend(own)
            called.append(own)
            return enhancer.enhance_frame("a frame", None)  # type: ignore[arg-type]

        return call

    called: list[float] = []
    monkeypatch.setattr(enhancer, "enhance_frame", lambda *_: spend(0.2))
    ways = {"core": way(0.01), "slow": way(0.06)}
    clocked, _ = _clock(ways, tmp_path, 3)
    assert called == [0.01, 0.06, 0.06, 0.01, 0.01, 0.06, 0.06, 0.01]
    for name, own in (("core", 0.01), ("slow", 0.06)):
        assert len(clocked[name].seconds) == 3
        assert own <= min(clocked[name].own) < own + 0.03
        assert min(clocked[name].processor) >= 0.2 + own


def test_hosts_names_what_is_no_picture_and_skips_what_is_not_there(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "photo.txt"
    path.write_text("no picture")
    result = run("bench", "hosts", path)
    assert result.exit_code == 1 and f"cannot read {path}" in result.stderr
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    monkeypatch.setattr(gesso_hooks, "hosts", dict)
    result = run("bench", "hosts", tmp_path / "photo.png", "--repeats", 1, "--json")
    assert json.loads(result.stdout)["skipped"] == ["pillow", "imageio"]


def test_damaged_streams_are_counted(run: Run) -> None:
    result = run("bench", "streams", "--count", 60, "--seed", 3, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["count"], document["seed"], document["failures"]) == (60, 3, {})
    assert document["refused"] + document["decoded"] == 60 and document["refused"] > 30
    assert 0 < document["slowest"] < 1 and document["memory_bytes"] < 512e6
    said = run("bench", "streams", "--count", 60, "--seed", 3).stdout
    assert f"60 damaged streams: {document['refused']} refused" in said and "none failed" in said


@pytest.mark.parametrize("fault", ["raises", "lasts"])
def test_a_stream_that_is_not_handled_well_fails_the_bench(
    run: Run, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    from gesso.latent import fuzz

    def unpack(data: bytes, shared: object) -> None:
        if fault == "raises":
            raise IndexError("out of bounds")
        end = time.process_time() + 1.1
        while time.process_time() < end:
            pass

    monkeypatch.setattr(fuzz, "unpack", unpack)
    result = run("bench", "streams", "--count", 1)
    assert result.exit_code == 1
    wanted = {
        "raises": "stream 0 of seed 0: IndexError: out of bounds",
        "lasts": "took 1.1 s of processor time",
    }
    assert wanted[fault] in result.stderr
