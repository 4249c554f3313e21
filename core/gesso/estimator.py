"""The posterior mean of a decoded picture: what to expect of the source, given codec and rate.

A decode is not the picture of least mean square error that its file allows. System E's
rule (noise until the error has doubled) starts from that picture where the codec does not
give it; estimating it first and adding noise then is the order of PMRF (Ohayon et al.,
"Posterior-Mean Rectified Flow", ICLR 2025).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from gesso.denoiser import edm_scalings, load_network
from gesso.frame import Frame
from gesso.runtime import Runtime
from gesso.tiling import Box, run_tiled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gesso.cards import ModelCard
    from gesso.target import Target
    from gesso.unet import WindowUNet

__all__ = ["Estimator", "estimate", "labels_of", "load_estimator", "nominal_error"]

# A decode of a busy picture at this rate index is about this far from its source, root mean
# square on [-1, 1], and its logarithm grows by SLOPE per index (JPEG, training crops).
REFERENCE_QP, REFERENCE_ERROR, SLOPE = 44.4, 0.12, 0.079


def nominal_error(qp: float) -> float:
    """What stands in for sigma when a decode of this rate index goes through the network."""
    return REFERENCE_ERROR * math.exp(SLOPE * (qp - REFERENCE_QP))


def labels_of(codecs: Sequence[str]) -> dict[str, int]:
    """Class of each codec of a model; 0 is any other codec."""
    return {name: index for index, name in enumerate(dict.fromkeys(codecs), start=1)}


class Estimator:
    """E[source | decode, codec, rate index], by a U-Net trained on decoded pictures.

    Args:
        network: as of a prior, with a class per codec.
        codecs: those it was trained on, in the order of their classes.
        dtype: what the network computes in.
    """

    def __init__(
        self, network: WindowUNet, codecs: Sequence[str], dtype: torch.dtype = torch.float32
    ) -> None:
        self.network, self.dtype = network, dtype
        self.labels = labels_of(codecs)
        self.grid = network.grid

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.network.parameters()).device

    def __call__(self, decoded: Tensor, level: Tensor, label: Tensor) -> Tensor:
        """Estimates of the sources.

        Args:
            decoded: (B, 3, H, W) on [-1, 1]; H, W and offset multiples of ``grid``.
            level: (B,) of :func:`nominal_error`.
            label: (B,) of :func:`labels_of`, long.
        """
        c_skip, c_out, c_in = (
            c[:, None, None, None] for c in edm_scalings(level.float(), self.network.sigma_data)
        )
        raw = self.network((c_in * decoded).to(self.dtype), level.float().log() / 4, label)
        return c_skip * decoded + c_out * cast(Tensor, raw).float()

    def of(self, decoded: Tensor, target: Target) -> Tensor:
        """:meth:`__call__` for pictures that were all coded with ``target``."""
        level = decoded.new_full((len(decoded),), nominal_error(target.qp))
        label = torch.full((len(decoded),), self.labels.get(target.codec, 0), device=decoded.device)
        return self(decoded, level, label)


def estimate(frame: Frame, target: Target, estimator: Estimator, runtime: Runtime) -> Frame:
    """The posterior means of decoded pictures, tile by tile.

    Args:
        frame: B decoded pictures.
        target: what they were all coded with.
        estimator: of ``gesso.load(role="estimator")``.
        runtime: tiles and progress are its.
    """

    def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
        decoded = (pixels * 2 - 1).to(estimator.device)
        return (estimator.of(decoded, target).clamp(-1, 1) + 1) / 2

    with torch.inference_mode():
        return run_tiled(frame, process, estimator.grid, runtime)


def load_estimator(card: ModelCard, runtime: Runtime) -> Estimator:
    """The factory of our own estimators; ``settings["codecs"]`` gives its classes."""
    return Estimator(load_network(card, runtime), card.settings["codecs"], runtime.dtype)
