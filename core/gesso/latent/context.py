"""How probable each palette entry is at a place, from its neighbours and what came before.

A log-linear model (a product of experts): the cost of entry k, in bits, is a weighted sum of

- the kernels log2(1 + d^2 / s^2) of the distance between entry k and a predicted value: those
  of six neighbours, and five combinations of them (a product of Cauchy densities);
- -log2 of how often k was met: anywhere, and beside the entries to the left, above and on both
  diagonals.

The weights learn by gradient descent on the coded length while coding, as in context mixing
(M. Mahoney, "Adaptive weighing of context models for lossless data compression", 2005), in
four classes of local activity. They start where pictures of a stand-in autoencoder left them.

Encoder and decoder must agree to the last bit on every machine. All arithmetic is on integers,
held in float64 where products are summed: they stay below 2^53, so that each sum is exact in
any order. Logarithms are Mitchell's (the bits of a float64 read as an integer), powers come
from a table of integer square roots. No function of libm takes part.
"""

from __future__ import annotations

from math import isqrt
from typing import cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["ROWS", "TOTAL", "ContextModel", "log2"]

Integers = NDArray[np.int64]
Whole = NDArray[np.float64]  # integers in float64

ROWS = 64  # places whose probabilities are computed, and learnt from, at once
TOTAL = 1 << 24  # what the probabilities of one place sum to
FLOOR = 1 << 16  # of that, shared equally by all entries
NEIGHBOURS = 6  # left, above, above left, above right, two to the left, two above
PAIRED = 4  # of which counts are kept
UNIT = 256  # of a bit, in features and costs
ONE = 1 << 16  # a weight of 1
LARGEST = 4 * ONE
RATE = 24  # the step is 2^-RATE of a gradient in units of 1 / (UNIT * TOTAL) bits
DEEPEST = 20 * UNIT  # costs beyond the best entry's by more than this count as this
SCALE = 8  # predicted values are in eighths
ACTIVITY = (3, 8, 24)  # bounds of the classes, in squares of the palette's spacing

# Of the features in the order of _predict, in 1/128, by class of activity, quietest first: fitted
# to palettes of 16, 64 and 256 entries, dithered and not, of 60 photographs, as block means of
# their colours and a measure of detail, plain, rotated and with noise.
WEIGHTS = [
    [16, -21, 24, 46, 82, 31, 50, 32, 37, 47, -52, 43, 29, 19, 26, -43],
    [39, 23, 39, 46, 62, 41, 68, 31, 34, 37, -99, 26, 22, 16, 17, -26],
    [24, 39, 28, 17, 46, 36, 72, 44, 40, 58, -87, 26, 15, 13, 19, -19],
    [21, 43, 9, 13, 36, 14, 77, 42, 47, 42, -53, 28, 18, 13, 19, -13],
]


def log2(x: Whole) -> Integers:
    """Mitchell's logarithm of integers >= 1, in 1/UNIT bits: at most 0.086 bits too small."""
    return cast("Integers", (x.view(np.int64) >> 44) - (1023 << 8))


