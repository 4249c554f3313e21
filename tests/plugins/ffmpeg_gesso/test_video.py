"""`gesso bench video`: rates and metrics of a clip, plainly and with nodes on either side."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gesso_hooks
from ffmpeg_gesso.video import measure
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.programs import ffmpeg
from gesso_cli.app import build

pytest.importorskip("av")
X264 = "-c:v libx264 -preset ultrafast -crf {}"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 x 48, five frames a second, one second."""
    path = tmp_path_factory.mktemp("clips") / "clip.mkv"
    try:
        binary = ffmpeg("libx264")
    except InputError as error:
        pytest.skip(str(error))
    source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=1", "-c:v", "ffv1"]
    subprocess.run([binary, "-v", "error", "-nostdin", *source, str(path)], check=True)
    return path


@pytest.fixture(autouse=True)
def darker(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Models that halve what they see; the targets that they were told."""
    targets: list[Any] = []

    def half(frame: Frame, target: Any, options: Any, runtime: Any) -> Frame:
        targets.append(target)
        return Frame.of(frame.rgb / 2)

    monkeypatch.setattr(gesso_hooks, "after_decode", half)
    monkeypatch.setattr(gesso_hooks, "before_encode", half)
    return targets


def test_enhancing_costs_no_bits_and_preprocessing_changes_them(
    clip: Path, darker: list[Any]
) -> None:
    nodes = ["enhance=fast:device=cpu", "preprocess=1:effort=medium:device=cpu"]
    ticks: list[tuple[int, int]] = []
    found = measure(clip, X264, [20, 40], nodes, ["psnr"], 3, lambda *done: ticks.append(done))
    rows = {(row["way"], row["quality"]): row for row in found["rows"]}
    assert [way for way, _ in rows] == ["plain", "plain", nodes[0], nodes[0], nodes[1], nodes[1]]
    assert ticks == [(done, 6) for done in range(1, 7)] and found["frames"] == 3
    for quality in (20, 40):
        plain, after, before = (rows[way, quality] for way in ("plain", *nodes))
        assert after["kbps"] == plain["kbps"] != before["kbps"]
        assert plain["psnr"] > 20 > max(after["psnr"], before["psnr"])
    assert rows["plain", 20]["kbps"] > rows["plain", 40]["kbps"]
    # each node was told what codes the clip
    assert {target.quality for target in darker} == {20, 40}
    # fewer than four points have no BD-rate, and the reason is said
    assert all(entry["rate"] is None and entry["note"] for entry in found["deltas"])


def test_whole_videos_where_the_metric_sees_them(clip: Path) -> None:
    try:
        ffmpeg("libvmaf")
    except InputError as error:
        pytest.skip(str(error))
    found = measure(clip, X264, [20], ["enhance=fast:device=cpu"], ["vmaf"], 3)
    plain, after = (row["vmaf"] for row in found["rows"])
    assert 100 >= plain > after >= 0


def test_the_command(clip: Path) -> None:
    wish = ["--encode", X264, "--qualities", "20,26,32,38", "--metrics", "psnr", "--frames", "3"]
    command = ["bench", "video", str(clip), *wish, "--node", "enhance=fast:device=cpu"]
    shown = CliRunner().invoke(build(), command)
    assert shown.exit_code == 0, shown.output
    assert "clip.mkv: 64x48, 3 frames" in shown.stdout
    assert "enhance=fast:device=cpu, PSNR: " in shown.stdout
    document = json.loads(CliRunner().invoke(build(), [*command, "--json"]).stdout)
    assert len(document["rows"]) == 8 and document["deltas"][0]["gain"] < 0


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (["--encode", "-c:v libx264"], "has no {} for the quality"),
        (["--node", "identity"], "--node begins with enhance or preprocess"),
        (["--node", "enhance=fastest"], "enhance must be one of"),
        (["--qualities", "high"], "takes numbers, as 22,27,32,37"),
        (["--metrics", "beauty"], "beauty"),
    ],
)
def test_what_is_wrong_is_said(clip: Path, wish: list[str], says: str) -> None:
    result = CliRunner().invoke(build(), ["bench", "video", str(clip), "--frames", "2", *wish])
    assert result.exit_code != 0
    assert says in " ".join((result.output + str(result.exception)).split())


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no video")
    with pytest.raises(InputError, match=r"cannot read .*a\.mp4"):
        measure(path, X264, [20], ["enhance=fast"], ["psnr"], 2)
