"""ffmpeg-python builds graphs with gesso in them once it is told to."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import ffmpeg_gesso
from gesso.errors import InputError
from gesso.programs import ffmpeg as program

ffmpeg = pytest.importorskip("ffmpeg")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    ffmpeg_gesso.register()
    ffmpeg_gesso.register()
    yield
    ffmpeg_gesso.unregister()
    assert not hasattr(ffmpeg.input("a").video, "gesso")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    try:
        binary = program("ffv1")
    except InputError as error:
        pytest.skip(str(error))
    path = tmp_path / "in.mkv"
    source = ["-f", "lavfi", "-i", "testsrc2=s=64x48:d=0.4", "-f", "lavfi", "-i", "sine=d=0.4"]
    subprocess.run([binary, "-v", "error", *source, "-c:v", "ffv1", str(path)], check=True)
    return path


def test_a_graph_is_built() -> None:
    video = ffmpeg.input("in.mp4").video.hflip().gesso(enhance="fast", codec="x264", crf=28)
    words = ffmpeg.get_args(video.output("out.mp4"))
    graph = words[words.index("-filter_complex") + 1]
    assert graph == "[0:v]hflip[s0];[s0]gesso=codec=x264:crf=28:enhance=fast[s1]"


def test_a_graph_is_run(clip: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source, out = ffmpeg.input(str(clip)), tmp_path / "out.mkv"
    stream = source.video.gesso(identity=1).output(source.audio, str(out), vcodec="ffv1")
    said = ffmpeg_gesso.run(stream, quiet=True)
    assert out.stat().st_size > 1000
    assert "Output #0" in said
    assert capfd.readouterr().err == ""
    assert "already exists" in ffmpeg_gesso.run(stream, quiet=True)  # nobody is asked
    ffmpeg_gesso.run(stream, quiet=True, overwrite_output=True)


def test_much_on_stderr_holds_nothing_up(clip: Path, tmp_path: Path) -> None:
    stream = ffmpeg.input(str(clip)).video.gesso(identity=1).filter("showinfo")
    output = stream.output(str(tmp_path / "out.mkv"), vcodec="ffv1").global_args("-v", "debug")
    assert 10_000 < len(ffmpeg_gesso.run(output, quiet=True)) <= 1 << 16


def test_what_ffmpeg_refuses_is_told(tmp_path: Path) -> None:
    stream = ffmpeg.input(str(tmp_path / "nowhere.mp4")).video.gesso(identity=1)
    with pytest.raises(ffmpeg_gesso.RunError, match="No such file") as caught:
        ffmpeg_gesso.run(stream.output("out.mkv"), quiet=True)
    assert "nowhere.mp4" in caught.value.stderr


def test_what_gesso_refuses_is_told(clip: Path) -> None:
    stream = ffmpeg.input(str(clip)).video.gesso(sharpen=1)
    with pytest.raises(InputError, match="no option 'sharpen'"):
        ffmpeg_gesso.run(stream.output("out.mkv"), quiet=True)
