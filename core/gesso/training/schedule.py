"""What a bit is worth at every rate index: the weight of the rate in a loss, measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gesso.codec import Codec, DifferentiableCodec
from gesso.evaluation.matching import quality_levels
from gesso.generator import QPS
from gesso.trial import Distance, Trial, neighbours

__all__ = ["RateSchedule", "level_near"]

POINTS = 6


@dataclass(frozen=True)
class RateSchedule:
    """Two curves over the rate index, of one codec.

    Attributes:
        qps: rising rate indices.
        prices: there, what plain coding takes off the distance for one more bit per pixel.
        bits: there, real bits for each of the surrogate's nats.
    """

    qps: tuple[float, ...]
    prices: tuple[float, ...]
    bits: tuple[float, ...]

    @classmethod
    def measured(
        cls,
        codec: DifferentiableCodec,
        pictures: Tensor,
        distance: Distance,
        progress: Callable[[], None] = lambda: None,
    ) -> RateSchedule:
        """From real codings.

        Args:
            codec: to be measured.
            pictures: (B, 3, H, W) on [0, 1].
            distance: what the loss measures beside the rate.
            progress: called after every rate index.
        """
        qps, prices, bits = [], [], []
        for wanted in np.linspace(*QPS, POINTS):
            quality = level_near(codec, float(wanted))
            worse, better = neighbours(codec, quality)
            gained = spent = coded = 0.0
            for picture in torch.split(pictures, 1):
                trial = Trial(picture, codec, distance)
                low, high = trial.code(picture, worse), trial.code(picture, better)
                gained += low.distance - high.distance
                spent += high.bpp - low.bpp
                coded += trial.code(picture, quality).bpp
            with torch.no_grad():
                nats = float(codec.surrogate(quality)(pictures).nats.sum())
            qps.append(codec.qp(quality))
            prices.append(gained / spent)
            bits.append(coded * pictures.shape[2] * pictures.shape[3] / nats)
            progress()
        order = np.argsort(qps)
        return cls(*(tuple(float(v[i]) for i in order) for v in (qps, prices, bits)))

    def price(self, qp: Tensor) -> Tensor:
        """Price of a bit per pixel, between the measured ones by its logarithm."""
        return _between(qp, self.qps, [math.log(price) for price in self.prices]).exp()

    def worth(self, qp: Tensor) -> Tensor:
        """Bits for one of the surrogate's nats."""
        return _between(qp, self.qps, self.bits)


def level_near(codec: Codec, qp: float) -> float:
    """The quality of a codec whose rate index is nearest."""
    return min(quality_levels(codec), key=lambda quality: abs(codec.qp(quality) - qp))


def _between(qp: Tensor, at: Sequence[float], values: Sequence[float]) -> Tensor:
    found = np.interp(qp.detach().cpu().double().numpy(), at, values)
    return torch.from_numpy(found).to(qp.device, torch.float32)
