"""Surrogates against their codecs: what is measured, and that it tells good from bad."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import spearmanr
from skimage import data
from torch import Tensor

from gesso.codec import Codec, JpegCodec, differentiable_codecs, get_codec
from gesso.errors import InputError
from gesso.evaluation.surrogates import agreement, rank_correlation
from gesso.surrogates.rate import Coded


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder, whole = tmp_path_factory.mktemp("pictures"), data.astronaut()
    crops = [whole[y : y + 96, x : x + 128] for y in (0, 200, 400) for x in (0, 180, 380)]
    for index, crop in enumerate(crops):
        Image.fromarray(crop).save(folder / f"{index}.png")
    return sorted(folder.iterdir())


@dataclass(frozen=True)
class Blind(JpegCodec):
    """Claims that nothing is lost, and that all pictures cost the same but for their size."""

    def surrogate(self, *qualities: float, **given: object) -> Callable[[Tensor], Coded]:
        return lambda rgb: Coded(rgb, rgb.mean((1, 2, 3)))


def test_jpeg_s_surrogate_is_jpeg(files: list[Path]) -> None:
    ticks: list[tuple[int, int]] = []
    rows = agreement(files, get_codec("jpeg"), [10, 50], lambda *tick: ticks.append(tick))
    assert [row.quality for row in rows] == [10, 50, None] and ticks[-1] == (18, 18)
    for row in rows:
        assert row.psnr > 50 and row.correlation > 0.9 and 1 < row.bits < 12
        assert row.surrogate == pytest.approx(row.real, abs=0.05)


def test_a_bad_one_is_found_out(files: list[Path]) -> None:
    row = agreement(files, Blind("jpeg", ".jpg"), [10])[-1]
    assert row.psnr < 35 and row.surrogate > 90 and row.correlation < 0.9


def test_the_default_qualities_span_everyday_rates(files: list[Path]) -> None:
    rows = agreement(files[:3], get_codec("jpeg"))
    assert [row.quality for row in rows] == [6, 11, 22, 46, 76, 89, None]


def test_those_that_have_one() -> None:
    assert {"avif", "jpeg", "webp"} <= set(differentiable_codecs())


@given(st.lists(st.integers(-1000, 1000), min_size=3, max_size=30, unique=True), st.randoms())
def test_rank_correlation_is_spearman_s(values: list[int], random: object) -> None:
    other = list(range(len(values)))
    random.shuffle(other)  # type: ignore[attr-defined]
    expected = spearmanr(values, other).statistic
    assert rank_correlation(values, other) == pytest.approx(expected, abs=1e-9)


def test_what_cannot_be_compared(files: list[Path]) -> None:
    with pytest.raises(InputError, match="blank has no surrogate; there are"):
        agreement(files, cast(Codec, SimpleNamespace(name="blank")))
    with pytest.raises(InputError, match="three pictures or more, got 2"):
        agreement(files[:2], get_codec("jpeg"))


def test_a_picture_s_mean_costs_its_change() -> None:
    """JPEG codes the mean of a block as its difference from the one before."""
    codec = get_codec("jpeg")
    assert isinstance(codec, JpegCodec)
    flat = torch.full((1, 3, 64, 64), 0.9)
    split = flat.clone()
    split[..., 32:] = 0.1
    first, second = (float(codec.surrogate(50)(x).nats) for x in (flat, split))
    # one block pays for all in the flat picture, each row's step in the other
    assert 0 < first < 15 < second
