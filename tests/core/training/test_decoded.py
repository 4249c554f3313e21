"""Pairs of source and decode: aligned, spread over rates, the same for a resumed run."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from gesso.codec import get_codec
from gesso.training.data import CropSampler
from gesso.training.decoded import QP_RANGE, DecodedSampler

JPEG, WEBP = get_codec("jpeg"), get_codec("webp")


@pytest.fixture(scope="module")
def crops() -> CropSampler:
    pictures = [data.astronaut(), data.coffee()]
    return CropSampler(pictures, np.array([0.5, 0.5]), 64)


def test_an_entry_is_a_real_decode_of_its_own_source(crops: CropSampler) -> None:
    pair = DecodedSampler(crops, [JPEG], 32).entry(3)
    files = {}
    for quality in range(1, 101):
        stream = io.BytesIO()
        Image.fromarray(pair.source).save(stream, "JPEG", quality=quality)
        with Image.open(stream) as image:
            files[quality] = np.asarray(image)
    same = [quality for quality, pixels in files.items() if np.array_equal(pixels, pair.decoded)]
    assert same and pytest.approx(pair.qp) in [JPEG.qp(quality) for quality in same]


def test_rates_are_spread_over_the_range_of_every_codec(crops: CropSampler) -> None:
    sampler = DecodedSampler(crops, [JPEG, JPEG, WEBP], 32, pool=300)
    pairs = [sampler.entry(index) for index in range(300)]
    for codec, share in ((0, 1 / 3), (1, 1 / 3), (2, 1 / 3)):
        qps = [pair.qp for pair in pairs if pair.codec == codec]
        assert len(qps) / 300 == pytest.approx(share, abs=0.1)
        low, high = QP_RANGE
        assert low <= min(qps) < low + 4
        best = min(high, WEBP.qp(1)) if codec == 2 else high
        assert best - 4 < max(qps) <= high


def test_crops_of_source_and_decode_lie_on_the_block_grid(crops: CropSampler) -> None:
    sampler = DecodedSampler(crops, [JPEG], 32, pool=4)
    sources, decodes, codecs, qps = sampler.draw(8, 0)
    assert sources.shape == decodes.shape == (8, 3, 32, 32)
    assert (len(codecs), len(qps)) == (8, 8)
    entries = [sampler.entry(index) for index in range(4)]
    for row in range(8):
        found = ((decodes[row] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        places = [
            (pair, y, x)
            for pair in entries
            for y in (0, 16, 32)
            for x in (0, 16, 32)
            if np.array_equal(pair.decoded[y : y + 32, x : x + 32], found)
        ]
        assert len(places) == 1
        pair, y, x = places[0]
        source = ((sources[row] + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        assert np.array_equal(pair.source[y : y + 32, x : x + 32], source)
        assert qps[row] == pair.qp


def test_a_batch_depends_on_seed_and_step_alone(crops: CropSampler) -> None:
    whole = DecodedSampler(crops, [JPEG, WEBP], 32, seed=5, pool=6)
    for step in range(3):
        drawn = whole.draw(4, step)
    resumed = DecodedSampler(crops, [JPEG, WEBP], 32, seed=5, pool=6).draw(4, 2)
    assert torch.equal(drawn[1], resumed[1]) and drawn[2:] == resumed[2:]
    other = DecodedSampler(crops, [JPEG, WEBP], 32, seed=6, pool=6).draw(4, 2)
    assert not torch.equal(drawn[1], other[1])
