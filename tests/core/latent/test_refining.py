"""Refined latents: nearer to the picture, through the palette, and never farther."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from tests.core.conftest import own_autoencoder

from gesso.cards import get_model, load
from gesso.distance import perceptual_distance
from gesso.errors import InputError
from gesso.evaluation.perceptual import missing_dists, missing_lpips_alex
from gesso.latent import refining
from gesso.latent.codec import LatentCodec
from gesso.runtime import Runtime

FP32 = Runtime("cpu", "fp32")
missing = missing_lpips_alex() or missing_dists()
needs_weights = pytest.mark.skipif(missing is not None, reason=str(missing))


@pytest.fixture
def codec(tmp_path: Path) -> LatentCodec:
    own_autoencoder(tmp_path)
    return LatentCodec(str(tmp_path), runtime=FP32)


def _cost(source: Image.Image, picture: Image.Image) -> float:
    one, two = (
        torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        for image in (source, picture)
    )
    with torch.inference_mode():
        seen = perceptual_distance(torch.float32)(one)(two)
    return float(seen) + float((one - two).abs().mean())


@needs_weights
def test_the_decode_is_nearer(codec: LatentCodec) -> None:
    source = Image.fromarray(data.astronaut()[20:150, 160:300])
    costs = [
        _cost(source, c.decode(c.encode(source, 32))) for c in (codec, replace(codec, refine=6))
    ]
    assert costs[1] < costs[0] - 0.01


@needs_weights
def test_every_tile_is_refined_beside_its_neighbours(
    codec: LatentCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refining, "TILE", 128)
    source = Image.fromarray(data.astronaut()[:256, :250])
    seen: list[tuple[int, int]] = []
    runtime = replace(FP32, progress=lambda done, total: seen.append((done, total)))
    refined = replace(codec, refine=2, runtime=runtime)
    changed = refined.unpacked(refined.encode(source, 32)).indices
    plain = codec.unpacked(codec.encode(source, 32)).indices
    assert seen == [(index, 8) for index in range(1, 9)]
    for rows in (slice(0, 32), slice(32, 64)):
        for columns in (slice(0, 32), slice(32, 63)):
            assert not np.array_equal(changed[rows, columns], plain[rows, columns])


@needs_weights
def test_without_a_step_nothing_moves(codec: LatentCodec) -> None:
    model = load(get_model(codec.model, "autoencoder").name, "autoencoder", FP32)
    rgb = data.astronaut()[:64, :72]
    latents = np.random.default_rng(0).normal(size=(16, 18, 4)).astype(np.float32)
    palette = np.random.default_rng(1).integers(0, 256, (16, 4), dtype=np.uint8)
    assert np.array_equal(refining.refine(model, rgb, latents, palette, 0, FP32), latents)


def test_dither_would_undo_it(codec: LatentCodec) -> None:
    with pytest.raises(InputError, match="without dither"):
        replace(codec, refine=3, dither=0.5)
    with pytest.raises(InputError, match="refine must be"):
        replace(codec, refine=-1)
