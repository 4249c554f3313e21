"""What JPEG computes with: 8 x 8 blocks, their DCT, JFIF's YCbCr and its subsampling."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["dct", "from_ycbcr", "idct", "repeat", "subsampled", "to_ycbcr"]

SIDE = 8
# JFIF 1.02 (ITU-T T.871, 7): full range, chroma centred on 0 here and not on 128.
TO_YCBCR = (
    (0.299, 0.587, 0.114),
    (-0.299 / 1.772, -0.587 / 1.772, 0.5),
    (0.5, -0.587 / 1.402, -0.114 / 1.402),
)
FROM_YCBCR = (
    (1.0, 0.0, 1.402),
    (1.0, -0.114 * 1.772 / 0.587, -0.299 * 1.402 / 0.587),
    (1.0, 1.772, 0.0),
)


def _mix(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    weights = planes.new_tensor(matrix)
    return torch.einsum("ij,bjhw->bihw", weights, planes)


def to_ycbcr(rgb: Tensor) -> Tensor:
    """RGB (B, 3, H, W) to Y, Cb, Cr in the same unit, chroma centred on 0."""
    return _mix(rgb, TO_YCBCR)


def from_ycbcr(ycc: Tensor) -> Tensor:
    """The inverse of :func:`to_ycbcr`; linear, so it maps differences, too."""
    return _mix(ycc, FROM_YCBCR)


def _basis(like: Tensor) -> Tensor:
    """(64, 64): the whole transform of a block in one product, which CPUs do fastest."""
    k = torch.arange(SIDE, dtype=torch.float64)
    basis = torch.cos(math.pi * (2 * k[None] + 1) * k[:, None] / (2 * SIDE)) / 2
    basis[0] /= math.sqrt(2)
    return torch.kron(basis, basis).to(like)


def dct(plane: Tensor) -> Tensor:
    """Orthonormal DCT of the blocks of a plane: (B, H, W) to (B, H/8, W/8, 8, 8), row first."""
    batch, height, width = plane.shape
    rows, columns = height // SIDE, width // SIDE
    blocks = plane.reshape(batch, rows, SIDE, columns, SIDE).transpose(2, 3)
    found = blocks.reshape(-1, SIDE * SIDE) @ _basis(plane).T
    return found.reshape(batch, rows, columns, SIDE, SIDE)


def idct(coefficients: Tensor) -> Tensor:
    """The inverse of :func:`dct`."""
    batch, rows, columns = coefficients.shape[:3]
    blocks = coefficients.reshape(-1, SIDE * SIDE) @ _basis(coefficients)
    blocks = blocks.reshape(batch, rows, columns, SIDE, SIDE).transpose(2, 3)
    return blocks.reshape(batch, rows * SIDE, columns * SIDE)


def subsampled(plane: Tensor, rows: int, columns: int) -> Tensor:
    """(B, H, W) averaged over boxes of that size and filled up to whole blocks, (B, 8 m, 8 n).

    As libjpeg's encoder has it (jcprepct.c, jcsample.c): the last column is repeated before
    the averaging, the last row after it.
    """
    padded = _pad_to(plane[:, None], rows, SIDE * columns)
    small = F.avg_pool2d(padded, (rows, columns)) if rows * columns > 1 else padded
    return _pad_to(small, SIDE, 1)[:, 0]


def _pad_to(planes: Tensor, rows: int, columns: int) -> Tensor:
    height, width = planes.shape[-2:]
    return F.pad(planes, (0, -width % columns, 0, -height % rows), mode="replicate")


def repeat(plane: Tensor, rows: int, columns: int, height: int, width: int) -> Tensor:
    """(B, h, w) with each sample repeated over a box, cut to (B, height, width)."""
    whole = plane.repeat_interleave(rows, 1).repeat_interleave(columns, 2)
    return whole[:, :height, :width]