def _powers() -> Integers:
    """2^20 * 2^(-i / UNIT) for i = 0 .. DEEPEST, from integer square roots alone."""
    guard = 64
    root = 1 << (guard - 1)  # 1/2
    for _ in range(UNIT.bit_length() - 1):
        root = isqrt(root << guard)
    value, found = 1 << guard, []
    for _ in range(UNIT):
        found.append(value)
        value = value * root >> guard
    return np.array([found[i % UNIT] >> guard - 20 + i // UNIT for i in range(DEEPEST + 1)])


POWERS = _powers().astype(np.float64)


class ContextModel:
    """Probabilities of palette entries, learnt as symbols become known.

    Args:
        palette: (K, C) uint8, K >= 2.
    """

    def __init__(self, palette: NDArray[np.uint8]) -> None:
        count = len(palette)
        self.entries = palette.astype(np.float64) * SCALE
        self.squares = (self.entries**2).sum(1)
        apart = self._distances(self.entries)
        # Half of the entries have another one nearer than this.
        nearest = np.sort(np.sort(apart, axis=1)[:, 1])[count // 2]
        self.spacing = max(float(nearest), float(SCALE**2))
        self.origin = int(self._distances(self.entries.sum(0)[None] // count)[0].argmin())
        self.kernels = self._kernel(apart)
        self.single = np.full(count, 2, np.int64)
        self.pairs = np.ones((PAIRED, count, count), np.int64)
        self.single_cost = -log2(self.single.astype(np.float64)).astype(np.float64)
        self.pair_cost = np.zeros((PAIRED, count, count))
        self.weights = np.array(WEIGHTS, np.float64) * (ONE // 128)
        self.rows = np.arange(ROWS)
        self.ranks = np.arange(PAIRED)

    def _distances(self, values: Whole) -> Whole:
        """Squares of distances (..., K) to every entry, in units of 1/SCALE^2."""
        crossed = values @ self.entries.T
        return cast("Whole", self.squares - 2 * crossed + (values**2).sum(-1)[..., None])

    def _kernel(self, squares: Whole) -> Whole:
        cost = log2(squares + self.spacing).astype(np.float64)
        return cast("Whole", cost - float(log2(np.array([self.spacing]))[0]))

    def probabilities(self, near: Integers) -> Whole:
        """(n, K) integers that sum to TOTAL, of n <= ROWS places.

        Args:
            near: (n, NEIGHBOURS) entries of the neighbours.
        """
        self.near = near
        self.classes = self._predict(near)
        weights = self.weights[self.classes]
        cost = np.matmul(weights[:, None], self.features)[:, 0]
        np.floor(cost / ONE, out=cost)
        cost -= cost.min(1, keepdims=True)
        np.minimum(cost, DEEPEST, out=cost)
        powers = POWERS[cost.astype(np.int64)]
        count = cost.shape[1]
        # Below 2^44 by a divisor below 2^28: the rounded quotient has the exact one's floor.
        shares = np.floor(powers * (TOTAL - FLOOR) / powers.sum(1, keepdims=True))
        shares += FLOOR // count
        shares[:, 0] += TOTAL - shares.sum(1)
        self.shares = cast("Whole", shares)
        return self.shares

    def _predict(self, near: Integers) -> Integers:
        """Fill ``features``, (n, features, K) costs in 1/UNIT bits; the classes of activity."""
        values = self.entries[near]
        left, above, corner, right, farther, higher = np.moveaxis(values, 1, 0)
        predicted = np.stack(
            [
                left + above - corner,
                2 * left - farther,
                2 * above - higher,
                (left + right) / 2,
                (2 * (left + above) + corner + right + farther + higher) / 8,
            ],
            axis=1,
        )
        np.clip(predicted, 0, 255 * SCALE, out=predicted)
        self.features = np.concatenate(
            [
                self.kernels[near],
                self._kernel(self._distances(predicted)),
                self.pair_cost[self.ranks, near[:, :PAIRED]],
                np.broadcast_to(self.single_cost, (len(near), 1, len(self.single))),
            ],
            axis=1,
        )
        change = (left - corner) ** 2 + (above - corner) ** 2 + (above - right) ** 2
        activity = change.sum(1)
        return cast(
            "Integers",
            sum((activity > bound * self.spacing).astype(np.int64) for bound in ACTIVITY),
        )

    def learn(self, symbols: Integers) -> None:
        """Take in the entries (n,) that the last places turned out to hold."""
        rows = self.rows[: len(symbols)]
        expected = np.matmul(self.features, self.shares[:, :, None])[:, :, 0]
        gradient = expected - self.features[rows, :, symbols] * TOTAL
        for kind in range(len(self.weights)):
            total = gradient[self.classes == kind].sum(0)
            self.weights[kind] += np.floor_divide(total, 1 << RATE)
        np.clip(self.weights, -LARGEST, LARGEST, out=self.weights)
        np.add.at(self.single, symbols, 5)
        self.single_cost = -log2(self.single.astype(np.float64)).astype(np.float64)
        where = (self.ranks, self.near[:, :PAIRED], symbols[:, None])
        np.add.at(self.pairs, where, 10)
        self.pair_cost[where] = -log2(self.pairs[where].astype(np.float64))
