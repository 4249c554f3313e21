"""Preprocessing at efforts ``medium`` and ``max``: one picture's descent through the codec.

No training, and so the bound of what a network trained to the same end can reach. As in
Ye et al. (2025), who report -38.65 % BD-rate in LPIPS on Kodak with a learned codec.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gesso.blocks import repeat
from gesso.codec import DifferentiableCodec, JpegCodec, differentiable_codecs, get_codec
from gesso.distance import perceptual_distance
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.options import Effort
from gesso.runtime import Progress, Runtime
from gesso.surrogates.rate import Coded
from gesso.surrogates.rounding import Rounding, straight_through
from gesso.target import Target
from gesso.tiling import Box, run_tiled, tile_starts
from gesso.trial import Trial

__all__ = ["Descent", "can_descend", "descent_for", "optimise"]

Surrogate = Callable[[Tensor], Coded]

# The networks that look at a tile hold some hundred bytes for each of its pixels.
TILE = 512
OVERLAP = 64
GRID = 64
# Root mean square of the first step, in samples; each that leads down is followed by a longer
# one, and each that does not by a shorter one from where it began.
STEP = 0.7 / 255
LONGER, SHORTER = 1.4, 0.5
# Shorter ones drown in the rounding to 8 bits: again from here.
SHORTEST, AGAIN = 0.12 / 255, 0.5 / 255
# After so many that led nowhere, a random half of the blocks of this side moves by itself.
PATIENCE, BLOCK = 2, 32
# A few samples have slopes far beyond the others'.
STEEPEST = 3.0
# Weight of SSIMULACRA 2 beside DISTS: at 1 the others gain half as much, at 0.3 it falls.
FIDELITY = 0.5


@dataclass(frozen=True, slots=True)
class Descent:
    """How far one picture is taken, and by what.

    Attributes:
        steps: for each tile.
        lpips: weight of LPIPS beside DISTS.
        momentum: what is kept of the slopes before; 0 follows the last one alone.
    """

    steps: int
    lpips: float
    momentum: float


# LPIPS at weight 1 gains half of what DISTS does in few steps, or through HEVC's surrogate; from
# 3 on DISTS gains less.
DESCENTS = {
    "medium": Descent(12, lpips=2.5, momentum=0.0),
    "max": Descent(50, lpips=2.5, momentum=0.0),
}
# Slopes through JPEG are the codec's own: they add up where there is time, and LPIPS needs less.
LONG_JPEG = Descent(50, lpips=1.0, momentum=0.6)


def descent_for(effort: Effort, codec: str) -> Descent | None:
    """What an effort does before a codec; None for ``fast``, which takes no steps."""
    return LONG_JPEG if (effort, codec) == ("max", "jpeg") else DESCENTS.get(effort)


def can_descend(codec: str) -> bool:
    """Whether :func:`optimise` has what it needs for a codec."""
    from gesso.evaluation.perceptual import missing_dists, missing_lpips_alex

    return codec in differentiable_codecs() and not (missing_lpips_alex() or missing_dists())


def optimise(
    frame: Frame,
    target: Target,
    descent: Descent,
    seconds: float | None,
    runtime: Runtime,
    start: Frame,
) -> Frame:
    """Find the picture that the codec makes most of.

    Minimised are LPIPS (AlexNet), DISTS and SSIMULACRA 2 (as (100 - s)/200) of the decode, and
    the rate at the price that it has on the picture's own plain curve about this quality. Every
    step is coded for real, and taken where that costs less; the gradient goes through the
    codec's surrogate. One metric alone is gamed: with LPIPS alone DISTS gets worse, and with
    both SSIMULACRA 2 does, by 20 points.

    Args:
        frame: the source, which the decode is to look like.
        target: a codec that has ``surrogate(quality)``.
        descent: its steps and weights, as :func:`descent_for` has them.
        seconds: when it must end; None gives it all the time that it takes.
        runtime: ``progress`` is called with (done, total) steps over all tiles.
        start: where the descent begins, of the same shape.

    Raises:
        InputError: no such codec.
        ModelError: the weights of LPIPS or DISTS are not here.
    """
    codec = get_codec(target.codec)
    if not isinstance(codec, DifferentiableCodec):
        able = ", ".join(sorted(differentiable_codecs()))
        raise InputError(
            f"efforts medium and max go through the codec, and {codec.name} has no gradient; "
            f"use effort fast, or one of: {able}"
        )
    distance = perceptual_distance(runtime.dtype, FIDELITY, descent.lpips)
    # JPEG's surrogate is the codec itself, so that the slope of its rounding leads on. HEVC's
    # stands for others, which round elsewhere.
    rounding: Rounding = "cubic" if isinstance(codec, JpegCodec) else "straight-through"
    tiles = frame.batch * math.prod(
        len(tile_starts(length, TILE, OVERLAP)) for length in (frame.height, frame.width)
    )
    tick, clock = _Ticker(tiles * descent.steps, runtime.progress), _Clock(seconds, tiles)
    small = replace(runtime, tile=TILE, overlap=OVERLAP, batch=1, progress=None)

    def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
        deadline = clock.next_tile()
        box, whole = boxes[0], slice(index, index + 1)
        begin = start.window(box.top, box.left, box.height, box.width, whole)
        # Hosts that decode call from inference mode, where nothing has a gradient.
        with torch.inference_mode(False), torch.enable_grad():
            surrogate: Surrogate = codec.surrogate(target.quality, rounding=rounding)
            source, begin = (x.clone().to(runtime.device) for x in (pixels, begin))
            trial = Trial(source, codec, distance)
            # One plane moves a grey picture, which has no other to go to.
            offset = torch.zeros_like(source[:, : frame.samples.shape[1]])
            price, quality = trial.price(target.quality), target.quality

            def cost(offset: Tensor) -> Tensor:
                return _cost((begin + offset).clamp(0, 1), trial, surrogate, quality, price)

            found = _descend(cost, offset, descent, deadline, tick)
            return (begin + found).clamp(0, 1)

    return run_tiled(frame, process, GRID, small)


def _cost(
    picture: Tensor, trial: Trial, surrogate: Surrogate, quality: float, price: float
) -> Tensor:
    """Distance and bits at their price: the codec's own, with the slope of its surrogate."""
    bpp, decoded = trial.through(picture, quality)
    coded = surrogate(picture)
    seen = straight_through(coded.decoded, decoded)
    nats = coded.nats.sum() / (picture.shape[2] * picture.shape[3])
    rate = nats * (bpp / nats.detach()) if float(nats.detach()) > 0 else nats
    return trial.distance(seen).sum() + price * rate


