"""Moments of feature maps, against torch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gesso.evaluation import moments as module
from gesso.evaluation.moments import moments

sizes = st.integers(1, 9)


def maps(batch: int, channels: int, height: int, width: int, seed: int = 0) -> list[Tensor]:
    chance = torch.Generator().manual_seed(seed)
    shape = (batch, channels, height, width)
    return [5 * torch.rand(shape, generator=chance, dtype=torch.double) for _ in range(2)]


@given(sizes, sizes, sizes, sizes, st.integers(1, 40), st.booleans())
def test_they_are_those_of_torch(
    batch: int, channels: int, height: int, width: int, part: int, last: bool
) -> None:
    one, two = maps(batch, channels, height, width)
    if last:
        one = one.contiguous(memory_format=torch.channels_last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART", part)
        found = moments(one, two)
    for var, mean, x in (
        (found.var1, found.mean1, one),
        (found.var2, found.mean2, two),
        (found.gap, found.mean1 - found.mean2, one - two),
    ):
        wanted = torch.var_mean(x, (2, 3), correction=0)
        torch.testing.assert_close((var, mean), wanted)


@pytest.mark.parametrize("part", [7, 1 << 17])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_those_of_differences(
    layout: torch.memory_format, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PART", part)
    pair = [x.contiguous(memory_format=layout).requires_grad_() for x in maps(2, 3, 5, 4)]
    assert torch.autograd.gradcheck(moments, pair)
    pair[0].requires_grad_(False)
    assert torch.autograd.gradcheck(moments, pair)


def test_equal_maps_have_no_gap_and_small_gaps_keep_their_digits() -> None:
    one = maps(1, 4, 64, 64)[0].float() + 100
    assert torch.equal(moments(one, one).gap, torch.zeros(1, 4))
    two = one + 1e-3 * maps(1, 4, 64, 64, seed=1)[1].float()
    wanted = torch.var((two - one).double(), (2, 3), correction=0)
    torch.testing.assert_close(moments(one, two).gap.double(), wanted, rtol=1e-2, atol=0)


def test_half_precision_is_summed_in_full() -> None:
    one, two = (x.bfloat16() for x in maps(1, 2, 128, 128))
    found = moments(one, two)
    assert {x.dtype for x in found} == {torch.float32}
    torch.testing.assert_close(found.mean1.double(), one.double().mean((2, 3)))
    slope = torch.autograd.grad(moments(one, two.requires_grad_()).gap.sum(), two)[0]
    assert slope.dtype == torch.bfloat16
