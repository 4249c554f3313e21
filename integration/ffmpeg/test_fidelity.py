"""With an identity model every packet is what ffmpeg writes with its own filter null."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmpeg_gesso.command import run

Packets = Callable[[Path], list[str]]
X265 = "-c:v libx265 -x265-params log-level=error"

CASES = {
    "10 bit, HDR10, variable rate": (f"-i hdr.mp4 -vf NODE {X265} -c:a copy", "mp4"),
    "every timestamp": (
        f"-i hdr.mp4 -vf NODE {X265} -fps_mode passthrough -enc_time_base demux -c:a copy",
        "mp4",
    ),
    "lossless": ("-i hdr.mp4 -vf NODE -c:v ffv1 -c:a copy", "mkv"),
    "all streams": ("-i rich.mkv -map 0 -vf NODE -c:v libx264 -c:a copy -c:s copy", "mkv"),
    "ffmpeg's own choice": ("-i rich.mkv -vf NODE -c:v libx264 -c:a aac -c:s mov_text", "mp4"),
    "turned": ("-i turned.mp4 -vf NODE -c:v libx264", "mp4"),
    "turned by the player": ("-noautorotate -i turned.mp4 -vf NODE -c:v libx264", "mp4"),
    "a part": ("-ss 0.3 -i rich.mkv -t 0.5 -vf NODE -c:v libx264 -c:a copy", "mp4"),
    "a part of the output": ("-i rich.mkv -ss 0.2 -to 0.6 -vf NODE -c:v libx264", "mkv"),
    "a few frames": ("-i rich.mkv -frames:v 5 -vf NODE -c:v libx264 -an", "mp4"),
    "between filters": ("-i rich.mkv -vf scale=80:-2,NODE,vflip,NODE,NODE -c:v ffv1", "mkv"),
    "own time": ("-copyts -ss 0.3 -i rich.mkv -vf NODE -c:v libx264 -c:a copy", "mkv"),
    "moved": ("-itsoffset 2 -i rich.mkv -vf NODE -c:v libx264 -c:a copy", "mkv"),
    "another rate": ("-i hdr.mp4 -vf NODE -r 24 -c:v libx264 -c:a copy", "mp4"),
    "a transport stream": ("-i rich.ts -vf NODE -c:v libx264 -c:a copy", "mp4"),
    "pixels that are not square": (
        "-i rich.mkv -vf setsar=128/117:max=128,NODE -c:v libx264",
        "mp4",
    ),
    "full range": ("-i full.avi -vf NODE -c:v libx264", "mp4"),
    "RGB": ("-i rgb.mkv -vf NODE -c:v libx264", "mkv"),
    "12 bit 4:4:4": ("-i hdr.mp4 -vf format=yuv444p12le,NODE -c:v ffv1", "mkv"),
    "a graph": (
        "-i rich.mkv -i hdr.mp4 -filter_complex "
        "[0:v]NODE,scale=160:120[a];[1:v]split[b][c];[c]NODE[d];[a][b][d]hstack=3[o] "
        "-map [o] -map 0:a -c:v libx264 -c:a copy",
        "mp4",
    ),
    "a graph without labels": (
        "-i rich.mkv -filter_complex hflip,NODE -c:v libx264 -c:a copy",
        "mp4",
    ),
    "a graph without input": (
        "-filter_complex testsrc=d=1:s=96x64[a];sine=d=1[s];[a]NODE,NODE -map [s] -c:v libx264",
        "mkv",
    ),
    "SVT-AV1, 10 bit": (
        "-i hdr.mp4 -vf NODE -c:v libsvtav1 -preset 12 -crf 45 -c:a copy",
        "mp4",
    ),
    "VVC, 10 bit": ("-i hdr.mp4 -vf NODE -c:v libvvenc -preset faster -qp 40 -c:a copy", "mp4"),
    "two outputs": ("-i rich.mkv -vf NODE -c:v libx264 one.mp4 -vf hflip -c:v libx264", "mp4"),
}


@pytest.mark.parametrize("name", CASES)
def test_identity_is_null(
    name: str,
    clips: Path,
    tmp_path: Path,
    binary: str,
    packets: Packets,
    facts: Packets,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command, kind = CASES[name]
    there = subprocess.run([binary, "-v", "error", "-encoders"], capture_output=True, text=True)
    if lacking := {"libsvtav1", "libvvenc"} & set(command.split()) - set(there.stdout.split()):
        pytest.skip(f"this ffmpeg has no {', '.join(lacking)}")
    for clip in clips.iterdir():
        (tmp_path / clip.name).symlink_to(clip)
    monkeypatch.chdir(tmp_path)
    quiet = ["-y", "-v", "error", "-nostdin"]
    words = [*quiet, *command.replace("NODE", "null").split(), f"plain.{kind}"]
    assert subprocess.call([binary, *words]) == 0
    words = [*quiet, *command.replace("NODE", "gesso=identity").split(), f"gesso.{kind}"]
    assert run(words) == 0
    plain, ours = (Path(f"{each}.{kind}") for each in ("plain", "gesso"))
    assert packets(ours) == packets(plain)
    assert len(packets(ours)) > 10
    assert facts(ours) == facts(plain)


def test_what_a_rich_file_has_is_still_there(clips: Path, tmp_path: Path, facts: Packets) -> None:
    out = tmp_path / "out.mkv"
    words = ["-v", "error", "-nostdin", "-i", str(clips / "rich.mkv"), "-map", "0"]
    assert run([*words, "-vf", "gesso=identity", "-c:v", "libx264", "-c:a", "copy", str(out)]) == 0
    said = "\n".join(facts(out))
    for fact in ("title           : A title", "Chapter #0:1", "(deu)", "(fra)", "a view"):
        assert fact in said
    for fact in ("Subtitle: ", "Attachment: ", "font/ttf"):
        assert fact in said


@pytest.mark.parametrize("option", ["-/filter:v", "-filter_script:v"])
def test_scripts_of_either_spelling(
    option: str, clips: Path, tmp_path: Path, packets: Packets
) -> None:
    script = tmp_path / "graph.txt"
    script.write_text("hflip,\ngesso=identity\n", encoding="utf-8")
    common = ["-v", "error", "-nostdin", "-i", str(clips / "rich.mkv")]
    rest = ["-an", "-sn", "-c:v", "ffv1"]
    assert run([*common, option, str(script), *rest, str(tmp_path / "a.mkv")]) == 0
    assert run([*common, "-vf", "hflip", *rest, str(tmp_path / "b.mkv")]) == 0
    assert packets(tmp_path / "a.mkv") == packets(tmp_path / "b.mkv")


def test_an_older_ffmpeg(
    clips: Path, tmp_path: Path, packets: Packets, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Named by GESSO_OLDER_FFMPEG, a folder with an ffmpeg in it."""
    folder = os.environ.get("GESSO_OLDER_FFMPEG")
    if not folder:
        pytest.skip("set GESSO_OLDER_FFMPEG to a folder that holds one")
    monkeypatch.setenv("PATH", folder, prepend=os.pathsep)
    common = ["-v", "error", "-nostdin", "-i", str(clips / "rich.mkv"), "-an", "-sn"]
    for node in ("gesso=identity", "null"):
        assert run([*common, "-vf", node, "-c:v", "ffv1", str(tmp_path / f"{node}.mkv")]) == 0
    assert packets(tmp_path / "gesso=identity.mkv") == packets(tmp_path / "null.mkv")


@pytest.mark.parametrize("count", [1, 2])
def test_a_clip_of_few_frames(count: int, clips: Path, tmp_path: Path, packets: Packets) -> None:
    common = ["-v", "error", "-nostdin", "-i", str(clips / "full.avi")]
    for node in ("gesso=identity", "null"):
        graph = f"select='lt(n,{count})',{node}"
        assert run([*common, "-vf", graph, "-c:v", "ffv1", str(tmp_path / f"{node}.mkv")]) == 0
    ours, plain = (packets(tmp_path / f"{node}.mkv") for node in ("gesso=identity", "null"))
    assert ours == plain
