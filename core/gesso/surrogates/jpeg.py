"""JPEG as a differentiable function, step by step what libjpeg-turbo does."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gesso.blocks import dct, from_ycbcr, idct, repeat, subsampled, to_ycbcr
from gesso.errors import InputError
from gesso.jpeg import BIASES, SAMPLINGS, Sampling
from gesso.surrogates.rate import Coded, log_rate
from gesso.surrogates.rounding import Rounding, rounded, straight_through
from gesso.target import jpeg_chroma_table, jpeg_luma_table

__all__ = ["code_jpeg", "differentiable_jpeg", "jpeg_tables"]

# Tells halves from what is less by an error of float32.
TINY = 1e-4
FACTORS = {name: factors for factors, name in SAMPLINGS.items()}


def jpeg_tables(quality: float) -> Tensor:
    """libjpeg's tables for a quality in [1, 100], (3, 8, 8)."""
    luma, chroma = jpeg_luma_table(quality), jpeg_chroma_table(quality)
    return torch.tensor([luma, chroma, chroma]).reshape(3, 8, 8)


def differentiable_jpeg(
    rgb: Tensor,
    tables: Tensor,
    sampling: Sampling = "4:2:0",
    rounding: Rounding = "straight-through",
) -> Tensor:
    """Code pictures as JPEG and decode them, as Pillow would, with gradients.

    Samples are rounded and clipped to 8 bits wherever libjpeg-turbo does so, with gradient 1
    (0 where clipped); ``rounding`` is that of the coefficients. Chroma is averaged over
    boxes by the encoder and interpolated ("fancy upsampling") by the decoder. Against
    Pillow's own decodes the PSNR is above 50 dB; what differs are coefficients on the border
    of two levels, since libjpeg computes its DCT in integers.

    Args:
        rgb: (B, 3, H, W) on [0, 1], of any size; rounded to 8 bits.
        tables: (3, 8, 8) quantisation steps of Y, Cb and Cr, or (B, 3, 8, 8).
        sampling: of chroma.
        rounding: see :func:`gesso.surrogates.rounding.rounded`.

    Returns:
        The decodes, in the shape and range of ``rgb``.

    Raises:
        InputError: another sampling or rounding.
    """
    return code_jpeg(rgb, tables, sampling, rounding).decoded


def code_jpeg(
    rgb: Tensor,
    tables: Tensor,
    sampling: Sampling = "4:2:0",
    rounding: Rounding = "straight-through",
) -> Coded:
    """:func:`differentiable_jpeg`, with its rate: equal arguments, equal errors."""
    if sampling not in FACTORS:
        raise InputError(f"sampling must be one of {', '.join(FACTORS)}, got {sampling!r}")
    rows, columns = FACTORS[sampling]
    height, width = rgb.shape[2:]
    ycc = _bytes(to_ycbcr(_bytes(rgb * 255)), chroma=True)
    steps = tables.to(rgb).expand(len(rgb), 3, 8, 8)[:, :, None, None]
    planes, nats = [], rgb.new_zeros(len(rgb))
    for index in range(3):
        box = (rows, columns) if index else (1, 1)
        levels = _levels(_subsampled(ycc[:, index], *box), steps[:, index], index > 0)
        nats = nats + log_rate(_predicted(levels))
        plane = _decoded(levels, steps[:, index], rounding, index > 0)
        if index:
            # The decoder interpolates between real samples alone.
            plane = plane[:, : -(-height // rows), : -(-width // columns)]
            plane = _upsampled(plane, rows, columns)
        planes.append(plane[:, :height, :width])
    return Coded(_bytes(from_ycbcr(torch.stack(planes, 1))) / 255, nats)


def _bytes(planes: Tensor, chroma: bool = False) -> Tensor:
    """Rounded and clipped to [0, 255]; with ``chroma``, all but the first to [-128, 127]."""
    if not chroma:
        return rounded(planes, "straight-through").clamp(0, 255)
    # libjpeg rounds halves of chroma downwards (jccolor.c), and greyish pixels have many.
    down = rounded(planes - TINY, "straight-through")
    whole = torch.cat([rounded(planes[:, :1], "straight-through"), down[:, 1:]], 1)
    return torch.cat([whole[:, :1].clamp(0, 255), whole[:, 1:].clamp(-128, 127)], 1)


def _subsampled(plane: Tensor, rows: int, columns: int) -> Tensor:
    mean = subsampled(plane, rows, columns)
    if rows == columns == 1:
        return mean
    bias = mean.new_full(mean.shape[2:], 0.5)
    bias[::2] = BIASES[rows, columns]
    return straight_through(mean, torch.floor(mean.detach() + bias))


def _levels(plane: Tensor, steps: Tensor, chroma: bool) -> Tensor:
    """The coefficients of a plane in units of their steps, yet to be rounded."""
    # libjpeg's coefficients are eighths (jfdctint.c).
    return rounded(dct(plane - (0.0 if chroma else 128.0)) * 8, "straight-through") / (8 * steps)


def _predicted(levels: Tensor) -> Tensor:
    """Levels with each mean as its difference from the block before, as it is coded."""
    mean = levels[..., 0, 0]
    # A row's first block by the one above it; libjpeg takes the last block of that row.
    above = F.pad(mean[:, :-1, :1], (0, 0, 1, 0))
    before = torch.cat([above, mean[:, :, :-1]], 2)
    return torch.cat([(mean - before)[..., None], levels.flatten(3)[..., 1:]], 3)


def _decoded(levels: Tensor, steps: Tensor, rounding: Rounding, chroma: bool) -> Tensor:
    """The plane that a decoder makes of coefficients."""
    low = -128.0 if chroma else 0.0
    centre = 0.0 if chroma else 128.0
    # The quantiser takes halves away from 0.
    levels = levels + TINY * levels.detach().sign()
    decoded = idct(rounded(levels, rounding) * steps) + centre
    return rounded(decoded + TINY, "straight-through").clamp(low, low + 255)


def _upsampled(plane: Tensor, rows: int, columns: int) -> Tensor:
    """libjpeg's triangle filter (jdsample.c): 3/4 of the nearer sample, 1/4 of the next."""
    if rows == columns == 1:
        return plane
    # Pictures this narrow are upsampled by repetition.
    if plane.shape[2] <= 2:
        return repeat(plane, rows, columns, rows * plane.shape[1], columns * plane.shape[2])
    if rows == 2:
        plane = _doubled(plane.transpose(1, 2)).transpose(1, 2)
    doubled = _doubled(plane)
    # The sums are of 16ths in 4:2:0 and of quarters in 4:2:2; what is added to them before
    # the shift differs from column to column.
    bias = doubled.new_full(doubled.shape[2:], 7 / 16 if rows == 2 else 2 / 4)
    bias[::2] = 8 / 16 if rows == 2 else 1 / 4
    if rows == 1:
        bias[0] = bias[-1] = 0
    return straight_through(doubled, torch.floor(doubled.detach() + bias))


def _doubled(plane: Tensor) -> Tensor:
    """Twice as many columns, (B, H, W) to (B, H, 2 W)."""
    before = torch.cat([plane[:, :, :1], plane[:, :, :-1]], 2)
    after = torch.cat([plane[:, :, 1:], plane[:, :, -1:]], 2)
    pair = torch.stack([3 * plane + before, 3 * plane + after], 3) / 4
    return pair.flatten(2)
