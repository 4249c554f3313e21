"""Raw planar pictures of ffmpeg, and the change that a model makes to them.

A model sees RGB. What it changed there is brought back as a difference and added to the
samples that came in, so that what a model leaves alone stays bit for bit what it was, chroma
of 4:2:0 and colours outside RGB included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ffmpeg_gesso.layouts import HIGH, RGB, Layout
from gesso.errors import InputError

__all__ = ["Raw"]

# Kr and Kb of ITU-T H.273, Table 4, by code point.
MATRICES = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}
UNSPECIFIED, IDENTITY = 2, 0


@dataclass(frozen=True)
class Raw:
    """What all pictures of one stream share.

    Attributes:
        layout: of the samples.
        width, height: in pixels.
        matrix: code point of ITU-T H.273.
        full: whether samples use the full range.

    Raises:
        InputError: a matrix that is not a linear transform of RGB.
    """

    layout: Layout
    width: int
    height: int
    matrix: int = UNSPECIFIED
    full: bool = False

    @property
    def size(self) -> int:
        """Bytes of one picture."""
        return self.layout.size(self.width, self.height)

    def rgb(self, pictures: Sequence[Any]) -> Tensor:
        """(B, 3, H, W) float32 on [0, 1] of pictures in buffers."""
        return torch.cat([self._to_rgb(self._planes(each)) for each in pictures]).clamp_(0, 1)

    def changed(self, picture: Any, change: Tensor) -> NDArray[Any]:
        """A picture with a change of its RGB values added.

        Args:
            picture: a buffer; it stays as it is.
            change: (3, H, W), 1 is white.
        """
        planes = self._planes(picture)
        out = np.empty(self.size, np.uint8)
        written = self._planes(out)
        if self.layout.alpha:
            written[-1][...] = planes[-1]
        for plane, target, delta in zip(
            planes, written, self._deltas(change.float().cpu()), strict=False
        ):
            top = (1 << self.layout.depth) - 1
            values = torch.from_numpy(plane.astype(np.float32)) + delta
            target[...] = values.round_().clamp_(0, top).numpy()
        return out

    def _planes(self, picture: Any) -> list[NDArray[Any]]:
        kind = np.dtype("<u2") if self.layout.depth > 8 else np.dtype(np.uint8)
        samples: NDArray[Any] = np.frombuffer(picture, kind)
        if self.layout.family in ("rgb", "bgr"):
            bands = samples.reshape(self.height, self.width, -1)
            order = (1, 2, 0, 3) if self.layout.family == "rgb" else (1, 0, 2, 3)
            # as planes of GBR lie
            return [bands[..., band] for band in order[: bands.shape[-1]]]
        planes, at = [], 0
        for height, width in self.layout.planes(self.width, self.height):
            planes.append(samples[at : at + height * width].reshape(height, width))
            at += height * width
        return planes

    def _scales(self) -> tuple[float, float, float]:
        """Black, and the steps from black to white and across chroma."""
        unit = 1 << self.layout.depth - 8
        if self.full or self.layout.family in RGB:
            top = float((1 << self.layout.depth) - 1)
            return 0.0, top, top
        return 16.0 * unit, 219.0 * unit, 224.0 * unit

    def _weights(self) -> tuple[float, float]:
        if self.matrix in (UNSPECIFIED, IDENTITY) or self.layout.family == "gray":
            return MATRICES[1 if self.height >= HIGH else 5]
        if self.matrix not in MATRICES:
            raise InputError(
                f"colour matrix {self.matrix} of ITU-T H.273 cannot be treated; convert before "
                "gesso, as by zscale=matrix=709"
            )
        return MATRICES[self.matrix]

    def _to_rgb(self, planes: list[NDArray[Any]]) -> Tensor:
        black, luma, chroma = self._scales()
        parts = [torch.from_numpy(plane.astype(np.float32))[None, None] for plane in planes]
        y = (parts[0] - black) / luma
        if self.layout.family == "gray":
            return y.expand(-1, 3, -1, -1)
        if self.layout.family in RGB:
            return torch.cat([parts[2], parts[0], parts[1]], 1) / luma
        middle = float(1 << self.layout.depth - 1)
        cb, cr = (self._up((part - middle) / chroma) for part in parts[1:3])
        kr, kb = self._weights()
        red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
        return torch.cat([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue], 1)

    def _deltas(self, change: Tensor) -> list[Tensor]:
        """The change of each plane in its own steps."""
        _, luma, chroma = self._scales()
        red, green, blue = change
        if self.layout.family in RGB:
            return [each * luma for each in (green, blue, red)]
        kr, kb = self._weights()
        y = kr * red + (1 - kr - kb) * green + kb * blue
        if self.layout.family == "gray":
            return [y * luma]
        cb, cr = (blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))
        return [y * luma, self._down(cb) * chroma, self._down(cr) * chroma]

    def _up(self, plane: Tensor) -> Tensor:
        """Chroma at luma's places: in a row it sits on every other sample, as MPEG-2 has it."""
        if self.layout.across:
            after = torch.cat([plane[..., 1:], plane[..., -1:]], -1)
            plane = torch.stack([plane, (plane + after) / 2], -1).flatten(-2)[..., : self.width]
        if self.layout.down:
            size = (2 * plane.shape[-2], plane.shape[-1])
            plane = functional.interpolate(plane, size, mode="bilinear", align_corners=False)
        return plane[..., : self.height, :]

    def _down(self, plane: Tensor) -> Tensor:
        plane = plane[None, None]
        if self.layout.across:
            left = functional.pad(plane, (1, 2, 0, 0), mode="replicate")
            plane = (left[..., :-2] + 2 * left[..., 1:-1] + left[..., 2:])[..., ::2] / 4
            plane = plane[..., : -(-self.width >> 1)]
        if self.layout.down:
            odd = functional.pad(plane, (0, 0, 0, self.height % 2), mode="replicate")
            plane = (odd[..., ::2, :] + odd[..., 1::2, :]) / 2
        return plane[0, 0]
