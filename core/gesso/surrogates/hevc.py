"""HEVC intra as a differentiable function: prediction, transform, quantisation, rate.

What BPG is inside. Blocks of 8 x 8 throughout and four of the 35 modes; the loop filters, the
quadtree and the rate-distortion search of a real encoder are left out, and what they are worth
in bits is settled where the rate is scaled to a real coding's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gesso.blocks import SIDE, dct, from_ycbcr, idct, subsampled, to_ycbcr
from gesso.errors import InputError
from gesso.surrogates.rate import Coded, context_rate
from gesso.surrogates.rounding import Rounding, rounded, straight_through

__all__ = ["code_hevc", "quantisation_step"]

# ITU-T H.265, 8.6.1, Table 8-10: QP of chroma for 4:2:0, from 30 on; above 43 it is 6 less.
CHROMA_QP = (29, 30, 31, 32, 33, 33, 34, 34, 35, 35, 36, 36, 37, 37)
# What encoders add before they cut off the fraction of an intra level (HM, x265).
OFFSET = 1 / 3
MODES = ("dc", "planar", "horizontal", "vertical")


def quantisation_step(qp: Tensor) -> Tensor:
    """2^((QP - 4) / 6), in 8-bit levels of an orthonormal transform."""
    return torch.exp2((qp - 4) / 6)


def code_hevc(rgb: Tensor, qp: float | Tensor, rounding: Rounding = "straight-through") -> Coded:
    """Code pictures as HEVC stills, 4:2:0 in full range, and decode them, with gradients.

    With straight-through rounding the decode's gradient is that of an identity, else that of
    the rounding of the residual; the rate's is that of the residual. Each block is predicted from
    its decoded neighbours, which follow their own sources.

    Args:
        rgb: (B, 3, H, W) on [0, 1], of any size.
        qp: in [0, 51], one for all or (B,).
        rounding: of the levels; see :func:`gesso.surrogates.rounding.rounded`.

    Returns:
        The decodes, in the shape and range of ``rgb``, and the rates.

    Raises:
        InputError: a QP out of range.
    """
    qps = torch.as_tensor(qp).to(rgb).expand(len(rgb))
    if not bool(((qps >= 0) & (qps <= 51)).all()):
        raise InputError(f"QP must be in [0, 51], got {qp}")
    height, width = rgb.shape[2:]
    ycc = to_ycbcr(rgb.clamp(0, 1) * 255)
    planes, nats = [], rgb.new_zeros(len(rgb))
    for index in range(3):
        chroma = index > 0
        plane = subsampled(ycc[:, index], *((2, 2) if chroma else (1, 1)))
        step = quantisation_step(_chroma_qp(qps) if chroma else qps)
        low = -128.0 if chroma else 0.0
        decoded, levels = _code_plane(plane, step, low, rounding)
        nats = nats + context_rate(levels)
        if chroma:
            size = 2 * decoded.shape[1], 2 * decoded.shape[2]
            decoded = F.interpolate(decoded[:, None], size, mode="bilinear")[:, 0]
        planes.append(decoded[:, :height, :width])
    return Coded(from_ycbcr(torch.stack(planes, 1)).clamp(0, 255) / 255, nats)


def _chroma_qp(qp: Tensor) -> Tensor:
    whole = qp.round().long()
    table = torch.tensor(CHROMA_QP, device=qp.device)
    inside = table[(whole - 30).clamp(0, len(table) - 1)].to(qp)
    return torch.where(qp < 30, qp, torch.where(qp > 43, qp - 6, inside))


def _code_plane(
    plane: Tensor, step: Tensor, low: float, rounding: Rounding
) -> tuple[Tensor, Tensor]:
    """The decode of a plane (B, H, W), whole blocks, and its levels before rounding."""
    with torch.no_grad():
        decoded, modes = _code_blocks(plane.detach(), step, low)
    followed = straight_through(plane, decoded)
    left, top = _borders(_blocks(followed), low)
    predicted = _chosen(_predictions(left, top), modes)
    residual = _blocks(plane) - predicted
    levels = _transform(residual) / step[:, None, None, None, None]
    if rounding == "straight-through":
        return followed, levels
    # As _quantised has it, with the gradient of that rounding.
    whole = levels.detach().sign() * rounded(levels.abs() + OFFSET - 0.5, rounding)
    found = predicted.detach() + _back(whole * step[:, None, None, None, None])
    return _whole(found).clamp(low, low + 255), levels


def _code_blocks(plane: Tensor, step: Tensor, low: float) -> tuple[Tensor, Tensor]:
    """What a decoder gets, (B, H, W), and each block's mode, (B, rows, columns).

    Blocks on one antidiagonal need only those before it, and are coded at once.
    """
    blocks = _blocks(plane)
    decoded = torch.zeros_like(blocks)
    batch, rows, columns = blocks.shape[:3]
    modes = torch.zeros(batch, rows, columns, dtype=torch.long, device=plane.device)
    for diagonal in range(rows + columns - 1):
        i = torch.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        i = i.to(plane.device)
        j = diagonal - i
        left, top = _neighbours(decoded, i, j, low)
        candidates = _predictions(left, top)
        source = blocks[:, i, j]
        cost = _transform(source[None] - candidates).abs().sum((-2, -1))
        modes[:, i, j] = best = cost.argmin(0)
        predicted = _chosen(candidates, best)
        levels = _transform(source - predicted) / step[:, None, None, None]
        residual = _back(_quantised(levels) * step[:, None, None, None])
        decoded[:, i, j] = (predicted + residual).round().clamp(low, low + 255)
    return _whole(decoded), modes


def _quantised(levels: Tensor) -> Tensor:
    return levels.sign() * (levels.abs() + OFFSET).floor()


def _blocks(plane: Tensor) -> Tensor:
    """(B, H, W) to (B, rows, columns, 8, 8)."""
    batch, height, width = plane.shape
    return plane.reshape(batch, height // SIDE, SIDE, width // SIDE, SIDE).transpose(2, 3)


def _whole(blocks: Tensor) -> Tensor:
    """The inverse of :func:`_blocks`."""
    batch, rows, columns = blocks.shape[:3]
    return blocks.transpose(2, 3).reshape(batch, rows * SIDE, columns * SIDE)


def _neighbours(decoded: Tensor, i: Tensor, j: Tensor, low: float) -> tuple[Tensor, Tensor]:
    """The last column of the block to the left and the last row of that above, (B, n, 8)."""
    left = decoded[:, i, (j - 1).clamp_min(0), :, -1]
    top = decoded[:, (i - 1).clamp_min(0), j, -1, :]
    return _substituted(left, top, (j == 0)[:, None], (i == 0)[:, None], low)


def _borders(blocks: Tensor, low: float) -> tuple[Tensor, Tensor]:
    """:func:`_neighbours` of every block, (B, rows, columns, 8)."""
    rows, columns = blocks.shape[1:3]
    left = F.pad(blocks[:, :, :-1, :, -1], (0, 0, 1, 0))
    top = F.pad(blocks[:, :-1, :, -1, :], (0, 0, 0, 0, 1, 0))
    i = torch.arange(rows, device=blocks.device)[:, None, None]
    j = torch.arange(columns, device=blocks.device)[None, :, None]
    return _substituted(left, top, j == 0, i == 0, low)


def _substituted(
    left: Tensor, top: Tensor, no_left: Tensor, no_top: Tensor, low: float
) -> tuple[Tensor, Tensor]:
    """Borders outside the picture filled as the standard does (8.4.4.2.2)."""
    middle = torch.full_like(left, low + 128)
    given_left, given_top = left, top
    left = torch.where(no_left, given_top[..., :1].expand_as(left), given_left)
    top = torch.where(no_top, given_left[..., :1].expand_as(top), given_top)
    neither = no_left & no_top
    return torch.where(neither, middle, left), torch.where(neither, middle, top)


def _predictions(left: Tensor, top: Tensor) -> Tensor:
    """The block by each of :data:`MODES`, (4, ..., 8, 8), from borders (..., 8)."""
    column, row = left[..., :, None], top[..., None, :]
    mean = (left.mean(-1) + top.mean(-1))[..., None, None] / 2
    # The next corners are not coded yet, or not always; the last samples stand for them.
    away = torch.arange(1, SIDE + 1, device=left.device, dtype=left.dtype)
    across = ((SIDE - away) * column + away * top[..., -1:, None]) / SIDE
    down = ((SIDE - away)[:, None] * row + away[:, None] * left[..., None, -1:]) / SIDE
    whole = torch.zeros_like(across + down)
    return torch.stack([mean + whole, (across + down) / 2, column + whole, row + whole])


def _chosen(candidates: Tensor, modes: Tensor) -> Tensor:
    index = modes[None, ..., None, None].expand(1, *candidates.shape[1:])
    return candidates.gather(0, index)[0]


def _transform(blocks: Tensor) -> Tensor:
    """Orthonormal DCT of blocks (..., 8, 8)."""
    column = blocks.reshape(1, -1, SIDE)
    return dct(column).reshape(blocks.shape)


def _back(blocks: Tensor) -> Tensor:
    return idct(blocks.reshape(1, -1, 1, SIDE, SIDE)).reshape(blocks.shape)
