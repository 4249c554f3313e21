"""VMAF of stills and videos, where an ffmpeg with libvmaf is installed."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
import torch

from gesso.errors import InputError
from gesso.evaluation import vmaf as module
from gesso.evaluation.metrics import METRICS
from gesso.evaluation.vmaf import NEG_MODEL, missing_vmaf, vmaf, vmaf_neg, vmaf_of_videos
from gesso.programs import ffmpeg

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]

pytestmark = pytest.mark.skipif(missing_vmaf() is not None, reason=str(missing_vmaf()))


# By the package vmaf-torch 1.1.0, an implementation of its own, on luma of BT.709 in limited
# range: VMAF(enable_motion=False, clip_score=True, NEG=False or True).
@pytest.mark.parametrize(
    ("name", "plain", "neg"),
    [
        ("astronaut", 44.6016, 43.5223),
        ("coffee", 51.2351, 48.8246),
        ("bands", 85.2418, 81.2365),
    ],
)
def test_agrees_with_an_independent_implementation(
    pairs: Pairs, name: str, plain: float, neg: float
) -> None:
    assert vmaf(*pairs[name]).item() == pytest.approx(plain, abs=0.1)
    assert vmaf_neg(*pairs[name]).item() == pytest.approx(neg, abs=0.1)


def test_an_equal_still_is_nearly_a_hundred(pairs: Pairs) -> None:
    x = pairs["coffee"][0]
    assert 97 < vmaf(x, x).item() <= 100


def test_contrast_deceives_vmaf_but_not_its_neg_variant(pairs: Pairs) -> None:
    source = pairs["astronaut"][0]
    blurred = torch.nn.functional.avg_pool2d(source, 3, 1, 1)
    stretched = (0.5 + 1.3 * (blurred - 0.5)).clamp(0, 1)
    assert vmaf(source, stretched).item() > vmaf(source, blurred).item() + 15
    assert vmaf_neg(source, stretched).item() < vmaf_neg(source, blurred).item()


def test_measures_the_smallest_picture_and_odd_sides() -> None:
    side = METRICS["vmaf"].smallest
    x = torch.rand(1, 3, side, side + 1, generator=torch.Generator().manual_seed(0))
    assert vmaf(x, x).item() > 97
    with pytest.raises(InputError, match=f"VMAF needs {side} x {side} pixels or more"):
        METRICS["vmaf"](x[:, :, 1:], x[:, :, 1:])


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """source.mkv (lossless, 24 frames), coded.mp4, short.mp4 (20 frames) and small.mp4."""
    folder = tmp_path_factory.mktemp("videos")
    start = [ffmpeg("libvmaf"), "-v", "error", "-nostdin"]
    picture = "testsrc2=size=160x96:rate=24:duration=1"
    x264 = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"]
    source = folder / "source.mkv"
    for name, options in {
        "source.mkv": ["-f", "lavfi", "-i", picture, "-c:v", "ffv1", "-pix_fmt", "yuv420p"],
        "coded.mp4": ["-i", source, *x264, "-crf", "45"],
        "short.mp4": ["-i", source, *x264, "-frames:v", "20"],
        "small.mp4": ["-i", source, *x264, "-vf", "scale=80:48"],
    }.items():
        subprocess.run([*map(str, (*start, *options)), str(folder / name)], check=True)
    return folder


def test_of_videos_gives_what_ffmpeg_prints(videos: Path) -> None:
    source, coded = videos / "source.mkv", videos / "coded.mp4"
    # The first input is the distorted one. Without the same rate for both, Matroska's
    # milliseconds would let ffmpeg compare some frames with their neighbours.
    inputs = ["-r", "24", "-i", str(coded), "-r", "24", "-i", str(source)]
    command = [ffmpeg("libvmaf"), "-nostdin", *inputs, "-lavfi", "libvmaf", "-f", "null", "-"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    expected = float(printed.split("VMAF score: ")[1].split()[0])
    assert 5 < expected < 90
    assert vmaf_of_videos(source, coded) == pytest.approx(expected, abs=0.01)
    assert vmaf_of_videos(source, coded, NEG_MODEL) < expected
    assert vmaf_of_videos(source, source) > 97


def test_paths_may_hold_what_filter_graphs_treat_as_their_own(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "it's [a], b;c \\ d%"
    odd.mkdir()
    coded = odd / "a;b,'c.mp4"
    coded.write_bytes((videos / "coded.mp4").read_bytes())
    expected = vmaf_of_videos(videos / "source.mkv", videos / "coded.mp4")
    monkeypatch.setattr(tempfile, "tempdir", str(odd))  # where the log goes
    assert vmaf_of_videos(videos / "source.mkv", coded) == expected


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("short.mp4", "source.mkv is 160 x 96, 24 frames, .*short.mp4 is 160 x 96, 20 frames"),
        ("small.mp4", "small.mp4 is 80 x 48, 24 frames"),
        ("none.mp4", "there is no video .*none.mp4"),
        ("text.mp4", "text.mp4 cannot be read as a video"),
    ],
)
def test_videos_that_do_not_fit_are_named(videos: Path, name: str, message: str) -> None:
    (videos / "text.mp4").write_text("no video")
    with pytest.raises(InputError, match=message):
        vmaf_of_videos(videos / "source.mkv", videos / name)


def test_without_ffmpeg_it_says_so(monkeypatch: pytest.MonkeyPatch, pairs: Pairs) -> None:
    def absent(*needs: str) -> str:
        raise InputError(f"no ffmpeg here has {needs[0]}; install it")

    monkeypatch.setattr(module, "ffmpeg", absent)
    assert missing_vmaf() == "no ffmpeg here has libvmaf; install it"
    with pytest.raises(InputError, match="no ffmpeg here has libvmaf"):
        vmaf(*pairs["coffee"])
