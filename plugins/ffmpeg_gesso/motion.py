"""Where things go from one frame of a video to the next."""

from __future__ import annotations

from importlib import import_module
from threading import Lock
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from gesso.errors import InputError

__all__ = ["STILL", "around", "check_library", "flow", "luma", "warp"]

LUMA = (0.2126, 0.7152, 0.0722)
STILL = 1 / 255  # mean change of a neighbourhood in which nothing moves
SMALLEST = 32  # side of a picture; OpenCV 4.11 breaks down below 12

_THREADS = Lock()  # their number is OpenCV's as a whole


def luma(frame: Tensor) -> Tensor:
    """(H, W) of an RGB frame (3, H, W)."""
    return (frame * torch.tensor(LUMA, device=frame.device)[:, None, None]).sum(0)


def flow(before: Tensor, after: Tensor, thorough: bool = False) -> Tensor:
    """(2, H, W) float32, down and right: where each pixel of ``before`` is in ``after``.

    Dense inverse search (Kroeger et al., "Fast optical flow using dense inverse search", ECCV
    2016), as OpenCV has it.

    Args:
        before, after: (H, W) luma on [0, 1].
        thorough: five times the time for finer motion.

    Raises:
        InputError: OpenCV is not installed.
    """
    cv2 = check_library()
    presets = (cv2.DISOPTICAL_FLOW_PRESET_FAST, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    planes = [_bytes(each) for each in (before, after)]
    with _THREADS:
        threads = cv2.getNumThreads()
        # What it finds depends on how many threads share the rows.
        cv2.setNumThreads(1)
        try:
            found = cv2.DISOpticalFlow_create(presets[thorough]).calc(*planes, None)
        finally:
            cv2.setNumThreads(threads)
    height, width = before.shape
    return torch.from_numpy(found.transpose(2, 0, 1)[::-1, :height, :width].copy())


def _bytes(plane: Tensor) -> NDArray[Any]:
    below, right = (max(0, SMALLEST - side) for side in plane.shape)
    whole = functional.pad(plane[None, None], (0, right, 0, below), mode="replicate")[0, 0]
    return (whole * 255).round().to("cpu", torch.uint8).numpy()


def check_library() -> Any:
    """OpenCV; InputError where it is not installed."""
    try:
        return import_module("cv2")
    except ImportError as error:
        raise InputError(
            "motion cannot be followed without OpenCV; pip install 'gesso[ffmpeg]', "
            "or opencv-python-headless"
        ) from error


def warp(frame: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """(C, H, W) samples at each place moved by ``flow``, and whether that is in the frame."""
    height, width = frame.shape[-2:]
    y = torch.arange(height, device=flow.device)[:, None] + flow[0]
    x = torch.arange(width, device=flow.device) + flow[1]
    inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    moved = functional.grid_sample(
        frame[None], grid[None], padding_mode="border", align_corners=True
    )
    return moved[0], inside


def around(plane: Tensor, side: int) -> Tensor:
    """The mean over a square around each sample of (H, W), ``side`` odd."""
    return functional.avg_pool2d(plane[None, None], side, 1, side // 2, count_include_pad=False)[
        0, 0
    ]
