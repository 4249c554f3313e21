"""How steady a video is: what changes where nothing moves, and along what moves.

Both are measured by the motion of a reference, the source where there is one, so that every
treatment of it is judged at the same places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gesso.errors import InputError

__all__ = ["Motion", "Tally", "flow_library", "warp"]

LUMA = (0.2126, 0.7152, 0.0722)
STILL = 1 / 255  # mean change of a 5 x 5 neighbourhood
MEND = "pip install 'gesso[evaluate]' (scikit-image) or pip install opencv-python-headless"


@dataclass(frozen=True)
class Motion:
    """What moves from one frame to the next.

    Attributes:
        still: (H, W) bool, where nothing does.
        flow: (2, H, W), down and right: where each pixel of the first is in the second.
        seen: (H, W) bool, the pixels that are in both, as far as flows there and back agree.
    """

    still: Tensor
    flow: Tensor
    seen: Tensor

    @classmethod
    def between(cls, before: Tensor, after: Tensor) -> Motion:
        """Of two (3, H, W) frames in [0, 1].

        Raises:
            InputError: no library for optical flow is installed.
        """
        one, other = _luma(before), _luma(after)
        change = (one - other).abs()[None, None]
        still = functional.avg_pool2d(change, 5, 1, 2, count_include_pad=False)[0, 0] < STILL
        there, back = _flow(one, other), _flow(other, one)
        returned, inside = warp(back, there)
        # Sundaram, Brox and Keutzer (ECCV 2010): what does not come back was hidden.
        apart = (there + returned).square().sum(0)
        longest = there.square().sum(0) + returned.square().sum(0)
        return cls(still, there, inside & (apart < 0.01 * longest + 0.5))


class Tally:
    """Sums up how one treatment of a video changes from frame to frame."""

    def __init__(self) -> None:
        self._sums = [0.0, 0.0]
        self._counts = [0, 0]

    def add(self, before: Tensor, after: Tensor, motion: Motion) -> None:
        """Two (3, H, W) frames in [0, 1] that follow one another, and the reference's motion."""
        warped, _ = warp(after, motion.flow)
        pairs = ((after, motion.still), (warped, motion.seen))
        for place, (frame, where) in enumerate(pairs):
            change = (frame - before).abs().mean(0)
            self._sums[place] += float(change[where].double().sum())
            self._counts[place] += int(where.sum())

    @property
    def flicker(self) -> float:
        """Mean absolute change of samples where nothing moves, 255 is white; nan where all
        moves."""
        return self._mean(0)

    @property
    def warped_error(self) -> float:
        """The same between a frame and the next one, brought back along the motion."""
        return self._mean(1)

    def _mean(self, place: int) -> float:
        count = self._counts[place]
        return 255 * self._sums[place] / count if count else math.nan


def warp(frame: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """(C, H, W) samples at each place moved by ``flow``, and whether that is in the frame."""
    height, width = frame.shape[-2:]
    y = torch.arange(height)[:, None] + flow[0]
    x = torch.arange(width) + flow[1]
    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    moved = functional.grid_sample(
        frame[None], grid[None], padding_mode="border", align_corners=True
    )
    return moved[0], inside


def flow_library() -> str:
    """What finds optical flow here: OpenCV's DIS, else scikit-image's iterative Lucas-Kanade.

    Raises:
        InputError: neither is installed.
    """
    for name in ("cv2", "skimage.registration"):
        try:
            import_module(name)
        except ImportError:
            continue
        return name.partition(".")[0]
    raise InputError(f"motion cannot be followed here: {MEND}")


def _flow(before: Tensor, after: Tensor) -> Tensor:
    one, other = before.numpy(), after.numpy()
    if flow_library() == "cv2":
        cv2: Any = import_module("cv2")
        finder = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        found = finder.calc(_bytes(one), _bytes(other), None)
        return torch.from_numpy(found.transpose(2, 0, 1)[::-1].copy())
    registration: Any = import_module("skimage.registration")
    return torch.from_numpy(registration.optical_flow_ilk(one, other, dtype=np.float32))


def _bytes(plane: NDArray[Any]) -> NDArray[Any]:
    return (plane * 255).round().astype(np.uint8)


def _luma(frame: Tensor) -> Tensor:
    return (frame * torch.tensor(LUMA)[:, None, None]).sum(0)
