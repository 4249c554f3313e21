"""How many bits a transform codec spends, as a differentiable function."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Coded", "context_rate", "log_rate"]


class Coded(NamedTuple):
    """What a codec's surrogate makes of pictures.

    Attributes:
        decoded: (B, 3, H, W) on [0, 1].
        nats: (B,), grows with the bits; how many bits one of them is, a real coding tells.
    """

    decoded: Tensor
    nats: Tensor


def log_rate(levels: Tensor) -> Tensor:
    """Sum of ln(1 + |level|) over each picture, (B,).

    Guleryuz et al., "Sandwiched image compression" (2021 and later): up to a factor that a
    real coding settles, the rate of a transform codec with an adaptive entropy coder.

    Args:
        levels: (B, ...), coefficients in units of their quantisation steps, not rounded: the
            pull towards zero is to be felt before a level is reached.
    """
    return torch.log1p(levels.abs()).flatten(1).sum(1)


def context_rate(levels: Tensor) -> Tensor:
    """Sum of ln(1 + (2 level)^2) over each picture, (B,).

    For codecs whose arithmetic coder learns where zeros are: a level well under 1/2 is all
    but free. Against x265 its scale hardly changes with the QP, and its rank correlation with
    the bits is higher than that of :func:`log_rate`; for JPEG it is the other way round.
    """
    return torch.log1p((2 * levels).square()).flatten(1).sum(1)
