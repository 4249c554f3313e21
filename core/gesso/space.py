"""Where a denoiser works: on pixels themselves, or on the latents of an autoencoder."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gesso.field import noise_at, noise_field

if TYPE_CHECKING:
    from gesso.denoiser import Denoiser
    from gesso.runtime import Runtime
    from gesso.tiling import Box

__all__ = ["PIXELS", "Space", "fitted", "space_of", "trained_tile"]


class Space:
    """The space of pixels on [-1, 1], where nothing has to be done; others derive from it.

    A whole trajectory stays in one space: a tile is encoded once before the noise is added,
    and decoded once after the last step.

    Attributes:
        factor: pixels along the side of one sample.
    """

    factor: int = 1

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) on [-1, 1] to what the denoiser sees, (B, C, H / factor, W / factor)."""
        return pixels

    def decode(self, x: Tensor) -> Tensor:
        """The way back to pixels."""
        return x

    def level(self, sigma: float) -> float:
        """The noise level here that stands for ``sigma`` on [-1, 1] pixels."""
        return sigma

    def bound(self, clean: Tensor) -> Tensor:
        """A denoiser's estimate, put where clean pictures can be."""
        # The source lies in [-1, 1]: its estimate can only come nearer by being put there.
        return clean.clamp(-1, 1)

    def noise(
        self, box: Box, seed: int, draw: int, device: torch.device, places: Tensor | None = None
    ) -> Tensor:
        """White noise for one tile, (1, C, h, w); it depends on absolute position alone.

        Args:
            box: of the tile, in pixels.
            seed, draw: see :func:`gesso.field.noise_field`.
            device: where to compute.
            places: see :class:`gesso.frame.Frame`, of one picture, (2, H, W).
        """
        return self._field(box, seed, draw, device, places)

    def _field(
        self, box: Box, seed: int, draw: int, device: torch.device, places: Tensor | None
    ) -> Tensor:
        """Three channels of the noise field for one tile."""
        corner_and_size = (box.top, box.left, box.height, box.width)
        top, left, height, width = (length // self.factor for length in corner_and_size)
        if places is None:
            return noise_field(top, left, height, width, seed=seed, draw=draw, device=device)
        rows = torch.arange(top, top + height, device=device)[:, None].repeat(1, width)
        columns = torch.arange(left, left + width, device=device).repeat(height, 1)
        inside = places[:, box.top : box.top + box.height, box.left : box.left + box.width]
        moved = inside[:, :: self.factor, :: self.factor].to(device)
        # Beyond the border, where the picture is mirrored, nothing moves.
        for own, there in zip((rows, columns), moved, strict=True):
            own[: there.shape[0], : there.shape[1]] = (there + self.factor // 2) // self.factor
        return noise_at(rows, columns, seed=seed, draw=draw)


PIXELS = Space()


def space_of(denoiser: Denoiser) -> Space:
    """The denoiser's ``space``; pixels where it states none."""
    space = getattr(denoiser, "space", PIXELS)
    assert isinstance(space, Space)
    return space


def trained_tile(model: object) -> int | None:
    """The side in pixels that a model asks to be run at; None where any will do."""
    tile = getattr(model, "tile", None)
    return None if tile is None else int(tile)


def fitted(runtime: Runtime, model: object, grid: int) -> Runtime:
    """The runtime with tiles no larger than those that the model was trained at.

    A latent model that any size will do gets tiles on its grid, which is coarse in pixels.

    Group norms and global attention take their statistics over the whole tile, so a foreign
    network is given what it knows. Neighbours share a quarter of such a tile, or the runtime's
    overlap where that is less. A smaller tile of the user's, for want of memory, stays.

    Args:
        runtime: as the user asked for it.
        model: see :func:`trained_tile`.
        grid: pixels that tiles and overlaps are to be multiples of.
    """
    tile, step = trained_tile(model), math.lcm(grid, 4)
    if tile is None and getattr(model, "space", PIXELS).factor > 1:
        if runtime.tile % grid == 0 and (runtime.tile - runtime.overlap) % grid == 0:
            return runtime
        tile = max(2 * step, runtime.tile // step * step)
        overlap = min(-(-runtime.overlap // step) * step, tile // 2 // step * step)
        return replace(runtime, tile=tile, overlap=overlap)
    if tile is None or runtime.tile < tile:
        return runtime
    overlap = min(runtime.overlap, tile // 4) // step * step
    if overlap == 0 and tile >= 2 * step:
        overlap = step
    return replace(runtime, tile=tile, overlap=overlap)
