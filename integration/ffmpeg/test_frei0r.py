"""The in-graph route: what ffmpeg writes with its own filter null, but for RGBA's rounding."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmpeg_gesso.command import run
from ffmpeg_gesso.frei0r import building
from ffmpeg_gesso.routes import run_by
from gesso.errors import InputError
from gesso.programs import ffmpeg

Packets = Callable[[Path], list[str]]
ROUTE = ["--route", "frei0r"]
QUIET = ["-v", "error", "-nostdin", "-y"]
# Colours inside of RGB, at odd sizes and odd times.
SOFT = (
    "eq=saturation=0.5:contrast=0.8,gblur=2,format=yuv444p,crop=161:121,format=yuv420p,"
    "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709,"
    "settb=1/90000,setpts='N*3000+mod(N*N,7)*173+1200'"
)
EXACTLY = "-fps_mode passthrough -enc_time_base demux"
CASES = {
    "variable rate, odd size": (f"-i soft.mkv -vf NODE {EXACTLY} -c:v ffv1 -c:a copy", 60),
    "two nodes": ("-i soft.mkv -vf NODE,hflip,NODE -c:v ffv1 -c:a copy", 55),
    "a graph": (
        # Threads of hstack write over each other's columns where widths are odd.
        "-i soft.mkv -i soft.mkv -filter_complex "
        "[0:v]split[a][b];[a]NODE[c];[1:v]scale=80:121,NODE[d];[c][b][d]hstack=3:threads=1[o] "
        "-map [o] -map 0:a -c:v ffv1 -c:a copy",
        55,
    ),
    "a script": ("-i soft.mkv -/filter:v graph.txt -c:v ffv1 -c:a copy", 60),
    "the encoder's own choice": (
        "-i soft.mkv -vf scale=160:120,NODE -qp 0 -c:v libx264 -c:a copy",
        55,
    ),
    "everything in a file": ("-i rich.mkv -map 0 -vf NODE -c:v ffv1 -c:a copy -c:s copy", 30),
    "turned": ("-i turned.mp4 -vf NODE -c:v ffv1", 30),
    "full range": ("-i full.avi -vf NODE -c:v ffv1", 30),
    "RGB": ("-i rgb.mkv -vf format=gbrp,NODE -c:v ffv1", float("inf")),
    "alpha": ("-i rgb.mkv -vf format=yuva444p,NODE -c:v ffv1", 40),
    "a part": ("-ss 0.3 -i rich.mkv -t 0.5 -vf NODE -c:v ffv1 -c:a copy -sn", 30),
    "two outputs": ("-i soft.mkv -vf NODE -c:v ffv1 one.mkv -vf hflip,NODE -c:v ffv1", 60),
}


@pytest.fixture(scope="module")
def soft(clips: Path, binary: str) -> Path:
    """The folder of clips, with soft.mkv (8 bit) and graph.txt in it."""
    made = [binary, *QUIET, "-f", "lavfi", "-i", "testsrc2=s=164x124:r=25:d=1"]
    made += ["-f", "lavfi", "-i", "sine=d=1", "-vf", SOFT, *EXACTLY.split()]
    subprocess.run([*made, "-c:v", "ffv1", "-c:a", "aac", str(clips / "soft.mkv")], check=True)
    return clips


@pytest.fixture(scope="module", autouse=True)
def needs() -> None:
    """A compiler, and an ffmpeg that has frei0r."""
    if building.VARIABLE not in os.environ and not any(map(shutil.which, building.COMPILERS)):
        pytest.skip("needs a C compiler")
    try:
        ffmpeg("frei0r")
    except InputError as error:
        pytest.skip(str(error))


def psnr(binary: str, one: Path, other: Path) -> float:
    """The lower of brightness and the mean of all planes, in dB."""
    graph = "[0:v]setpts=N[a];[1:v]setpts=N[b];[a][b]psnr"
    command = [binary, "-hide_banner", "-i", str(one), "-i", str(other), "-lavfi", graph]
    done = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True)
    return min(float(found) for found in re.findall(r"(?: [yr]|average):(\S+)", done.stderr))


@pytest.mark.parametrize("name", CASES)
def test_identity_is_nearly_null(
    name: str,
    soft: Path,
    tmp_path: Path,
    binary: str,
    packets: Packets,
    facts: Packets,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command, least = CASES[name]
    for clip in soft.iterdir():
        (tmp_path / clip.name).symlink_to(clip)
    monkeypatch.chdir(tmp_path)
    graph = Path("graph.txt")
    graph.write_text("null\n", encoding="utf-8")
    assert subprocess.call([binary, *QUIET, *command.replace("NODE", "null").split(), "p.mkv"]) == 0
    graph.write_text("gesso=identity\n", encoding="utf-8")
    words = command.replace("NODE", "gesso=identity").split()
    assert run([*ROUTE, *QUIET, *words, "g.mkv"]) == 0
    plain, ours = Path("p.mkv"), Path("g.mkv")
    assert facts(ours) == facts(plain)
    lines = [packets(path) for path in (ours, plain)]
    times, others = zip(*map(parted, lines), strict=True)
    assert times[0] == times[1]
    assert len(times[0]) > 10
    assert others[0] == others[1]
    assert psnr(binary, ours, plain) >= least


def parted(lines: list[str]) -> tuple[list[list[str]], list[str]]:
    """The times of the video's packets, and everything else of every other stream."""
    kept = [line for line in lines if not line.startswith("#")]
    video = [line.split(",")[:4] for line in kept if line.startswith("0,")]
    return video, [line for line in kept if not line.startswith("0,")]


