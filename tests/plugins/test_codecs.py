"""What every codec of ours keeps: the protocol, its scale, its errors."""

from __future__ import annotations

import pickle
import random
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from ffmpeg_gesso import STILLS
from gesso.codec import PILLOW_CODECS, Codec
from gesso.errors import InputError
from pillow_gesso.heic import HEIC

CODECS: tuple[Codec, ...] = (*PILLOW_CODECS, HEIC, *STILLS)
SIZES = [(1, 1), (2, 2), (17, 9), (5, 40), (64, 66)]


@pytest.fixture(params=CODECS, ids=lambda codec: codec.name)
def codec(request: pytest.FixtureRequest) -> Codec:
    """One after the other; those whose library or program is not there are skipped."""
    chosen: Codec = request.param
    if reason := missing(chosen):
        pytest.skip(reason)
    return chosen


@cache
def missing(codec: Codec) -> str:
    """What keeps a codec from running here, if anything does."""
    try:
        codec.encode(Image.new("RGB", (16, 16)), codec.qualities[0])
    except InputError as error:
        return str(error)
    return ""


def photo(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Slopes of light, each channel its own way, with an edge and some grain."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    grain = np.random.default_rng(0).normal(0, 3, size[::-1])
    edge = np.where((x > 30) & (y < 20), 25, 0)
    channels = [60 + 2 * x + edge + grain, 200 - 2 * y - edge + grain, 90 + x + y + grain]
    return Image.fromarray(np.stack(channels, -1).clip(0, 255).astype(np.uint8))


def at(codec: Codec, share: float) -> float:
    """The quality so far from the worst to the best."""
    worst, best = codec.qualities
    return round(worst + share * (best - worst))


def psnr(one: Image.Image, other: Image.Image) -> float:
    error = np.square(np.asarray(one, float) - np.asarray(other, float)).mean()
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def test_it_follows_the_protocol(codec: Codec) -> None:
    assert isinstance(codec, Codec)
    assert codec.name == codec.name.lower() and codec.extension.startswith(".")
    assert codec.qualities[0] != codec.qualities[1]


def test_it_can_be_sent_to_another_process(codec: Codec) -> None:
    twin = pickle.loads(pickle.dumps(codec))
    assert twin == codec and hash(twin) == hash(codec)


def test_more_quality_is_more_bytes_and_less_error(codec: Codec) -> None:
    picture, found = Image.fromarray(data.astronaut()[40:104, 180:276]), []
    for share in (0.0, 0.3, 0.6, 0.9):
        raw = codec.encode(picture, at(codec, share))
        decoded = codec.decode(raw)
        assert (decoded.mode, decoded.size) == ("RGB", picture.size)
        found.append((len(raw), psnr(picture, decoded)))
    assert all(a < c and b < d for (a, b), (c, d) in pairwise(found)), found
    assert found[-1][1] > 34


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_any_size_comes_back(codec: Codec, size: tuple[int, int]) -> None:
    picture = photo(size)
    decoded = codec.decode(codec.encode(picture, at(codec, 0.9)))
    assert (decoded.mode, decoded.size) == ("RGB", size)
    # A picture that is turned or in wrong colours stays below.
    assert psnr(picture, decoded) > 32


@pytest.mark.parametrize("colour", ["red", "lime", "blue", "white", "#123456"])
def test_colours_are_true(codec: Codec, colour: str) -> None:
    picture = Image.new("RGB", (16, 16), colour)
    decoded = np.asarray(codec.decode(codec.encode(picture, at(codec, 0.9))), int)
    assert np.abs(decoded - np.asarray(picture, int)).max() <= 6


def test_it_codes_alike_every_time_and_leaves_nothing_behind(
    codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    once, again = (codec.encode(photo(), at(codec, 0.5)) for _ in range(2))
    assert once == again
    shown = {codec.decode(once).tobytes() for _ in range(3)}
    assert len(shown) == 1
    assert not list(tmp_path.iterdir())


def test_its_rate_index_falls_with_quality(codec: Codec) -> None:
    levels = [codec.qp(at(codec, share / 100)) for share in range(101)]
    assert all(a >= b for a, b in pairwise(levels))
    assert 63 >= levels[0] > levels[-1] + 20 and levels[-1] >= -10


@pytest.mark.parametrize("raw", [b"", b"\0", b"not a picture", b"\0\0\0\1\x40\1\x0c", b"\0" * 999])
def test_foreign_bytes_raise(codec: Codec, raw: bytes) -> None:
    with pytest.raises(InputError, match=f"no whole {codec.name} file"):
        codec.decode(raw)


@pytest.mark.parametrize("size", [(64, 64), (33, 21)], ids=["even", "odd"])
def test_a_file_cut_short_raises(codec: Codec, size: tuple[int, int]) -> None:
    raw = codec.encode(photo(size), at(codec, 0.5))
    # JPEG's end mark of two bytes is all that Pillow can do without.
    for kept in (len(raw) - 3, len(raw) // 2, 9):
        with pytest.raises(InputError, match=f"no whole {codec.name} file"):
            codec.decode(raw[:kept])


def test_damaged_bytes_raise_nothing_else(codec: Codec) -> None:
    raw, chance = codec.encode(photo((33, 21)), at(codec, 0.5)), random.Random(0)
    for _ in range(6):
        damaged = bytearray(raw)
        for _ in range(3):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            assert codec.decode(bytes(damaged)).mode == "RGB"
        except InputError as error:
            assert codec.name in str(error)


def test_a_quality_out_of_range_raises(codec: Codec) -> None:
    low, high = sorted(codec.qualities)
    for quality in (low - 1, high + 1, float("nan")):
        with pytest.raises(InputError, match=f"outside {codec.name}'s range"):
            codec.encode(photo(), quality)
