"""`gesso bench flicker`: one noise field for all frames against one for each."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import gesso_hooks
from ffmpeg_gesso.flicker import _wish, measure
from gesso.errors import GessoError, InputError
from gesso.field import noise_at, noise_field
from gesso.frame import Frame
from gesso.programs import ffmpeg
from gesso.target import Target
from gesso_cli.app import build

pytest.importorskip("cv2")
pytest.importorskip("av")
NODE = "enhance=fast:sigma=0.1"


def make(path: Path, *options: str, size: str = "64x48") -> Path:
    try:
        binary = ffmpeg()
    except InputError as error:
        pytest.skip(str(error))
    source = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=5", *options, "-c:v", "ffv1"]
    subprocess.run([binary, "-v", "error", "-nostdin", *source, str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same frame five times."""
    path = tmp_path_factory.mktemp("clips") / "still.mkv"
    return make(path, "-vf", "trim=end_frame=1,loop=-1:1,format=yuv444p", "-frames:v", "5")


@pytest.fixture(scope="module")
def pan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A texture that goes to the left, two pixels a frame."""
    path = tmp_path_factory.mktemp("clips") / "pan.mkv"
    texture = "trim=end_frame=1,noise=alls=80,gblur=2,loop=-1:1,setpts=N/5/TB"
    window = "crop=96:64:x=20+2*n:y=20:exact=1,format=yuv444p"
    return make(path, "-vf", f"{texture},{window}", "-frames:v", "6", size="256x128")


@pytest.fixture(autouse=True)
def noisy(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A model that shows its noise; the seeds that it got."""
    seeds: list[int] = []

    def after_decode(frame: Frame, target: Any, options: Any, runtime: Any) -> Frame:
        seeds.append(options.seed)
        field = noise_field(0, 0, *frame.rgb.shape[-2:], seed=options.seed)
        if frame.places is not None:
            field = noise_at(*frame.places[0], seed=options.seed)
        return Frame.of((frame.rgb + 0.05 * field).clamp(0, 1))

    monkeypatch.setattr(gesso_hooks, "after_decode", after_decode)
    return seeds


def test_a_fresh_field_flickers_and_a_fixed_one_does_not(still: Path, noisy: list[int]) -> None:
    found = measure(still, [], f"{NODE}:seed=7", 4)
    rows = {row["way"]: row for row in found["rows"]}
    assert list(rows) == ["plain", "fixed", "followed", "fresh"]
    assert (found["frames"], found["still"]) == (4, 1)
    assert rows["plain"]["flicker"] == rows["fixed"]["flicker"] == 0
    assert rows["followed"]["flicker"] == 0
    assert rows["fresh"]["flicker"] > 5
    assert rows["fresh"]["warped_error"] > 5 > rows["fixed"]["warped_error"]
    assert sorted(noisy) == [7] * 8 + [8, 9, 10]


def test_noise_that_follows_a_pan_has_less_warped_error(pan: Path) -> None:
    rows = {row["way"]: row for row in measure(pan, [], NODE, 6)["rows"]}
    assert rows["plain"]["warped_error"] < 3
    assert rows["followed"]["warped_error"] < 0.6 * rows["fixed"]["warped_error"]


def test_a_coded_clip_is_compared_with_its_source(still: Path) -> None:
    arguments = ["bench", "flicker", str(still), "--encode", "-c:v mpeg4 -q:v 9", "--json"]
    result = CliRunner().invoke(build(), [*arguments, "--node", NODE])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    rows = {row["way"]: row for row in found["rows"]}
    assert list(rows) == ["source", "plain", "fixed", "followed", "fresh"]
    assert rows["source"]["psnr"] is None
    assert rows["plain"]["psnr"] > rows["fixed"]["psnr"] > 15
    assert rows["fixed"]["flicker"] < rows["fresh"]["flicker"]
    assert rows["source"]["flicker"] == 0
    assert rows["plain"]["flicker_ratio"] is None  # of nothing


def test_the_table_names_every_way(still: Path) -> None:
    arguments = ["bench", "flicker", str(still), "--encode", "", "--node", NODE, "--frames", "2"]
    result = CliRunner().invoke(build(), arguments)
    assert result.exit_code == 0, result.output
    assert "64x48, 2 frames, 100 % of pixels still" in result.stdout
    assert all(word in result.stdout for word in ("plain", "followed", "fresh", "warped error"))


@pytest.mark.parametrize(
    ("node", "said"),
    [("identity=1", "gesso=enhance"), ("enhance=fast", "codec"), ("enhance=fast:x=1", "no option")],
)
def test_a_node_that_cannot_be_measured(still: Path, node: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        measure(still, [], node, 3)


def test_a_clip_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "no.mkv").write_bytes(b"nothing")
    with pytest.raises(InputError, match="name a video"):
        measure(tmp_path / "no.mkv", [], NODE, 3)
    with pytest.raises(InputError, match="name a video"):
        measure(tmp_path / "none.mkv", [], NODE, 3)


def test_one_frame_is_no_video(tmp_path: Path) -> None:
    clip = make(tmp_path / "one.mkv", "-frames:v", "1")
    with pytest.raises(InputError, match="two or more"):
        measure(clip, [], NODE, 3)


def test_the_node_learns_what_codes_the_clip() -> None:
    assert _wish("enhance=fast", ["-c:v", "libx265", "-crf", "31"]).target == Target("hevc", 31)
    assert _wish("gesso=enhance=fast", ["-c:v", "libx264"]).target == Target("hevc", 23)
    stated = "enhance=fast:codec=jpeg:quality=40"
    assert _wish(stated, ["-c:v", "libx265", "-crf", "31"]).target == Target("jpeg", 40)
    with pytest.raises(InputError, match="name codec"):
        _wish("enhance=fast", ["-c:v", "libx265", "-b:v", "1M"])


def test_an_encoder_that_fails_is_told(still: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(GessoError, match="ffmpeg failed"):
        measure(still, ["-c:v", "nonesuch"], NODE, 3)
    assert "nonesuch" in capfd.readouterr().err
