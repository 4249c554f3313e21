"""Pairs of a picture and its decode, coded on the fly by real codecs at random qualities."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gesso.codec import Codec, get_codec
from gesso.evaluation.matching import quality_levels
from gesso.target import Target
from gesso.training.data import CropSampler, to_model_range

__all__ = ["DecodedSampler", "Pair", "decodes_of", "targets_of"]

# Block grids of JPEG with halved chroma, and a divisor of every other codec's.
ALIGNMENT = 16
QP_RANGE = (20.0, 50.0)


@dataclass(frozen=True)
class Pair:
    """A coded crop.

    Attributes:
        source, decoded: (H, W, 3) uint8.
        codec: index among the sampler's codecs.
        qp: rate index of the quality that was drawn.
    """

    source: NDArray[np.uint8]
    decoded: NDArray[np.uint8]
    codec: int
    qp: float


@dataclass
class DecodedSampler:
    """Batches of crops out of a pool of coded ones, of which one is renewed every step.

    Entry i of the pool depends on (seed, i) alone, so that a resumed run sees what an
    unbroken one would have seen.

    Attributes:
        crops: gives the sources; its size is that of a coded picture, several times a crop.
        codecs: one is drawn with equal chance; one that is named twice, twice as often.
        size: of a crop.
        seed: of everything.
        pool: entries that a batch is drawn from.
        qps: the rate indices of the qualities that are drawn.
    """

    crops: CropSampler
    codecs: Sequence[Codec]
    size: int
    seed: int = 0
    pool: int = 64
    qps: tuple[float, float] = QP_RANGE
    _entries: OrderedDict[int, Pair] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        # The qualities of each codec whose rate index lies in the range, by that index.
        self._levels = []
        for codec in self.codecs:
            levels = [(codec.qp(q), q) for q in quality_levels(codec)]
            low, high = self.qps
            self._levels.append([pair for pair in levels if low <= pair[0] <= high] or levels)

    def entry(self, index: int) -> Pair:
        """The coded crop of that index."""
        if index not in self._entries:
            self._entries[index] = self._make(index)
            while len(self._entries) > self.pool:
                self._entries.popitem(last=False)
        return self._entries[index]

    def draw(self, batch: int, step: int) -> tuple[Tensor, Tensor, list[int], list[float]]:
        """Sources and decodes, (batch, 3, size, size) on [-1, 1], codecs and rate indices."""
        rng = np.random.default_rng((self.seed, 1, step))
        sources = np.empty((batch, self.size, self.size, 3), np.uint8)
        decodes = np.empty_like(sources)
        codecs, qps = [], []
        for index in range(step, step + self.pool):
            self.entry(index)
        for row in range(batch):
            pair = self.entry(step + int(rng.integers(self.pool)))
            y, x = (self._offset(rng, length) for length in pair.source.shape[:2])
            window = (slice(y, y + self.size), slice(x, x + self.size))
            sources[row], decodes[row] = pair.source[window], pair.decoded[window]
            codecs.append(pair.codec)
            qps.append(pair.qp)
        return to_model_range(sources), to_model_range(decodes), codecs, qps

    def _offset(self, rng: np.random.Generator, length: int) -> int:
        return int(rng.integers((length - self.size) // ALIGNMENT + 1)) * ALIGNMENT

    def _make(self, index: int) -> Pair:
        rng = np.random.default_rng((self.seed, 0, index))
        chosen = int(rng.integers(len(self.codecs)))
        levels = self._levels[chosen]
        # Evenly over rate indices, not over the codec's own scale.
        low, high = min(levels)[0], max(levels)[0]
        wanted = rng.uniform(low, high)
        qp, quality = min(levels, key=lambda pair: abs(pair[0] - wanted))
        source = self.crops.take(rng)
        codec = self.codecs[chosen]
        decoded = codec.decode(codec.encode(Image.fromarray(source), quality))
        return Pair(source, np.asarray(decoded), chosen, qp)


def targets_of(codecs: Iterable[str], qps: Sequence[float]) -> list[Target]:
    """The qualities of each codec whose rate indices are nearest to ``qps``."""
    found = []
    for name in codecs:
        levels = quality_levels(codec := get_codec(name))
        found += [Target(name, min(levels, key=lambda q: abs(codec.qp(q) - qp))) for qp in qps]
    return list(dict.fromkeys(found))


def decodes_of(crops: Tensor, target: Target) -> Tensor:
    """What is left of pictures, (B, 3, H, W) on [-1, 1], once coded with ``target``."""
    codec = get_codec(target.codec)
    pixels = ((crops + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return to_model_range(
        np.stack(
            [
                np.asarray(codec.decode(codec.encode(Image.fromarray(one), target.quality)))
                for one in pixels
            ]
        )
    )
