"""Filters whose strength follows the rate: the coarser the codec, the stronger the filter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.pipeline import Peer

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Tuned", "TunedAfter", "TunedBefore", "at_strength"]


@dataclass(frozen=True)
class Tuned:
    """A filter and how strong it is at every rate.

    Attributes:
        apply: (RGB picture, strength) -> RGB picture of the same size.
        strengths: (rate index on HEVC's QP scale, strength) pairs, by rising index; linear
            between them, constant beyond them.
    """

    apply: Callable[[Image.Image, float], Image.Image]
    strengths: tuple[tuple[float, float], ...]

    def strength(self, codec: Codec, quality: float) -> float:
        """What ``apply`` is given for a quality of a codec."""
        import numpy as np

        indices, values = zip(*self.strengths, strict=True)
        return float(np.interp(codec.qp(quality), indices, values))


class TunedBefore(Tuned):
    """The filter before a codec, as :data:`gesso.evaluation.pipeline.Before`."""

    def __call__(self, source: Image.Image, codec: Codec, quality: float) -> Image.Image:
        return self.apply(source, self.strength(codec, quality))


class TunedAfter(Tuned):
    """The filter after a codec, as :data:`gesso.evaluation.pipeline.After`."""

    def __call__(
        self, data: bytes, decoded: Image.Image, codec: Codec, quality: float
    ) -> Image.Image:
        return self.apply(decoded, self.strength(codec, quality))


def at_strength(peer: Peer, strength: float) -> Peer:
    """The peer with one strength at every rate, named after it; so strengths are tuned.

    Raises:
        InputError: the peer has no strength.
    """
    constant, name = ((0.0, strength),), f"{peer.name} {strength:g}"
    if isinstance(peer.before, TunedBefore):
        return replace(peer, name=name, before=replace(peer.before, strengths=constant))
    if isinstance(peer.after, TunedAfter):
        return replace(peer, name=name, after=replace(peer.after, strengths=constant))
    raise InputError(f"{peer.name} has no strength; leave it out with --only")
