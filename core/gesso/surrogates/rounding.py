"""Rounding with a gradient."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from gesso.errors import InputError

__all__ = ["Rounding", "rounded", "straight_through"]

# Of the soft staircase. What lowers a loss at 8 lowers it through the real codec, too; at 2 not.
SHARPNESS = 8.0
Rounding = Literal["straight-through", "cubic", "soft"]


def straight_through(x: Tensor, exact: Tensor) -> Tensor:
    """``exact``, with the gradient of ``x``."""
    return x + (exact - x).detach()


def rounded(x: Tensor, rounding: Rounding) -> Tensor:
    """Whole numbers near x, halves upwards.

    ``straight-through``: exact, with gradient 1. ``cubic``: r + (x - r)^3, whose gradient
    3 (x - r)^2 tells how near the next number is (Shin and Song, "JPEG-resistant adversarial
    images", 2017; Reich et al., "Differentiable JPEG: the devil is in the details", 2024).
    ``soft``: a staircase with slopes between its steps, whose gradient is its own (Agustsson and
    Theis, "Universally quantized neural compression", 2020).

    Raises:
        InputError: another rounding.
    """
    if rounding not in get_args(Rounding):
        raise InputError(f"rounding must be one of {', '.join(get_args(Rounding))}")
    whole = torch.floor(x.detach() + 0.5)
    if rounding == "cubic":
        return whole + (x - whole) ** 3
    if rounding == "soft":
        low = torch.floor(x.detach())
        return low + 0.5 + 0.5 * torch.tanh(SHARPNESS * (x - low - 0.5)) / math.tanh(SHARPNESS / 2)
    return straight_through(x, whole)
