"""Canny's edges of a decoded picture, as ControlNets for them were trained on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["canny_condition", "canny_edges"]

# tan(22.5 degrees), in 15 bits after the point: directions are told apart by whole numbers.
SHIFT = 15
TANGENT = int(0.4142135623730950488016887242097 * (1 << SHIFT) + 0.5)
Integers = NDArray[np.int32]
Mask = NDArray[np.bool_]


def canny_condition(pixels: Tensor, low: int = 100, high: int = 200) -> Tensor:
    """The condition of a Canny ControlNet.

    Args:
        pixels: (B, 3, H, W) on [-1, 1].
        low, high: see :func:`canny_edges`; as in the model cards of those ControlNets.

    Returns:
        (B, 3, H, W) float32 on ``pixels``' device: 1 on edges and 0 elsewhere.
    """
    levels = ((pixels.float().clamp(-1, 1) + 1) * 127.5).round().to("cpu", torch.uint8)
    found = [torch.from_numpy(canny_edges(picture.numpy(), low, high)) for picture in levels]
    return torch.stack(found)[:, None].expand(-1, 3, -1, -1).to(pixels.device, torch.float32)


def canny_edges(picture: NDArray[np.uint8], low: int, high: int) -> Mask:
    """Edges as OpenCV's ``Canny(picture, low, high)`` finds them (Canny 1986), bit for bit.

    Sobel's gradients, the largest of the channels' by |dx| + |dy|; maxima across their
    direction, one of four; of these the ones above ``low`` that hang together with one above
    ``high``.

    Args:
        picture: (C, H, W).
        low, high: levels of |dx| + |dy|.

    Returns:
        (H, W).
    """
    dx, dy = _gradients(picture)
    strength = np.abs(dx) + np.abs(dy)
    largest = strength.argmax(0)[None]
    dx, dy, strength = (np.take_along_axis(a, largest, 0)[0] for a in (dx, dy, strength))
    thin = _maxima(dx, dy, strength) & (strength > low)
    return _linked(thin, thin & (strength > high))


def _gradients(picture: NDArray[np.uint8]) -> tuple[Integers, Integers]:
    """Sobel's, of a picture whose border is repeated."""
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)), mode="edge").astype(np.int32)
    above, here, below = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
    down, across = below - above, above + 2 * here + below
    dy = down[:, :, :-2] + 2 * down[:, :, 1:-1] + down[:, :, 2:]
    return across[:, :, 2:] - across[:, :, :-2], dy


def _maxima(dx: Integers, dy: Integers, strength: Integers) -> Mask:
    """Where the gradient is at least as strong as before and behind."""
    height, width = strength.shape
    padded = np.pad(strength, 1)

    def beside(down: int, right: int) -> Integers:
        return padded[1 + down : 1 + down + height, 1 + right : 1 + right + width]

    x, y = np.abs(dx).astype(np.int64), np.abs(dy).astype(np.int64) << SHIFT
    flat, steep = y < x * TANGENT, y > x * (TANGENT + (2 << SHIFT))
    # Equal neighbours: the later one is none, or an edge two pixels wide would vanish.
    level = (strength > beside(0, -1)) & (strength >= beside(0, 1))
    upright = (strength > beside(-1, 0)) & (strength >= beside(1, 0))
    falling = (strength > beside(-1, -1)) & (strength > beside(1, 1))
    rising = (strength > beside(-1, 1)) & (strength > beside(1, -1))
    slanted = np.where((dx ^ dy) < 0, rising, falling)
    return np.where(flat, level, np.where(steep, upright, slanted))


def _linked(thin: Mask, sure: Mask) -> Mask:
    """What of ``thin`` hangs together with ``sure``, corners included."""
    height, width = thin.shape
    # A border of nothing: neighbours are then offsets in the flattened array.
    left, stride = np.pad(thin, 1).ravel(), width + 2
    found = np.zeros_like(left)
    beside = np.array([-stride - 1, -stride, -stride + 1, -1, 1, stride - 1, stride, stride + 1])
    front = np.flatnonzero(np.pad(sure, 1))
    while len(front):
        left[front], found[front] = False, True
        near = (front[:, None] + beside).ravel()
        front = np.unique(near[left[near]])
    return found.reshape(height + 2, stride)[1:-1, 1:-1]
