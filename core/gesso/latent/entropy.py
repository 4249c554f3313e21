"""Palette indices to bytes and back, by a range coder and a model that learns as it goes.

The probabilities are :class:`gesso.latent.context.ContextModel`'s, the range coder constriction's
(:mod:`gesso.latent.coder`).

Order: the longer side is cut into strips of at most ``STRIP`` indices. In each, the place (x, y),
x along the strip, is coded in step x + 2 y, all strips at once: its left, upper left, upper and
upper right neighbours are known by then, and the places of a step are computed together.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.latent.coder import Decoder, Encoder
from gesso.latent.context import ROWS, TOTAL, UNIT, ContextModel, log2

__all__ = ["INDICES_PER_BYTE", "STRIP", "decode_indices", "encode_indices", "most_indices"]

Integers = NDArray[np.int64]

STRIP = 128
# No payload claims more: the encoder pads it with zeros where it would be shorter. Half a bit is
# less than photographs take; a kilobyte then takes about a third of a second at most.
INDICES_PER_BYTE = 16
MITCHELL = 23  # what log2 may be too small by, in 1/UNIT bits, rounded up


def most_indices(length: int) -> int:
    """How many indices a payload of that many bytes may hold."""
    return length * INDICES_PER_BYTE


def encode_indices(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> bytes:
    """Indices (h, w) into a palette (K, C), each below K, as bytes; none where K is 1.

    Raises:
        InputError: an index that the palette has not.
    """
    height, width = indices.shape
    if int(indices.max()) >= len(palette):
        raise InputError(
            f"index {int(indices.max())} lies outside the palette of {len(palette)} entries"
        )
    if len(palette) == 1:
        return b""
    coder, model = Encoder(), ContextModel(palette)
    cells = _cells(indices.astype(np.int64), model.origin)
    for places, near in _batches(height, width):
        symbols = cells[places]
        shares = model.probabilities(cells[near])
        coder.put(symbols, shares)
        model.learn(symbols)
    return coder.payload().ljust(-(-indices.size // INDICES_PER_BYTE), b"\0")


def decode_indices(
    payload: bytes, height: int, width: int, palette: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """The indices (height, width) that :func:`encode_indices` made ``payload`` of.

    Memory and time are bounded by the length of the payload.

    Raises:
        InputError: a payload that cannot hold so many indices.
    """
    if len(palette) == 1:
        if payload:
            raise InputError("a palette of one entry has no payload, yet there is one")
        return np.zeros((height, width), np.uint8)
    if height * width > most_indices(len(payload)):
        raise InputError(
            f"{len(payload)} bytes cannot hold {height} x {width} indices; the file is damaged"
        )
    coder, model = Decoder(payload), ContextModel(palette)
    cells = _cells(np.zeros((height, width), np.int64), model.origin)
    # What the coder holds at its end may serve once more: two words.
    left = (8 * len(payload) + 64) * UNIT
    most = log2(np.array([float(TOTAL)]))[0] - MITCHELL
    for places, near in _batches(height, width):
        shares = model.probabilities(cells[near])
        symbols = coder.take(shares)
        cells[places] = symbols
        taken = most - log2(shares[model.rows[: len(symbols)], symbols])
        left -= int(np.maximum(taken, 0).sum())
        if left < 0:
            raise InputError(
                f"the payload of {len(payload)} bytes ends before its {height} x {width} indices"
            )
        model.learn(symbols)
    found = cells[:-1].astype(np.uint8)
    if height > width:
        return np.ascontiguousarray(found.reshape(width, height).T)
    return found.reshape(height, width)


def _cells(indices: Integers, origin: int) -> Integers:
    """Indices flat, shorter side first, and one cell more that stands for no neighbour."""
    height, width = indices.shape
    return np.append((indices.T if height > width else indices).ravel(), origin)


def _batches(height: int, width: int) -> Iterator[tuple[Integers, Integers]]:
    """Places and their neighbours (n, 6), numbers of cells both, in the order of coding."""
    height, width = min(height, width), max(height, width)
    size = height * width
    strips = -(-width // STRIP)
    length = -(-width // strips)
    y, column = np.divmod(np.arange(size, dtype=np.int32), width)
    x = column % length
    step = x + 2 * y
    cell = np.arange(size, dtype=np.int32)
    at_left, at_top = x == 0, y == 0
    at_right = (x == length - 1) | (column == width - 1)
    above = np.where(at_top, np.where(at_left, size, cell - 1), cell - width)
    left = np.where(at_left, above, cell - 1)
    corner = np.where(at_top, left, np.where(at_left, above, cell - width - 1))
    right = np.where(at_top | at_right, above, cell - width + 1)
    farther = np.where(x < 2, left, cell - 2)
    higher = np.where(y < 2, above, cell - 2 * width)
    near = np.stack([left, above, corner, right, farther, higher], axis=1)
    order = np.argsort(step, kind="stable")
    bounds = np.searchsorted(step[order], np.arange(int(step.max()) + 2))
    for begin, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        for at in range(begin, end, ROWS):
            places = order[at : min(at + ROWS, end)]
            yield places, near[places]
