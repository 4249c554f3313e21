"""Vector quantisation of latents in torch, with a gradient: for what is learned or refined."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["nearest_entry", "quantised", "rows"]


def rows(latents: Tensor) -> Tensor:
    """(B, C, h, w) to (B h w, C)."""
    return latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])


def nearest_entry(values: Tensor, palette: Tensor) -> Tensor:
    """Index of the nearest row of ``palette`` (K, C) for each of ``values`` (N, C); (N,)."""
    # |v|^2 is the same for all entries
    return (palette.square().sum(1) - 2 * values @ palette.T).argmin(1)


@torch.no_grad()
def quantised(latents: Tensor, palette: Tensor) -> Tensor:
    """Each latent's nearest entry of ``palette`` (K, C), (B, C, h, w); without gradient."""
    b, c, h, w = latents.shape
    chosen = palette[nearest_entry(rows(latents.float()), palette)]
    return chosen.view(b, h, w, c).permute(0, 3, 1, 2)
