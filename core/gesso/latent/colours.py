"""A palette to bytes and back, its entries sorted.

The first values ascend, so their gaps are coded, as geometric where the entries left share the
range left evenly. Every other value is coded by a kernel estimate of its density given the
values before it in its entry (Nadaraya and Watson's regression, as a density), from the entries
before. Integers alone decide, as in :mod:`gesso.latent.context`.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.latent.coder import Decoder, Encoder
from gesso.latent.context import DEEPEST, POWERS, UNIT

__all__ = ["decode_palette", "encode_palette", "sort_palette"]

TOTAL = 1 << 16
PRIOR = 1 << 13  # of that, by where values of latents mostly lie; what the first entry has
LEVELS = np.arange(256, dtype=np.float64)
CENTRED = 160 - np.abs(LEVELS - 128)
WIDTH = 64.0  # of the kernel of the coded value, squared
KERNELS = np.floor_divide(2.0**18, (LEVELS - LEVELS[:, None]) ** 2 + WIDTH)
NEAR = 256.0  # of that of the values before it, squared


def sort_palette(palette: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The entries by their first value, then their second, ...; and the rank of each."""
    order = np.lexsort(palette.T[::-1])
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return palette[order], ranks


def encode_palette(palette: NDArray[np.uint8]) -> bytes:
    """A sorted palette (K, C) as bytes.

    Raises:
        InputError: entries that are not sorted.
    """
    if not np.array_equal(sort_palette(palette)[0], palette):
        raise InputError("only a sorted palette is coded; pass sort_palette(palette)[0]")
    coder, density = Encoder(), _Density(*palette.shape)
    for entry, channel in np.ndindex(*palette.shape):
        value = palette[entry, channel : channel + 1]
        coder.put(value, density.shares(entry, channel))
        density.learn(entry, channel, int(value[0]))
    return coder.payload()


def decode_palette(payload: bytes, colors: int, channels: int) -> NDArray[np.uint8]:
    """The palette (colors, channels) that :func:`encode_palette` made ``payload`` of.

    Raises:
        InputError: a payload longer than such a palette, or entries that are not sorted.
    """
    if len(payload) > 3 * colors * channels + 8:
        raise InputError(
            f"{len(payload)} bytes are too many for a palette of {colors} x {channels} values"
        )
    coder, density = Decoder(payload), _Density(colors, channels)
    for entry, channel in np.ndindex(colors, channels):
        value = coder.take(density.shares(entry, channel))
        density.learn(entry, channel, int(value[0]))
    palette = density.known.astype(np.uint8)
    if not np.array_equal(sort_palette(palette)[0], palette):
        raise InputError("the palette is not sorted; the file is damaged")
    return palette


class _Density:
    """Where the next value of a palette lies, from those before it."""

    def __init__(self, colors: int, channels: int) -> None:
        self.known = np.zeros((colors, channels))
        self.kernels = np.zeros((channels, colors, 256))

    def learn(self, entry: int, channel: int, value: int) -> None:
        self.known[entry, channel] = value
        self.kernels[channel, entry] = KERNELS[value]

    def shares(self, entry: int, channel: int) -> NDArray[np.float64]:
        """(1, 256) integers that sum to TOTAL."""
        if channel:
            known = self.known[:entry, :channel]
            apart = ((known - self.known[entry, :channel]) ** 2).sum(1)
            weights = np.floor_divide(2.0**32, (apart + NEAR) ** 2) + 1
            density, prior = weights @ self.kernels[channel, :entry], PRIOR if entry else TOTAL
        else:
            last = self.known[entry - 1, 0] if entry else 0.0
            # The exponential whose mean is the range left over the entries left; ln 2 = 256 / 369.
            scale = (len(self.known) - entry) * 369 * UNIT
            cost = np.floor_divide((LEVELS - last) * scale, 256 * (256 - last))
            density = POWERS[np.clip(cost, 0, DEEPEST).astype(np.int64)] * (last <= LEVELS)
            prior = 0
        shares = np.floor_divide(density * (TOTAL - prior), max(density.sum(), 1))
        shares += np.floor_divide(CENTRED * prior, CENTRED.sum())
        shares[128] += TOTAL - shares.sum()
        return cast("NDArray[np.float64]", shares[None])
