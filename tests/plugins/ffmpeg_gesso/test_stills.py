"""Stills by ffmpeg: the QP that was asked for, colours that stock decoders show too."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

import gesso_hooks
from ffmpeg_gesso import HEVC, STILLS, StillCodec
from gesso import programs
from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.programs import ffmpeg, run


@pytest.fixture(params=STILLS, ids=lambda codec: codec.name)
def codec(request: pytest.FixtureRequest) -> StillCodec:
    chosen: StillCodec = request.param
    try:
        ffmpeg(chosen.encoder, "zscale")
    except InputError as error:
        pytest.skip(str(error))
    return chosen


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    return Image.fromarray(data.coffee()[100:196, 200:328])


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = np.square(np.asarray(one, float) - np.asarray(other, float)).mean()
    return float(10 * np.log10(255**2 / error))


def said(codec: StillCodec, file: Path, *more: str) -> str:
    """What ffmpeg says of a file."""
    command = [ffmpeg(codec.encoder), "-hide_banner", "-i", str(file), *more, "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize("qp", [17, 30, 44])
def test_the_quality_is_the_qp_of_the_slice(
    codec: StillCodec, photo: Image.Image, qp: int, tmp_path: Path
) -> None:
    file = tmp_path / f"a{codec.extension}"
    file.write_bytes(codec.encode(photo, qp))
    trace = said(codec, file, "-c", "copy", "-bsf:v", "trace_headers")
    base, delta = (
        int(re.findall(rf"{word}\s.*= (-?\d+)", trace)[-1])
        for word in ("init_qp_minus26", r"(?:slice|sh)_qp_delta")
    )
    assert 26 + base + delta == qp
    assert len(re.findall(r"(?:slice|sh)_qp_delta", trace)) == 1


def test_a_stock_decoder_sees_the_same_picture(
    codec: StillCodec, photo: Image.Image, tmp_path: Path
) -> None:
    file = tmp_path / f"a{codec.extension}"
    file.write_bytes(codec.encode(photo, 20))
    tail = ["-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]
    raw = run([ffmpeg(codec.encoder), "-threads", "1", "-i", file, *tail])
    stock, ours = Image.open(io.BytesIO(raw)), codec.decode(file.read_bytes())
    assert stock.size == photo.size
    # Its rounding and chroma filter are plainer ones (41 dB); BT.709 would give 33.
    assert psnr(stock, ours) > 38
    assert psnr(photo, ours) > psnr(photo, stock) > 35


def test_the_stream_states_its_colours(
    codec: StillCodec, photo: Image.Image, tmp_path: Path
) -> None:
    file = tmp_path / f"a{codec.extension}"
    file.write_bytes(codec.encode(photo, 40))
    stream = re.search(r"Stream #0:0.*", said(codec, file))
    assert stream and "(pc, bt470bg/bt709/iec61966-2-1" in stream[0], stream
    trace = said(codec, file, "-c", "copy", "-bsf:v", "trace_headers")
    # Type 1: in the middle of four pixels.
    assert re.search(r"chroma_sample_loc_type_(top_field|frame)\s.* = 1", trace)
    if codec is HEVC:
        assert "hevc (Main Still Picture)" in stream[0]


def test_every_byte_belongs_to_the_picture(codec: StillCodec, photo: Image.Image) -> None:
    raw, syntax = codec.encode(photo, 40), codec.item.syntax
    kinds = [syntax.kind(unit) for unit in syntax.units(raw)]
    sets = [kind for kind in kinds if kind in syntax.parameters]
    # Parameter sets once, then slices (and VVC's filter parameters); no SEI, no delimiter.
    assert sets == sorted(set(sets)) and sets[-2:] == list(syntax.parameters[1:])
    assert kinds[: len(sets)] == sets
    assert set(kinds) - set(sets) <= ({19, 20} if codec is HEVC else {7, 8, 17})
    assert raw.endswith(b"\0\0\1" + syntax.end)


def test_the_round_trip_is_as_good_as_420_allows(codec: StillCodec) -> None:
    photo = Image.fromarray(data.astronaut()[:128, 128:256])
    # Measured: 43.4 (HEVC) and 43.3 dB (VVC); plain swscale both ways gives 41.2.
    assert psnr(photo, codec.decode(codec.encode(photo, 4))) > 42.5


def test_what_cannot_be_coded_is_named(codec: StillCodec) -> None:
    with pytest.raises(InputError, match=r"mode L cannot be coded.*convert\('RGB'\)"):
        codec.encode(Image.new("L", (64, 64)), 30)


def test_a_missing_ffmpeg_is_named_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "_ffmpegs", lambda: [])
    for job in (lambda: HEVC.encode(Image.new("RGB", (16, 16)), 30), lambda: HEVC.decode(b"x")):
        with pytest.raises(InputError, match=r"^ffmpeg is not installed.*gesso\[ffmpeg\]"):
            job()


def test_an_ffmpeg_that_fails_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffmpeg_gesso.stills.ffmpeg", lambda *needs: "false")
    with pytest.raises(InputError, match=r"hevc cannot code 16 x 16 pixels at 30"):
        HEVC.encode(Image.new("RGB", (16, 16)), 30)


def test_the_hooks_find_both_and_import_nothing_heavy() -> None:
    code = """
import sys, gesso_hooks
gesso_hooks.load()
from gesso.codec import get_codec
print(get_codec("hevc").name, get_codec("vvc").name)
print([m for m in ("torch", "numpy", "PIL", "av", "imageio_ffmpeg") if m in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["hevc vvc", "[]"]


def test_they_are_codecs_like_any_other() -> None:
    gesso_hooks.load()
    for codec in STILLS:
        assert get_codec(codec.name) == codec and codec.qp(27) == 27
