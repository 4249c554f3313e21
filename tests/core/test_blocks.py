"""Blocks: an orthonormal DCT, JFIF's colours, libjpeg's boxes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.fft import dctn

from gesso.blocks import dct, from_ycbcr, idct, repeat, subsampled, to_ycbcr


def test_the_dct_is_scipys_and_its_inverse_undoes_it() -> None:
    plane = torch.randn(2, 24, 40, dtype=torch.float64)
    found = dct(plane)
    expected = dctn(plane[1, 8:16, 24:32].numpy(), norm="ortho")
    assert np.allclose(found[1, 1, 3].numpy(), expected)
    assert torch.allclose(idct(found), plane)


def test_colours_are_pillows() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (1, 99, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(rgb).convert("YCbCr")).astype(float) - (0, 128, 128)
    found = to_ycbcr(torch.from_numpy(rgb).double().permute(2, 0, 1)[None])
    assert np.abs(found[0].permute(1, 2, 0).numpy() - expected).max() < 1.01
    assert torch.allclose(from_ycbcr(found)[0], torch.from_numpy(rgb).double().permute(2, 0, 1))


@pytest.mark.parametrize("box", [(1, 1), (1, 2), (2, 2), (2, 1), (1, 4)])
def test_boxes_are_averaged_and_repeating_is_the_way_back(box: tuple[int, int]) -> None:
    plane = torch.rand(2, 16 * box[0], 24 * box[1])
    small = subsampled(plane, *box)
    assert small.shape == (2, 16, 24)
    assert float(small[1, 3, 5]) == pytest.approx(
        float(plane[1, 3 * box[0] :, 5 * box[1] :][: box[0], : box[1]].mean())
    )
    back = repeat(small, *box, 15 * box[0], 23 * box[1])
    assert torch.allclose(subsampled(back, *box)[:, :15, :23], small[:, :15, :23])


def test_the_last_column_is_repeated_before_the_averaging_and_the_last_row_after() -> None:
    plane = torch.tensor([[[0.0, 4.0], [8.0, 12.0]]])
    small = subsampled(plane, 2, 2)
    assert small.shape == (1, 8, 8)
    assert small[0, :, 0].tolist() == [6] * 8
    assert small[0, :, 1:].unique().tolist() == [8]
