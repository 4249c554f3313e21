"""Trial codings: bits, looks, and what a bit is worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from gesso.codec import PillowCodec, get_codec
from gesso.trial import FLOOR, Trial, neighbours

PHOTO = torch.from_numpy(data.astronaut()[:96, 200:296]).permute(2, 0, 1)[None].float() / 255


def error(source: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda picture: (picture - source).abs().mean()


def test_bits_and_distance_are_those_of_a_real_coding() -> None:
    codec = get_codec("webp")
    image = Image.fromarray((PHOTO[0].permute(1, 2, 0) * 255).byte().numpy())
    whole = codec.encode(image, 40)
    empty = codec.encode(Image.new("RGB", (8, 8), "gray"), 40)
    tried = Trial(PHOTO, codec, error).code(PHOTO, 40)
    assert tried.bpp == 8 * (len(whole) - len(empty)) / 96**2
    decoded = np.asarray(codec.decode(whole)).astype(float)
    assert tried.distance == pytest.approx(
        np.abs(decoded - np.asarray(image)).mean() / 255, rel=1e-4
    )


def test_a_bit_is_worth_less_where_there_are_many() -> None:
    trial = Trial(PHOTO, get_codec("jpeg"), error)
    prices = [trial.price(quality) for quality in (10, 30, 70, 95)]
    assert prices == sorted(prices, reverse=True) and prices[-1] > 0


def test_a_flat_picture_has_the_least_price() -> None:
    flat = torch.full((1, 3, 64, 64), 0.5)
    assert Trial(flat, get_codec("jpeg"), error).price(30) == FLOOR


@pytest.mark.parametrize("codec", ["jpeg", "webp", "avif"])
@pytest.mark.parametrize("quality", [1, 5, 10, 50, 99, 100])
def test_neighbours_lie_on_both_sides(codec: str, quality: int) -> None:
    known = get_codec(codec)
    worse, better = neighbours(known, quality)
    assert known.qp(worse) > known.qp(better)
    assert known.qp(worse) >= known.qp(quality) >= known.qp(better)


@dataclass(frozen=True)
class Steep(PillowCodec):
    """Three qualities, ten QP apart; the better the smaller, as on a QP scale."""

    def qp(self, quality: float) -> float:
        return 10 * quality


@pytest.mark.parametrize("quality", [1, 2, 3])
def test_a_steep_scale_has_neighbours_too(quality: int) -> None:
    worse, better = neighbours(Steep("jpeg", ".jpg", qualities=(3, 1)), quality)
    assert worse > better and worse >= quality >= better
