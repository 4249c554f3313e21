"""Noise that goes along with what moves.

A field that stays where it is looks like a dirty pane before a picture that pans. Here each
pixel's noise goes where the pixel goes, whole, so that the field stays white: samples of noise
change places, and are neither blended nor used twice (cf. Chang et al., "How I warped your
noise", ICLR 2024, who keep it white by subdividing pixels).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ffmpeg_gesso.motion import STILL, around, flow, luma, warp

__all__ = ["Follower"]

SIDE = 9  # of the neighbourhood that tells whether a motion is one
GAIN = 0.5  # what it must leave of the change, at most; 0.7 and 0.35 gave much the same
FRESH = 1 << 20  # from the places of one frame to the next frame's; no picture is as high or wide
ROWS = 1 << 12  # of such places, before they go on beside them: a field has 32 bits each way


class Follower:
    """Follows one video, frame by frame."""

    def __init__(self) -> None:
        self._number = 0
        self._before: Tensor | None = None
        self._places = self._apart = torch.empty(0)

    def follow(self, frame: Tensor) -> Tensor:
        """The places in the noise field of the next frame's pixels.

        A pixel that goes takes its place along, one that stands keeps it, and one that was not
        to be seen before gets a new one: no two have the same.

        Args:
            frame: (3, H, W) RGB on [0, 1], as large as those before.

        Returns:
            (2, H, W) int64, rows and columns; those of the first frame are its own.

        Raises:
            InputError: OpenCV is not installed.
        """
        now = luma(frame)
        own = _own(now)
        if self._before is None:
            self._places, self._apart = own, torch.zeros_like(own, dtype=torch.float32)
        else:
            self._step(self._before, now, own)
        self._before = now
        self._number += 1
        return self._places

    def _step(self, before: Tensor, now: Tensor, own: Tensor) -> None:
        height, width = now.shape
        back = flow(now, before).to(now.device)
        moves = self._moves(before, now, back)
        there = own + back
        # What is nearest to there, as far as each sample is off what it belongs to.
        nearest = _clamped(there.round().long(), height, width)
        source = (there - _taken(self._apart, nearest)).round().long()
        inside = (source == _clamped(source, height, width)).all(0)
        moves &= inside
        source = torch.where(moves, source, own)
        # One pixel for each sample of noise: one that moves before one that stands.
        index = torch.arange(height * width, device=now.device).view(height, width)
        claim = index + moves * index.numel()
        wanted = source[0] * width + source[1]
        heir = torch.full_like(claim.view(-1), -1)
        heir.scatter_reduce_(0, wanted.view(-1), claim.view(-1), "amax")
        kept = heir[wanted] == claim
        across, down = divmod(self._number, ROWS)
        fresh = own + FRESH * torch.tensor([down, across], device=now.device)[:, None, None]
        apart = _taken(self._apart, source) + moves * (source - there)
        self._places = torch.where(kept, _taken(self._places, source), fresh)
        self._apart = torch.where(kept, apart, 0.0)

    def _moves(self, before: Tensor, now: Tensor, back: Tensor) -> Tensor:
        """Where going back is nearer to the frame before than standing, (H, W) bool."""
        gone, inside = warp(before[None], back)
        change, left = (around((each - now).abs(), SIDE) for each in (before, gone[0]))
        return inside & (change > STILL) & (left < GAIN * change)


def _own(plane: Tensor) -> Tensor:
    height, width = plane.shape
    rows = torch.arange(height, device=plane.device)[:, None].expand(height, width)
    columns = torch.arange(width, device=plane.device).expand(height, width)
    return torch.stack([rows, columns])


def _clamped(places: Tensor, height: int, width: int) -> Tensor:
    return torch.stack([places[0].clamp(0, height - 1), places[1].clamp(0, width - 1)])


def _taken(values: Tensor, places: Tensor) -> Tensor:
    """(2, H, W) values at places of the picture."""
    return values[:, places[0], places[1]]
