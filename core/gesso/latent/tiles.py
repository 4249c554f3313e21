"""Whole pictures through an autoencoder, in tiles where they are large."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gesso.autoencoder import Autoencoder
from gesso.frame import mirror

__all__ = ["decode_picture", "encode_picture", "tiles"]

# Latents that a tile sees beyond what is kept of it: nearly all that reaches a convolution of
# AutoencoderTiny.
MARGIN = 16


def encode_picture(
    autoencoder: Autoencoder, rgb: NDArray[np.uint8], tile: int
) -> NDArray[np.float32]:
    """The raw latents of a picture, (ceil(H / factor), ceil(W / factor), C).

    Args:
        autoencoder: run once for each tile.
        rgb: (H, W, 3); mirrored at the lower and right border to whole latents.
        tile: side of a tile in pixels; a picture that is no larger is taken whole.
    """
    factor = autoencoder.factor
    pixels = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None]
    for axis in (2, 3):
        size = pixels.shape[axis]
        whole = -(-size // factor) * factor
        if whole > size:
            pixels = pixels.index_select(axis, mirror(0, whole, size, pixels.device))
    height, width = pixels.shape[2] // factor, pixels.shape[3] // factor
    found = np.empty((height, width, autoencoder.channels), np.float32)
    with torch.inference_mode():
        for kept, seen in tiles(height, width, max(1, tile // factor)):
            rows, columns = (slice(s.start * factor, s.stop * factor) for s in seen)
            part = pixels[:, :, rows, columns].float() / 127.5 - 1
            found[kept] = _inner(autoencoder.encode(_dense(part)), kept, seen, 1)
    return found


def decode_picture(
    autoencoder: Autoencoder, latents: NDArray[np.float32], tile: int
) -> NDArray[np.uint8]:
    """The way back: raw latents (h, w, C) to RGB (h * factor, w * factor, 3)."""
    factor, (height, width, _) = autoencoder.factor, latents.shape
    whole = torch.from_numpy(np.array(latents)).permute(2, 0, 1)[None]
    found = np.empty((height * factor, width * factor, 3), np.uint8)
    with torch.inference_mode():
        for kept, seen in tiles(height, width, max(1, tile // factor)):
            pixels = autoencoder.decode(_dense(whole[:, :, seen[0], seen[1]]))
            levels = (pixels + 1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
            rows, columns = (slice(s.start * factor, s.stop * factor) for s in kept)
            found[rows, columns] = _inner(levels, kept, seen, factor)
    return found


def tiles(height: int, width: int, side: int) -> Iterator[tuple[Any, Any]]:
    """(what is kept, what is seen) of each tile, as slices of rows and columns of latents."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            kept = slice(top, min(top + side, height)), slice(left, min(left + side, width))
            seen = tuple(
                slice(max(0, s.start - MARGIN), min(length, s.stop + MARGIN))
                for s, length in zip(kept, (height, width), strict=True)
            )
            yield kept, seen


def _inner(result: Tensor, kept: Any, seen: Any, factor: int) -> NDArray[Any]:
    """What is kept of a tile's result, channels last."""
    rows, columns = (
        slice((k.start - s.start) * factor, (k.stop - s.start) * factor)
        for k, s in zip(kept, seen, strict=True)
    )
    array = result[0, :, rows, columns].permute(1, 2, 0).cpu().numpy()
    return cast("NDArray[Any]", array)


def _dense(part: Tensor) -> Tensor:
    return part.contiguous(memory_format=torch.channels_last)
