"""The differentiable JPEG against the real one, and its gradients against the linear map."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data
from torch import Tensor

from gesso.blocks import from_ycbcr, subsampled, to_ycbcr
from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.jpeg import JpegCoefficients, Sampling
from gesso.surrogates.jpeg import differentiable_jpeg, jpeg_tables

NAMES: tuple[Sampling, ...] = ("4:4:4", "4:2:2", "4:2:0")
PHOTO = data.astronaut()[30:143, 160:305]


def tensor(array: Any) -> Tensor:
    return torch.from_numpy(np.array(array)).permute(2, 0, 1)[None].float() / 255


def real(array: Any, **options: Any) -> tuple[bytes, Tensor]:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "JPEG", **options)
    return stream.getvalue(), tensor(Image.open(stream).convert("RGB"))


def psnr(one: Tensor, other: Tensor) -> float:
    return -10 * math.log10(max(1e-12, float((one - other).square().mean())))


@pytest.mark.parametrize("quality", [1, 3, 10, 25, 50, 75, 90, 95, 100])
@pytest.mark.parametrize("subsampling", range(3))
def test_it_decodes_as_pillow_does(quality: int, subsampling: int) -> None:
    _, expected = real(PHOTO, quality=quality, subsampling=subsampling)
    found = differentiable_jpeg(tensor(PHOTO), jpeg_tables(quality), NAMES[subsampling])
    assert psnr(found, expected) > 48
    near = differentiable_jpeg(tensor(PHOTO), jpeg_tables(quality), NAMES[subsampling], "cubic")
    assert psnr(near, expected) > 36


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2), st.integers(5, 95))
def test_any_size(height: int, width: int, subsampling: int, quality: int) -> None:
    source = PHOTO[:height, :width]
    _, expected = real(source, quality=quality, subsampling=subsampling)
    found = differentiable_jpeg(tensor(source), jpeg_tables(quality), NAMES[subsampling])
    assert found.shape == expected.shape
    # A coefficient on the border of two levels may fall on the other side, in one block or two.
    assert float(((found - expected).abs() > 1.5 / 255).float().mean()) < max(
        0.02, 520 / (height * width)
    )


def test_a_files_own_tables_and_subsampling() -> None:
    tables = [[5 + i for i in range(64)], [9 + 2 * i for i in range(64)]]
    raw, expected = real(PHOTO, qtables=tables, subsampling=1)
    degrade = JpegCoefficients.of_file(raw).differentiable()
    assert psnr(degrade(tensor(PHOTO)), expected) > 50


def test_the_codec_offers_it_at_a_quality() -> None:
    codec: Any = get_codec("jpeg")
    image = Image.fromarray(PHOTO)
    expected = tensor(codec.decode(codec.encode(image, 30)))
    assert psnr(codec.differentiable(30)(tensor(PHOTO)), expected) > 50
    assert not hasattr(get_codec("webp"), "differentiable")
    with pytest.raises(InputError, match="outside"):
        codec.differentiable(0)


def test_a_batch_may_have_a_table_for_each_picture() -> None:
    batch = torch.cat([tensor(PHOTO), tensor(PHOTO[::-1])])
    tables = torch.stack([jpeg_tables(20), jpeg_tables(80)])
    found = differentiable_jpeg(batch, tables)
    for index, quality in enumerate((20, 80)):
        alone = differentiable_jpeg(batch[index : index + 1], jpeg_tables(quality))
        assert torch.equal(found[index : index + 1], alone)


@pytest.mark.parametrize(("index", "box"), [(0, (1, 1)), (1, (1, 2)), (2, (2, 2))])
def test_the_straight_gradient_is_that_of_subsampling_alone(
    index: int, box: tuple[int, int]
) -> None:
    """With gradient 1 through every rounding, DCT and inverse cancel."""
    # No sample near the ends of its range, where clipping has no gradient.
    x = (0.4 + 0.2 * torch.rand(1, 3, 32, 48, dtype=torch.float64)).requires_grad_()
    weight = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    y = differentiable_jpeg(x, jpeg_tables(75), NAMES[index])
    [found] = torch.autograd.grad((weight * y).sum(), x)

    def linear(rgb: Tensor) -> Tensor:
        ycc = to_ycbcr(rgb)
        planes = [ycc[:, 0]]
        for plane in (ycc[:, 1], ycc[:, 2]):
            small = subsampled(plane, *box)
            for axis in (axis for axis, size in zip((1, 2), box, strict=True) if size == 2):
                one = small.transpose(axis, 2)
                before = torch.cat([one[:, :, :1], one[:, :, :-1]], 2)
                after = torch.cat([one[:, :, 1:], one[:, :, -1:]], 2)
                pair = torch.stack([0.75 * one + 0.25 * before, 0.75 * one + 0.25 * after], 3)
                small = pair.flatten(2).transpose(axis, 2)
            planes.append(small)
        return from_ycbcr(torch.stack(planes, 1))

    z = x.detach().requires_grad_()
    [expected] = torch.autograd.grad((weight * linear(z)).sum(), z)
    assert torch.allclose(found, expected, atol=1e-9)


def test_the_cubic_gradient_tells_what_coefficients_change() -> None:
    """A coefficient in the middle of its cell does not move, one at the border does."""
    tables = torch.full((3, 8, 8), 16.0)
    flat = torch.full((1, 3, 8, 8), 128 / 255, requires_grad=True)
    level = differentiable_jpeg(flat, tables, "4:4:4", "cubic")
    assert float(torch.autograd.grad(level.sum(), flat)[0].abs().max()) < 1e-6
    # 2/255 of luma is a coefficient of 16: a whole step; 0.98 of half of it is near the border.
    edge = torch.full((1, 3, 8, 8), 129 / 255, requires_grad=True)
    level = differentiable_jpeg(edge, tables, "4:4:4", "cubic")
    assert float(torch.autograd.grad(level[:, 1].sum(), edge)[0].sum()) > 10


def test_another_sampling_raises() -> None:
    with pytest.raises(InputError, match="4:1:1"):
        differentiable_jpeg(tensor(PHOTO), jpeg_tables(30), "4:1:1")  # type: ignore[arg-type]