def test_standard_input(soft: Path, tmp_path: Path, binary: str, packets: Packets) -> None:
    out, plain = tmp_path / "out.mkv", tmp_path / "plain.mkv"
    words = ["-c:v", "ffv1", "-c:a", "copy"]
    source = [binary, *QUIET, "-i", str(soft / "soft.mkv"), "-c", "copy", "-f", "matroska", "-"]
    with subprocess.Popen(source, stdout=subprocess.PIPE) as giving:
        assert giving.stdout is not None
        graph = ["-vf", "gesso=identity,gesso=identity"]
        words = ["-v", "error", "-i", "-", *graph, *words, str(out)]
        assert run_by("frei0r", words, stdin=giving.stdout.fileno()) == 0
    words = ["-i", str(soft / "soft.mkv"), "-c:v", "ffv1", "-c:a", "copy", str(plain)]
    subprocess.run([binary, *QUIET, *words], check=True)
    assert parted(packets(out)) == parted(packets(plain))
    assert psnr(binary, out, plain) > 55


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("-i hdr.mp4 -vf gesso=identity", "the frames at gesso have 10 .*take the exact route"),
        ("-i hdr.mp4 -vf format=yuv420p,gesso=identity", "no HDR and no wide gamut"),
        ("-i rgb.mkv -vf gesso=identity,format=gbrp16le,gesso=identity", "gesso have 16"),
        ("-i rgb.mkv -vf select=0,gesso=identity", "no frame came to gesso"),
    ],
)
def test_what_this_route_refuses(
    words: str, message: str, clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clips)
    out = tmp_path / "out.mkv"
    with pytest.raises(InputError, match=message):
        run([*ROUTE, *QUIET, *words.split(), str(out)])
    assert not out.exists()


@pytest.mark.parametrize(
    "words", [["-i", "nowhere.mp4"], ["-i", "rgb.mkv", "-c:v", "nothing"], ["-bad", "1"]]
)
def test_ffmpeg_s_own_errors(
    words: list[str],
    clips: Path,
    binary: str,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(clips)
    plain = subprocess.call([binary, *QUIET, *words, "-vf", "null", "out.mp4"])
    said = capfd.readouterr().err.splitlines()[-1]
    assert run([*ROUTE, *QUIET, *words, "-vf", "gesso=identity", "out.mp4"]) == plain
    assert capfd.readouterr().err.splitlines()[-1] == said


def test_a_size_that_changes_is_scaled_as_without_gesso(
    binary: str, tmp_path: Path, packets: Packets, facts: Packets
) -> None:
    parts = []
    for name, size in (("a", "96x64"), ("b", "64x48")):
        part = str(tmp_path / f"{name}.ts")
        source = ["-f", "lavfi", "-i", f"testsrc2=s={size}:d=0.4"]
        subprocess.run([binary, *QUIET, *source, "-c:v", "libx264", part], check=True)
        parts.append(part)
    both, ours, plain = (tmp_path / name for name in ("both.ts", "ours.mkv", "plain.mkv"))
    both.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    words = [*QUIET, "-i", str(both), "-c:v", "ffv1"]
    assert run([*ROUTE, *words, "-vf", "gesso=identity", str(ours)]) == 0
    subprocess.run([binary, *words, "-vf", "null", str(plain)], check=True)
    assert parted(packets(ours)) == parted(packets(plain))
    assert len(parted(packets(ours))[0]) == 20
    assert facts(ours) == facts(plain)


def test_an_older_ffmpeg(
    soft: Path,
    tmp_path: Path,
    binary: str,
    packets: Packets,
    facts: Packets,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Named by GESSO_OLDER_FFMPEG, a folder with an ffmpeg in it."""
    folder = os.environ.get("GESSO_OLDER_FFMPEG")
    if not folder:
        pytest.skip("set GESSO_OLDER_FFMPEG to a folder that holds one")
    monkeypatch.setenv("PATH", folder, prepend=os.pathsep)
    words = [*QUIET, "-i", str(soft / "soft.mkv"), "-c:v", "ffv1", "-c:a", "copy"]
    ours, plain = tmp_path / "ours.mkv", tmp_path / "plain.mkv"
    even = "crop=160:121:0:0,"
    assert run([*ROUTE, *words, "-vf", f"{even}gesso=identity", str(ours)]) == 0
    older = str(Path(folder) / "ffmpeg")
    subprocess.run([older, *words, "-vf", f"{even}null", str(plain)], check=True)
    assert parted(packets(ours)) == parted(packets(plain))
    assert facts(ours) == facts(plain)
    assert psnr(binary, ours, plain) >= 60
