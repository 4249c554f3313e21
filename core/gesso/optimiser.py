"""Preprocessing at efforts ``medium`` and ``max``: one picture's descent through the codec.

No training, and so the bound of what a network trained to the same end can reach. As in
Ye et al. (2025), who report -38.65 % BD-rate in LPIPS on Kodak with a learned codec.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from gesso.codec import DifferentiableCodec, differentiable_codecs, get_codec
from gesso.distance import perceptual_distance
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.runtime import Progress, Runtime
from gesso.surrogates.rate import Coded
from gesso.surrogates.rounding import straight_through
from gesso.target import Target
from gesso.tiling import Box, run_tiled, tile_starts
from gesso.trial import Trial

__all__ = ["optimise"]

Surrogate = Callable[[Tensor], Coded]

# The networks that look at a tile hold some hundred bytes for each of its pixels.
TILE = 512
OVERLAP = 64
GRID = 64
# Of Adam on pixels, falling to a tenth along half a cosine.
RATE = 2 / 255


def optimise(
    frame: Frame,
    target: Target,
    steps: int,
    seconds: float | None,
    runtime: Runtime,
    start: Frame,
) -> Frame:
    """Find the picture that the codec makes most of.

    Minimised are LPIPS (AlexNet), DISTS and SSIMULACRA 2 (as (100 - s)/100) of the decode, and
    the rate at the price that it has on the picture's own plain curve about this quality. Every
    step is coded for real; the gradient goes through the codec's surrogate. One metric alone is
    gamed: with LPIPS alone DISTS gets worse, and with both SSIMULACRA 2 does, by 20 points.

    Args:
        frame: the source, which the decode is to look like.
        target: a codec that has ``surrogate(quality)``.
        steps: of the descent, for each tile.
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
    distance = perceptual_distance(runtime.dtype)
    tick = _Ticker(frame, steps, runtime.progress)
    deadline = math.inf if seconds is None else time.monotonic() + seconds
    small = replace(runtime, tile=TILE, overlap=OVERLAP, batch=1, progress=None)

    def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
        box, whole = boxes[0], slice(index, index + 1)
        begin = start.window(box.top, box.left, box.height, box.width, whole)
        # Hosts that decode call from inference mode, where nothing has a gradient.
        with torch.inference_mode(False), torch.enable_grad():
            surrogate: Surrogate = codec.surrogate(target.quality)
            source, begin = (x.clone().to(runtime.device) for x in (pixels, begin))
            trial = Trial(source, codec, distance)
            # One plane moves a grey picture, which has no other to go to.
            offset = torch.zeros_like(source[:, : frame.samples.shape[1]], requires_grad=True)
            wish = steps, deadline
            return _descend(begin, offset, trial, surrogate, target.quality, *wish, tick)

    return run_tiled(frame, process, GRID, small)


def _descend(
    start: Tensor,
    offset: Tensor,
    trial: Trial,
    surrogate: Surrogate,
    quality: float,
    steps: int,
    deadline: float,
    tick: Callable[[], None],
) -> Tensor:
    price = trial.price(quality)
    pixels = start.shape[2] * start.shape[3]
    adam = torch.optim.Adam([offset], lr=RATE)
    best, least = start, math.inf
    for step in range(steps + 1):
        if time.monotonic() > deadline:
            break
        picture = (start + offset).clamp(0, 1)
        # What comes out and what it costs is the codec's own; only the way down is not.
        bpp, decoded = trial.through(picture, quality)
        coded = surrogate(picture)
        seen = straight_through(coded.decoded, decoded)
        nats = coded.nats.sum() / pixels
        rate = nats * (bpp / nats.detach()) if float(nats.detach()) > 0 else nats
        cost = trial.distance(seen).sum() + price * rate
        if float(cost.detach()) < least:
            best, least = picture.detach(), float(cost.detach())
        if step == steps:
            break
        for group in adam.param_groups:
            group["lr"] = RATE * (0.55 + 0.45 * math.cos(math.pi * step / steps))
        adam.zero_grad()
        cost.backward()  # type: ignore[no-untyped-call]  # torch states no types here
        adam.step()
        tick()
    return best


class _Ticker:
    """Counts the steps of all tiles."""

    def __init__(self, frame: Frame, steps: int, progress: Progress | None) -> None:
        self.total = steps * frame.batch
        for length in (frame.height, frame.width):
            self.total *= len(tile_starts(length, TILE, OVERLAP))
        self.done, self.progress = 0, progress

    def __call__(self) -> None:
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)
