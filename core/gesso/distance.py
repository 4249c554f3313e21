"""What a decode is to look like its source by, to whatever descends, trains or guards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gesso.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["dists_in", "perceptual_distance"]


def perceptual_distance(
    dtype: torch.dtype, fidelity: float = 1.0, lpips: float = 1.0
) -> Callable[[Tensor], Callable[[Tensor], Tensor]]:
    """``lpips`` x LPIPS (AlexNet) + DISTS + ``fidelity`` x SSIMULACRA 2 as (100 - s)/100.

    One metric alone is gamed: with LPIPS alone DISTS gets worse, and with both SSIMULACRA 2
    does, by 20 points.

    Args:
        dtype: what the network of DISTS, the larger one, computes in.
        fidelity: weight of SSIMULACRA 2, which asks for likeness more than the other two.
        lpips: weight of LPIPS beside DISTS, which yields sooner to a descent.

    Returns:
        A function that looks at sources (B, 3, H, W) on [0, 1] once and returns the function
        from decodes of that shape to distances (B,), lower is better, with gradients.

    Raises:
        ModelError: the weights of LPIPS or DISTS are not here.
    """
    import torch

    from gesso.evaluation.perceptual import (
        lpips_alex_against,
        missing_dists,
        missing_lpips_alex,
    )
    from gesso.evaluation.ssimulacra2 import ssimulacra2

    if missing := missing_lpips_alex() or missing_dists():
        raise ModelError(f"this looks through LPIPS and DISTS: {missing}")

    def against(source: Tensor) -> Callable[[Tensor], Tensor]:
        # In bf16 the sum that LPIPS is has two digits, and its network is a small one.
        with torch.no_grad():
            alex, dists = lpips_alex_against(source), dists_in(dtype)(source)

        def distance(picture: Tensor) -> Tensor:
            seen = lpips * alex(picture).flatten() + dists(picture)
            if not fidelity:
                return seen
            return seen + fidelity * (100 - ssimulacra2(source, picture).flatten()) / 100

        return distance

    return against


def dists_in(dtype: torch.dtype) -> Callable[[Tensor], Callable[[Tensor], Tensor]]:
    """DISTS alone, as :func:`perceptual_distance` has it; pixels stay in float32.

    Args:
        dtype: what its network computes in.

    Returns:
        From sources to the function from decodes to distances, as there.

    Raises:
        ModelError: its weights are not here.
    """
    import torch

    from gesso.evaluation.perceptual import dists_against

    def against(source: Tensor) -> Callable[[Tensor], Tensor]:
        def cast() -> torch.autocast:
            return torch.autocast(source.device.type, dtype, enabled=dtype != torch.float32)

        with cast():
            dists = dists_against(source)

        def distance(picture: Tensor) -> Tensor:
            with cast():
                return dists(picture).flatten()

        return distance

    return against
