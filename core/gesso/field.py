"""White noise as a function of position: the same pixel gets the same noise in any tile.

Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
turns (column, row, draw) into four 32-bit words; Box-Muller turns those into normals.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["noise_at", "noise_field", "philox"]

MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
MASK = 0xFFFFFFFF
BAND = 1 << 15


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> list[Tensor]:
    """Ten rounds of Philox4x32 on int64 tensors that hold 32-bit words; returns four words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        # A 64-bit product wraps in a signed word; its two halves are right all the same.
        product0, product1 = c0 * MULTIPLIERS[0], c2 * MULTIPLIERS[1]
        high0, low0 = product0 >> 32 & MASK, product0 & MASK
        high1, low1 = product1 >> 32 & MASK, product1 & MASK
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + WEYL[0]) & MASK, (k1 + WEYL[1]) & MASK
    return [c0, c1, c2, c3]


def noise_field(
    top: int,
    left: int,
    height: int,
    width: int,
    *,
    seed: int = 0,
    draw: int = 0,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Standard normal noise at absolute pixel positions, (1, 3, height, width) float32.

    Args:
        top, left: absolute position of the window, 0 or more.
        height, width: its size.
        seed: in [0, 2**64).
        draw: number of the draw; each step of a sampler takes its own.
        device: where to compute; the integers are the same on every device.
    """
    rows = torch.arange(top, top + height, device=device)[:, None]
    columns = torch.arange(left, left + width, device=device)
    return noise_at(rows, columns, seed=seed, draw=draw)


def noise_at(rows: Tensor, columns: Tensor, *, seed: int = 0, draw: int = 0) -> Tensor:
    """The same noise at any places, (1, 3, height, width) float32.

    Args:
        rows: where to look, int64 (height, 1) or (height, width).
        columns: int64 (width,) or (height, width).
        seed, draw: as for :func:`noise_field`.
    """
    height, width = len(rows), columns.shape[-1]
    zero = torch.zeros((), device=rows.device, dtype=torch.int64)
    key = (seed & MASK, seed >> 32 & MASK)
    out = torch.empty(1, 3, height, width, device=rows.device)
    # A hundred integer operations per pixel: in bands they stay in the cache.
    band = max(1, BAND // width)
    for start in range(0, height, band):
        part = slice(start, start + band)
        across = columns[part] if columns.ndim > 1 else columns
        words = philox((across & MASK, rows[part] & MASK, zero + draw, zero), key)
        # 24 bits, shifted by half a step: uniform on (0, 1], never 0.
        u = [((word >> 8).to(torch.float32) + 0.5) * 2.0**-24 for word in words]
        first, second = ((-2 * u[i].log()).sqrt() for i in (0, 2))
        red, green, blue = out[0, :, part]
        torch.mul(first, (2 * math.pi * u[1]).cos(), out=red)
        torch.mul(first, (2 * math.pi * u[1]).sin(), out=green)
        torch.mul(second, (2 * math.pi * u[3]).cos(), out=blue)
    return out
