"""SSIMULACRA 2 gives the scores of the reference implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gesso.evaluation import ssimulacra2 as module
from gesso.evaluation.metrics import METRICS
from gesso.evaluation.ssimulacra2 import ssimulacra2

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


# Printed by the authors' C++ program (github.com/cloudinary/ssimulacra2, commit 81feacf):
# ssimulacra2 reference.png picture.png. On 16 pairs from -70 to 87 the largest difference was
# 0.13, near 85: its recursive blur gathers rounding errors along each row, this one does not.
@pytest.mark.parametrize(
    ("name", "value"),
    [("astronaut", 50.50875548), ("coffee", 50.80289659), ("bands", 50.64041705)],
)
def test_gives_the_score_of_the_reference_implementation(
    pairs: Pairs, name: str, value: float
) -> None:
    assert ssimulacra2(*pairs[name]).item() == pytest.approx(value, abs=0.03)


def test_the_score_is_the_same_where_a_caller_computes_in_half_precision(pairs: Pairs) -> None:
    alone = ssimulacra2(*pairs["coffee"])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ssimulacra2(*pairs["coffee"]), alone)


def test_which_picture_is_the_reference_matters(pairs: Pairs) -> None:
    source, coarse = pairs["astronaut"]
    assert ssimulacra2(coarse, source).item() == pytest.approx(50.22182971, abs=0.03)


def test_its_blur_is_the_gaussian_of_truncated_cosines() -> None:
    # Charalampidis 2016, equations (37), (44), (50), (52) to (57)
    sigma = 1.5
    radius = round(3.2795 * sigma + 0.2546)
    omega = np.array([1, 3, 5]) * math.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)
    r = np.array([1, -1, 1]) * p**2 / np.sin(omega)
    rho = np.exp(-((sigma * omega) ** 2) / 2) / radius
    zeta = np.cross(p, r)  # of the other two cosines
    zeta = zeta / zeta[2]
    beta = np.linalg.solve([p, r, zeta], [1, radius**2 - sigma**2, zeta @ rho])
    response = [float(beta @ np.cos(omega * n)) for n in range(radius + 1)]
    assert response[:-1] == pytest.approx(module.TAPS, abs=1e-12)
    assert response[-1] == pytest.approx(0, abs=1e-12)
    assert module.TAPS[0] + 2 * sum(module.TAPS[1:]) == pytest.approx(1)


def test_sees_nothing_outside_the_picture() -> None:
    blurred = module._blurred(torch.ones(1, 1, 20, 20))[0, 0]
    reach = len(module.TAPS) - 1
    edge = module.TAPS[0] + sum(module.TAPS[1:])
    assert blurred[10, 10].item() == pytest.approx(1)
    assert blurred[10, 0].item() == pytest.approx(edge)
    assert blurred[0, 0].item() == pytest.approx(edge**2)
    assert blurred[10, reach].item() == pytest.approx(1)
    assert blurred[10, reach - 1].item() < 0.999


def test_odd_sides_repeat_their_last_row() -> None:
    x = torch.arange(15.0).view(1, 1, 3, 5)
    assert module._halved(x)[0, 0].tolist() == [[3.0, 5.0, 6.5], [10.5, 12.5, 14.0]]


def test_its_slope_is_finite_where_a_channel_is_equal(pairs: Pairs) -> None:
    grey = pairs["astronaut"][0].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    darker = (0.9 * grey).requires_grad_()
    (slope,) = torch.autograd.grad(ssimulacra2(grey, darker).sum(), darker)
    assert slope.isfinite().all()
    assert slope.abs().max() > 0


def test_the_smallest_picture_has_all_scales() -> None:
    side = METRICS["ssimulacra2"].smallest
    for _ in range(module.SCALES - 1):
        # the reference implementation stops at a scale below eight pixels
        assert side >= 8
        side = (side + 1) // 2
    assert (METRICS["ssimulacra2"].smallest - 1) / 16 <= 7
