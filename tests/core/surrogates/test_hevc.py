"""HEVC's surrogate: block by block what the standard says, and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data
from torch import Tensor

from gesso.errors import InputError
from gesso.surrogates import hevc
from gesso.surrogates.hevc import code_hevc, quantisation_step

PHOTO = torch.from_numpy(data.astronaut()[60:124, 190:270].copy()).permute(2, 0, 1)[None] / 255


def psnr(one: Tensor, two: Tensor) -> float:
    return float(-10 * (one - two).square().mean().log10())


def test_six_steps_double_the_step() -> None:
    steps = quantisation_step(torch.tensor([4.0, 10.0, 34.0]))
    torch.testing.assert_close(steps, torch.tensor([1.0, 2.0, 32.0]))


@pytest.mark.parametrize(("qp", "chroma"), [(22, 22), (29, 29), (30, 29), (36, 34), (43, 37)])
def test_chroma_has_its_own_qp(qp: int, chroma: int) -> None:
    assert hevc._chroma_qp(torch.tensor([float(qp)])).tolist() == [chroma]


@given(st.integers(0, 51), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=20, deadline=None)
def test_any_size_and_qp(qp: int, height: int, width: int) -> None:
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(qp))
    coded = code_hevc(picture, qp)
    assert coded.decoded.shape == picture.shape and coded.nats.shape == (1,)
    assert bool(torch.isfinite(coded.decoded).all()) and float(coded.nats) >= 0
    assert float(coded.decoded.min()) >= 0 and float(coded.decoded.max()) <= 1


def test_a_better_qp_costs_more_and_looks_better() -> None:
    found = [code_hevc(PHOTO, qp) for qp in (22, 32, 42)]
    rates = [float(coded.nats) for coded in found]
    likeness = [psnr(coded.decoded, PHOTO) for coded in found]
    assert rates == sorted(rates, reverse=True) and likeness == sorted(likeness, reverse=True)
    assert likeness[0] > 35 and likeness[2] < 30


def test_every_picture_may_have_its_own_qp() -> None:
    both = code_hevc(PHOTO.repeat(2, 1, 1, 1), torch.tensor([25.0, 40.0]))
    for index, qp in enumerate((25, 40)):
        one = code_hevc(PHOTO, qp)
        torch.testing.assert_close(both.decoded[index : index + 1], one.decoded)
        torch.testing.assert_close(both.nats[index : index + 1], one.nats)


def test_what_is_predicted_costs_nothing() -> None:
    flat = torch.full((1, 3, 32, 32), 128 / 255)
    ramp = torch.linspace(0.2, 0.8, 32).expand(1, 3, 32, 32)
    noise = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    rates = [float(code_hevc(x, 30).nats) for x in (flat, ramp.transpose(2, 3), noise)]
    assert rates[0] < 1e-6 and rates[1] < 0.05 * rates[2]


def test_blocks_follow_their_decoded_neighbours() -> None:
    """Both passes, block after block and all at once, predict alike."""
    plane = 255 * PHOTO[0, :2, :24, :40]
    step = torch.tensor([6.0, 20.0])
    decoded, modes = hevc._code_blocks(plane, step, 0.0)
    followed, levels = hevc._code_plane(plane, step, 0.0, "straight-through")
    torch.testing.assert_close(followed, decoded)
    left, top = hevc._borders(hevc._blocks(decoded), 0.0)
    predicted = hevc._chosen(hevc._predictions(left, top), modes)
    rebuilt = predicted + hevc._back(hevc._quantised(levels) * step[:, None, None, None, None])
    torch.testing.assert_close(
        rebuilt.round().clamp(0, 255), hevc._blocks(decoded), atol=1.0, rtol=0
    )
    assert len(modes.unique()) > 1


def test_gradients_reach_every_pixel_and_lead_to_fewer_bits() -> None:
    picture = PHOTO.clone().requires_grad_()
    coded = code_hevc(picture, 32)
    coded.nats.sum().backward()  # type: ignore[no-untyped-call]
    assert picture.grad is not None and float((picture.grad != 0).float().mean()) > 0.99
    nudged = (PHOTO - 0.01 * picture.grad / picture.grad.abs().mean()).clamp(0, 1)
    assert float(code_hevc(nudged, 32).nats) < 0.9 * float(coded.nats.detach())


def test_soft_rounding_is_near_and_differentiable() -> None:
    """Where a level lies on a border the two differ by half a step."""
    picture = PHOTO.clone().requires_grad_()
    soft, hard = code_hevc(picture, 30, "soft"), code_hevc(PHOTO, 30)
    assert psnr(soft.decoded.detach(), hard.decoded) > 40
    torch.testing.assert_close(soft.nats, hard.nats)
    soft.decoded.sum().backward()  # type: ignore[no-untyped-call]
    assert picture.grad is not None and bool(torch.isfinite(picture.grad).all())


def test_the_decode_s_gradient_is_that_of_its_source() -> None:
    grey = PHOTO.mean(1, keepdim=True)[:, :, :32, :32].clone().requires_grad_()
    code_hevc(grey.expand(1, 3, 32, 32), 37).decoded.sum().backward()  # type: ignore[no-untyped-call]
    assert grey.grad is not None
    np.testing.assert_allclose(grey.grad.mean().item(), 3.0, rtol=0.05)


@pytest.mark.parametrize("qp", [-1, 52, float("nan")])
def test_a_qp_out_of_range_raises(qp: float) -> None:
    with pytest.raises(InputError, match="QP must be in"):
        code_hevc(PHOTO, qp)