def _descend(
    cost: Callable[[Tensor], Tensor],
    start: Tensor,
    descent: Descent,
    deadline: float,
    tick: Callable[[], None],
) -> Tensor:
    """Down the slope from ``start``, by steps that are kept only where they cost less.

    A codec's cost is rough: a step along its gradient often leads up, and what would smooth
    that over many steps, as Adam does, is of no use in the few that there is time for. Momentum
    adds up the slopes at pictures that were kept.
    """
    best = start.requires_grad_()
    least, way = cost(best), torch.zeros_like(start)
    length, failed, moved = STEP, 0, True
    chance = torch.Generator().manual_seed(0)
    for _ in range(descent.steps):
        if time.monotonic() > deadline:
            break
        if moved:
            (slope,) = torch.autograd.grad(least, best)
            least, way = least.detach(), slope + descent.momentum * way
        direction = _direction(way)
        if failed >= PATIENCE:
            direction = direction * _some(direction, chance)
        tried = (best - length * direction).detach().requires_grad_()
        value = cost(tried)
        moved = float(value.detach()) < float(least)
        if moved:
            best, least = tried, value
            length, failed = length * LONGER, 0
        else:
            length, failed = length * SHORTER, failed + 1
        if length < SHORTEST:
            length = AGAIN
        tick()
    return best.detach()


def _direction(slope: Tensor) -> Tensor:
    unit = slope / slope.square().mean().sqrt().clamp_min(1e-20)
    return unit.clamp(-STEEPEST, STEEPEST)


def _some(like: Tensor, chance: torch.Generator) -> Tensor:
    """1 in half of the blocks, drawn anew, and 0 in the others, (1, 1, H, W)."""
    height, width = like.shape[2:]
    drawn = torch.rand(1, 1, -(-height // BLOCK), -(-width // BLOCK), generator=chance) < 0.5
    return repeat(drawn[:, 0].to(like), BLOCK, BLOCK, height, width)[:, None]


class _Ticker:
    """Counts the steps of all tiles."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.total, self.done, self.progress = total, 0, progress

    def __call__(self) -> None:
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)


class _Clock:
    """Shares the time that is left among the tiles that are, or one would take it all."""

    def __init__(self, seconds: float | None, tiles: int) -> None:
        self.end = math.inf if seconds is None else time.monotonic() + seconds
        self.left = tiles

    def next_tile(self) -> float:
        """When the next one must end."""
        now = time.monotonic()
        share = (self.end - now) / self.left
        self.left -= 1
        return now + share
