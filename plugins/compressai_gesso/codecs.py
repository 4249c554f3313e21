"""Learned codecs for gesso: the small hyperprior that ships, and CompressAI's zoo."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from compressai_gesso.recipe import LAMBDAS
from gesso.cards import ModelCard
from gesso.codec import check_quality
from gesso.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image
    from torch import Tensor

    from compressai_gesso.coding import Coder

__all__ = ["HYPERPRIOR", "ZOO", "Hyperprior", "LearnedCodec", "ZooCodec", "shipped_cards"]

WEIGHTS = Path(__file__).parent / "weights"
# The QP of the HEVC still with the same error over the validation pictures, by gesso calibrate.
HYPERPRIOR_QP = ((1, 45.6), (2, 40.1), (3, 36.0), (4, 32.9))


@dataclass(frozen=True)
class LearnedCodec(ABC):
    """A network and CompressAI's entropy coder, in the container of this package.

    Encoding and decoding are fp32 on the CPU, whatever else the machine has. A quality is
    rounded to the whole numbers there are networks for.

    Attributes:
        name: the architecture, a key of :data:`compressai_gesso.container.ARCHITECTURES`.
        qualities: (worst, best).
        anchors: (quality, QP index) pairs, one for every quality.
        folder: where weights are looked for first; None is the usual places.
    """

    name: str
    qualities: tuple[float, float]
    anchors: tuple[tuple[int, float], ...]
    folder: str | None = None
    extension: str = ".glc"

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """See :class:`gesso.codec.Codec`.

        Raises:
            InputError: no such quality, too many pixels, or CompressAI is not installed.
            ModelError: the weights are not there, or damaged.
        """
        from compressai_gesso.container import pack

        level = self._level(quality)
        return pack(self.coder(level).encode(image, self.name, level))

    def decode(self, data: bytes) -> Image.Image:
        """See :class:`gesso.codec.Codec`; raises as :meth:`encode`, and for foreign bytes."""
        from compressai_gesso.container import unpack

        content = unpack(data)
        if content.architecture != self.name:
            raise InputError(
                f"this is a file of the codec {content.architecture!r}, not of {self.name!r}; "
                "decode it with that one"
            )
        return self.coder(self._level(content.quality)).decode(content)

    def differentiable(self, quality: float) -> Callable[[Tensor], Tensor]:
        """Encoding and decoding as a function of RGB (B, 3, H, W) on [0, 1], with gradients.

        Raises as :meth:`encode`; see :meth:`compressai_gesso.coding.Coder.differentiable`.
        """
        return self.coder(self._level(quality)).differentiable()

    def qp(self, quality: float) -> float:
        """See :class:`gesso.codec.Codec`."""
        return dict(self.anchors)[self._level(quality)]

    @abstractmethod
    def coder(self, quality: int) -> Coder:
        """The network of a quality, kept for the next call."""

    def _level(self, quality: float) -> int:
        check_quality(self, quality)
        return round(quality)


@dataclass(frozen=True)
class Hyperprior(LearnedCodec):
    """The scale hyperprior that ``gesso train hyperprior`` trains; its weights ship.

    ``folder`` may hold others: ``hyperprior-1`` to ``hyperprior-4``, each what
    ``gesso train hyperprior`` wrote as OUT/model.
    """

    name: str = "hyperprior"
    qualities: tuple[float, float] = (1.0, 4.0)
    anchors: tuple[tuple[int, float], ...] = HYPERPRIOR_QP

    def coder(self, quality: int) -> Coder:
        """See :class:`LearnedCodec`."""
        return _hyperprior(str(Path(self.folder or WEIGHTS) / f"hyperprior-{quality}"))


@dataclass(frozen=True)
class ZooCodec(LearnedCodec):
    """An architecture of CompressAI's zoo, by its name there, optimised for MSE.

    The weights are CompressAI's own files and must be on this machine; see
    :func:`compressai_gesso.checkpoints.find_checkpoint`.
    """

    def coder(self, quality: int) -> Coder:
        """See :class:`LearnedCodec`."""
        from compressai_gesso.checkpoints import find_checkpoint

        return _zoo(str(find_checkpoint(self.name, quality, self.folder)), self.name)


@lru_cache(maxsize=len(LAMBDAS))
def _hyperprior(folder: str) -> Coder:
    from compressai_gesso.coding import Coder, steady
    from compressai_gesso.networks import load_hyperprior

    card = ModelCard.read(folder)
    return Coder(steady(load_hyperprior(card)), bytes.fromhex(card.sha256)[:2])


@lru_cache(maxsize=2)
def _zoo(path: str, architecture: str) -> Coder:
    from compressai_gesso.checkpoints import load_checkpoint
    from compressai_gesso.coding import Coder, steady

    network, digest = load_checkpoint(Path(path), architecture)
    return Coder(steady(network), bytes.fromhex(digest)[:2])


def shipped_cards() -> list[ModelCard]:
    """The cards of the hyperprior's four qualities."""
    return [ModelCard.read(WEIGHTS / f"hyperprior-{quality}") for quality in LAMBDAS]


HYPERPRIOR = Hyperprior()

# The weight of the distortion at the zoo's qualities, as CompressAI documents it.
ZOO_LAMBDAS = (0.0018, 0.0035, 0.0067, 0.013, 0.025, 0.0483, 0.0932, 0.18)


# QP of a model with lambda 1. HEVC's lambda, in whose place CompressAI's inverse stands,
# doubles every 3 QP; the constant fits the first three of HYPERPRIOR_QP and their lambdas within
# 0.8 QP. The fourth lies 3 QP higher: so small a network falls short of such a lambda.
UNIT_QP = 16.8


def zoo_qp(quality: int) -> float:
    """The rate index of a quality of CompressAI's zoo, by its lambda."""
    return round(UNIT_QP - 3 * math.log2(ZOO_LAMBDAS[quality - 1]), 1)


def nearest_level(weight: float) -> int:
    """The zoo's quality whose lambda is nearest to ``weight``, by their ratio."""
    return 1 + min(
        range(len(ZOO_LAMBDAS)),
        key=lambda i: max(ZOO_LAMBDAS[i], weight) / min(ZOO_LAMBDAS[i], weight),
    )


def _zoo_codec(architecture: str, qualities: int) -> ZooCodec:
    """One with its QPs by its lambdas, as its weights are not here to be measured."""
    anchors = tuple((quality, zoo_qp(quality)) for quality in range(1, qualities + 1))
    return ZooCodec(architecture, (1.0, float(qualities)), anchors)


ZOO: tuple[ZooCodec, ...] = (
    _zoo_codec("bmshj2018-factorized", 8),
    _zoo_codec("bmshj2018-hyperprior", 8),
    _zoo_codec("mbt2018-mean", 8),
    _zoo_codec("mbt2018", 8),
    _zoo_codec("cheng2020-anchor", 6),
    _zoo_codec("cheng2020-attn", 6),
)
