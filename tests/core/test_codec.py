"""Codecs: files that any decoder opens, honest errors, one name each."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from gesso import codec as module
from gesso.codec import (
    PILLOW_CODECS,
    Codec,
    PillowCodec,
    check_quality,
    codecs,
    get_codec,
    interpolate_anchors,
    register_codec,
)
from gesso.errors import InputError


@pytest.mark.parametrize("codec", PILLOW_CODECS, ids=lambda c: c.name)
def test_a_round_trip_is_an_ordinary_file(codec: PillowCodec) -> None:
    picture = Image.fromarray(data.astronaut()[:96, :120])
    sizes = []
    for quality in (20, 80):
        raw = codec.encode(picture, quality)
        stock = Image.open(io.BytesIO(raw))
        assert stock.format == codec.name.upper()
        assert codec.decode(raw).tobytes() == stock.convert("RGB").tobytes()
        error = np.abs(np.asarray(stock, float) - np.asarray(picture, float)).mean()
        sizes.append((len(raw), -error))
    assert sizes == sorted(sizes)
    assert isinstance(codec, Codec)


@pytest.mark.parametrize("raw", [b"", b"not a picture", b"\xff\xd8\xff\xe0 cut short"])
@pytest.mark.parametrize("codec", PILLOW_CODECS, ids=lambda c: c.name)
def test_foreign_bytes_raise(codec: PillowCodec, raw: bytes) -> None:
    with pytest.raises(InputError, match=f"no whole {codec.name} file"):
        codec.decode(raw)


def test_another_formats_bytes_raise() -> None:
    raw = get_codec("webp").encode(Image.new("RGB", (8, 8)), 50)
    with pytest.raises(InputError, match="no whole jpeg file"):
        get_codec("jpeg").decode(raw)


def test_a_truncated_jpeg_raises() -> None:
    raw = get_codec("jpeg").encode(Image.fromarray(data.astronaut()), 50)
    with pytest.raises(InputError, match="no whole jpeg file"):
        get_codec("jpeg").decode(raw[: len(raw) // 2])


def test_the_registry_takes_a_codec_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_registry", dict(module._registry))
    mine = PillowCodec("mine", ".mine")
    register_codec(mine)
    register_codec(mine)
    assert get_codec("mine") is mine and "mine" in codecs()
    with pytest.raises(InputError, match="'mine' is registered already"):
        register_codec(PillowCodec("mine", ".other"))
    with pytest.raises(InputError, match=r"avif.*jpeg.*mine.*webp"):
        get_codec("nope")


@pytest.mark.parametrize("quality", [0.9, 100.1, float("nan"), -5])
def test_a_quality_out_of_range_raises(quality: float) -> None:
    with pytest.raises(InputError, match=r"outside jpeg's range \[1, 100\]"):
        check_quality(get_codec("jpeg"), quality)
    with pytest.raises(InputError, match="outside jpeg's range"):
        get_codec("jpeg").encode(Image.new("RGB", (8, 8)), quality)


def test_anchors_are_interpolated_and_held_at_their_ends() -> None:
    anchors = ((10, 40.0), (20, 30.0), (60, 10.0))
    found = [interpolate_anchors(anchors, at) for at in (-1, 10, 15, 20, 50, 60, 99)]
    assert found == [40, 40, 35, 30, 15, 10, 10]
    assert interpolate_anchors(((5, 7.0),), 50) == 7
    assert interpolate_anchors(((5, 7.0), (5, 9.0), (6, 1.0)), 5.5) == 5
