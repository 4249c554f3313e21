"""The container of odd pictures: read by libheif, read back by us, safe to misread."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from ffmpeg_gesso import HEVC, STILLS, StillCodec
from ffmpeg_gesso.heif import HEVC_ITEM, is_heif, unwrap, wrap
from gesso.errors import InputError

SIZE = (75, 41)


@cache
def coded(codec: StillCodec) -> bytes:
    """A picture of odd sides, once for all tests."""
    try:
        return codec.encode(photo(), 30)
    except InputError as error:
        pytest.skip(str(error))


def photo() -> Image.Image:
    return Image.fromarray(data.coffee()[100 : 100 + SIZE[1], 200 : 200 + SIZE[0]])


@pytest.mark.parametrize("codec", STILLS, ids=lambda codec: codec.name)
def test_libheif_sees_the_true_size(codec: StillCodec) -> None:
    heif = pytest.importorskip("pillow_heif")
    raw = coded(codec)
    assert is_heif(raw)
    assert heif.open_heif(io.BytesIO(raw)).size == SIZE


def test_libheif_shows_the_same_picture() -> None:
    heif = pytest.importorskip("pillow_heif")
    raw = coded(HEVC)
    theirs = np.asarray(heif.open_heif(io.BytesIO(raw)).to_pillow(), float)
    ours = np.asarray(HEVC.decode(raw), float)
    # Measured: 0.55; shifted by one pixel they would differ by 2.5.
    assert theirs.shape == ours.shape and np.abs(theirs - ours).mean() < 1


@pytest.mark.parametrize("codec", STILLS, ids=lambda codec: codec.name)
def test_the_stream_comes_out_as_it_went_in(codec: StillCodec) -> None:
    stream, size = unwrap(coded(codec), codec.item)
    assert size == SIZE
    shown = tuple(max(codec.smallest, side + side % 2) for side in SIZE)
    assert wrap(stream, codec.item, shown, SIZE) == coded(codec)
    units = codec.item.syntax.units(stream)
    assert codec.item.syntax.stream(units, ended=False) == stream


def test_another_codecs_container_is_refused() -> None:
    with pytest.raises(InputError, match="no whole vvc file"):
        STILLS[1].decode(coded(HEVC))


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_damaged_containers_raise_input_errors_alone(draw: st.DataObject) -> None:
    raw = bytearray(coded(HEVC))
    for _ in range(draw.draw(st.integers(1, 4))):
        raw[draw.draw(st.integers(0, 400))] = draw.draw(st.integers(0, 255))
    cut = draw.draw(st.integers(0, len(raw)))
    for bytes_ in (bytes(raw), bytes(raw[:cut])):
        try:
            stream, size = unwrap(bytes_, HEVC_ITEM)
            assert isinstance(stream, bytes) and min(size) >= 0
        except InputError:
            pass


def test_more_pixels_than_there_are_cannot_be_shown() -> None:
    raw = coded(HEVC)
    at = raw.index(b"clap") + 4
    for width in (0, 10_000, 2**31):
        forged = raw[:at] + width.to_bytes(4, "big") + raw[at + 4 :]
        with pytest.raises(InputError, match="and has fewer"):
            HEVC.decode(forged)
