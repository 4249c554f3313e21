"""The rate proxy: what it counts, and that it ranks as real encoders do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import spearmanr
from skimage import data

from gesso.codec import JpegCodec, get_codec
from gesso.surrogates.rate import log_rate

CODEC = get_codec("jpeg")


def test_levels_count_by_their_logarithm() -> None:
    levels = torch.tensor([[0.0, 1.0, -3.0], [0.0, 0.0, 0.0]])
    expected = torch.tensor([math.log(2) + math.log(4), 0.0])
    torch.testing.assert_close(log_rate(levels), expected)


def test_small_levels_are_pulled_to_zero() -> None:
    levels = torch.tensor([[0.2, -0.2]], requires_grad=True)
    log_rate(levels).sum().backward()  # type: ignore[no-untyped-call]
    assert levels.grad is not None
    torch.testing.assert_close(levels.grad, torch.tensor([[1.0, -1.0]]) / 1.2)


@pytest.mark.parametrize("quality", [10, 30, 75])
def test_it_ranks_pictures_as_their_files(quality: int) -> None:
    assert isinstance(CODEC, JpegCodec)
    whole = data.astronaut()
    crops = [whole[y : y + 128, x : x + 128] for y in range(0, 385, 96) for x in range(0, 385, 96)]
    sizes = [len(CODEC.encode(Image.fromarray(crop), quality)) for crop in crops]
    pictures = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        nats = CODEC.surrogate(quality)(pictures).nats
    assert spearmanr(sizes, nats.numpy()).statistic > 0.97


def test_the_decode_is_that_of_the_differentiable_codec() -> None:
    assert isinstance(CODEC, JpegCodec)
    picture = torch.rand(2, 3, 24, 40)
    coded = CODEC.surrogate(30)(picture)
    assert coded.nats.shape == (2,)
    torch.testing.assert_close(coded.decoded, CODEC.differentiable(30)(picture))
