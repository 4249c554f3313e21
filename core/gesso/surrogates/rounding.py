"""Rounding with a gradient."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from gesso.errors import InputError

__all__ = ["Rounding", "rounded", "straight_through"]

Rounding = Literal["straight-through", "cubic"]


def straight_through(x: Tensor, exact: Tensor) -> Tensor:
    """``exact``, with the gradient of ``x``."""
    return x + (exact - x).detach()


def rounded(x: Tensor, rounding: Rounding) -> Tensor:
    """Whole numbers near x, halves upwards.

    ``straight-through``: exact, with gradient 1. ``cubic``: r + (x - r)^3, whose gradient
    3 (x - r)^2 tells how near the next number is (Shin and Song, "JPEG-resistant adversarial
    images", 2017; Reich et al., "Differentiable JPEG: the devil is in the details", 2024).

    Raises:
        InputError: another rounding.
    """
    if rounding not in get_args(Rounding):
        raise InputError(f"rounding must be one of {', '.join(get_args(Rounding))}")
    whole = torch.floor(x.detach() + 0.5)
    if rounding == "cubic":
        return whole + (x - whole) ** 3
    return straight_through(x, whole)
