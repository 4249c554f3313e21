"""Rounding: its values and its gradients."""

from __future__ import annotations

import pytest
import torch

from gesso.errors import InputError
from gesso.surrogates.rounding import rounded

X = torch.tensor([-2.5, -1.2, -0.5, 0.0, 0.3, 0.5, 1.7, 9.1], dtype=torch.float64)


def test_straight_through_is_exact_with_gradient_one() -> None:
    x = X.clone().requires_grad_()
    y = rounded(x, "straight-through")
    assert y.tolist() == [-2, -1, 0, 0, 0, 1, 2, 9]
    assert torch.autograd.grad(y.sum(), x)[0].tolist() == [1] * len(X)


def test_the_cubic_is_near_and_its_gradient_is_its_own() -> None:
    x = X[[1, 3, 4, 6, 7]].clone().requires_grad_()
    y = rounded(x, "cubic")
    assert bool(((y - x.round()).abs() <= 0.125).all())
    assert torch.autograd.gradcheck(lambda v: rounded(v, "cubic"), (x,))


def test_the_soft_staircase_is_continuous_and_its_gradient_is_its_own() -> None:
    x = torch.linspace(-3, 3, 601, dtype=torch.float64)
    y = rounded(x, "soft")
    assert bool((y.diff() >= 0).all()) and float(y.diff().max()) < 0.05
    whole = torch.arange(-3.0, 4.0, dtype=torch.float64)
    torch.testing.assert_close(rounded(whole, "soft"), whole)
    middle = (x[:-1] + x[1:]).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: rounded(v, "soft"), (middle[::7],))


def test_another_rounding_raises() -> None:
    with pytest.raises(InputError, match="straight-through, cubic"):
        rounded(X, "floor")  # type: ignore[arg-type]
