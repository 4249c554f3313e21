"""The latent codec: pictures there and back, its palettes, and what it refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from tests.core.conftest import own_autoencoder

from gesso.cards import ModelCard
from gesso.codec import Codec
from gesso.errors import InputError, ModelError
from gesso.latent.codec import LatentCodec, shared_palette
from gesso.latent.stream import read_header
from gesso.runtime import Runtime

FP32 = Runtime("cpu", "fp32")
PHOTO = Image.fromarray(data.astronaut()[20:120, 160:270])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An autoencoder with a palette of 16 random entries."""
    place = tmp_path_factory.mktemp("autoencoder")
    own_autoencoder(place)
    entries = np.random.default_rng(0).integers(100, 156, (16, 4), dtype=np.uint8)
    card = json.loads((place / "card.json").read_text(encoding="utf-8"))
    card["settings"]["palettes"] = {"16": base64.b64encode(entries.tobytes()).decode()}
    (place / "card.json").write_text(json.dumps(card), encoding="utf-8")
    return place


@pytest.fixture
def codec(folder: Path) -> LatentCodec:
    return LatentCodec(str(folder), runtime=FP32)


def test_it_is_a_codec(codec: LatentCodec) -> None:
    assert isinstance(codec, Codec)
    indices = [codec.qp(quality) for quality in (16, 64, 256)]
    assert indices == sorted(indices, reverse=True)


@settings(max_examples=12, deadline=None)
@given(width=st.integers(1, 40), height=st.integers(1, 40), mode=st.sampled_from(["RGB", "L"]))
def test_any_size_comes_back(folder: Path, width: int, height: int, mode: str) -> None:
    codec = LatentCodec(str(folder), runtime=FP32)
    source = PHOTO.crop((0, 0, width, height)).convert(mode)
    stream = codec.unpacked(codec.encode(source, 16))
    picture = codec.picture(stream)
    assert (picture.size, picture.mode) == (source.size, mode)


def test_what_is_decoded_is_what_the_palette_says(codec: LatentCodec, folder: Path) -> None:
    stream = codec.unpacked(codec.encode(PHOTO, 16))
    palette = shared_palette(ModelCard.read(folder), 16)
    assert palette is not None and not stream.header.own
    assert np.array_equal(stream.palette, palette)
    assert stream.indices.shape == (25, 28)


def test_a_size_that_is_not_shared_is_fitted(codec: LatentCodec) -> None:
    header = read_header(codec.encode(PHOTO, 33))
    assert header.own and header.colors <= 33


def test_dither_and_fitted_palettes_are_other_files_of_the_same_picture(
    codec: LatentCodec,
) -> None:
    files = [
        replace(codec, palette=palette, dither=dither).encode(PHOTO, 16)
        for palette, dither in (("shared", 0.0), ("shared", 1.0), ("kmeans", 0.0))
    ]
    assert len(set(files)) == 3
    assert all(codec.decode(file).size == PHOTO.size for file in files)


def test_libimagequant_as_the_original(codec: LatentCodec) -> None:
    pytest.importorskip("libimagequant")
    stream = codec.unpacked(replace(codec, palette="imagequant", dither=1.0).encode(PHOTO, 64))
    assert stream.header.own and len(stream.palette) <= 64


def test_tiles_do_not_show(folder: Path) -> None:
    source = Image.fromarray(data.astronaut()[:256, :384])
    whole, tiled = (
        LatentCodec(str(folder), runtime=Runtime("cpu", "fp32", tile=tile)) for tile in (1024, 128)
    )
    one, two = (np.asarray(c.decode(c.encode(source, 16))).astype(int) for c in (whole, tiled))
    assert float(np.abs(one - two).max()) <= 1


def test_a_file_finds_its_autoencoder_among_those_that_are_known(
    codec: LatentCodec, folder: Path
) -> None:
    file = codec.encode(PHOTO, 16)
    # known by now under its folder
    assert LatentCodec(runtime=FP32).decode(file).size == PHOTO.size
    header = replace(read_header(file), digest=bytes(8), model="theirs")
    with pytest.raises(ModelError, match="theirs of digest 0000000000000000"):
        LatentCodec().autoencoder(header)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (lambda c: c.encode(PHOTO.convert("RGBA"), 64), "mode RGBA"),
        (lambda c: c.encode(PHOTO, 300), "quality 300 is outside"),
        (lambda c: c.decode(b"\xff\xd8"), "no .gsl file"),
        (lambda c: replace(c, palette="median-cut"), "palette is one of"),
        (lambda c: replace(c, dither=1.5), r"dither must be in \[0, 1\]"),
    ],
)
def test_what_is_wrong_is_said(
    codec: LatentCodec, wrong: Callable[[LatentCodec], object], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        wrong(codec)
