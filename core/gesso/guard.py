"""Do no harm: a prepared picture is taken only as far as trial codings show that it helps.

One that shows a heavy JPEG's grid is left alone: bits would be spent on its blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from gesso.codec import get_codec
from gesso.frame import Frame
from gesso.noise import jpeg_quality_of_pixels
from gesso.runtime import Runtime
from gesso.target import Target
from gesso.trial import Distance, Trial

__all__ = ["STRENGTHS", "guarded", "heavily_coded"]

STRENGTHS = (1.0, 0.7, 0.4)
# Looked at, at most, by the networks of a metric; bits are those of the whole picture.
PATCH = 1024
# Of libjpeg: up to here the blocks of a decode are plain to see.
HEAVY = 30.0
# Side in pixels of what is looked at for them.
GRID = 512


def guarded(
    source: Frame, prepared: Frame, target: Target, runtime: Runtime | None = None
) -> Frame:
    """The mix of both frames that costs least at this target: distance plus bits at their price.

    Of each picture its own mix. With more bits *and* a worse look than the source has in
    plain coding, none is taken, and none of a picture that is :func:`heavily_coded`. The look
    is DISTS, or SSIMULACRA 2 where the weights of DISTS are not installed, on the middle
    1024 x 1024 pixels of a larger picture.

    Args:
        source: the pictures as they came.
        prepared: the same pictures, at full strength.
        target: what is about to code them.
        runtime: device and dtype that the pictures are looked at in.
    """
    runtime = runtime or Runtime()
    pictures = [
        before if spent else _one(before, after, target, runtime)
        for before, after, spent in zip(
            _each(source), _each(prepared), heavily_coded(source), strict=True
        )
    ]
    return source.with_rgb(torch.cat(pictures))


def heavily_coded(frame: Frame) -> list[bool]:
    """Of each picture, whether it is the decode of a JPEG of quality 30 or less, uncropped."""
    corners = _each(frame, GRID)
    found = (jpeg_quality_of_pixels(Frame.of(corner), GRID) for corner in corners)
    return [quality is not None and quality <= HEAVY for quality in found]


def _each(frame: Frame, side: int | None = None) -> Iterator[Tensor]:
    """Pixels of one picture after the other, or of its first corner of that side."""
    height, width = (min(length, side or length) for length in (frame.height, frame.width))
    return (frame.window(0, 0, height, width, slice(i, i + 1)) for i in range(frame.batch))


def _one(source: Tensor, prepared: Tensor, target: Target, runtime: Runtime) -> Tensor:
    look = _in_the_middle(_look(runtime.dtype), runtime.device)
    trial = Trial(source, get_codec(target.codec), look)
    plain = trial.code(source, target.quality)
    price = trial.price(target.quality)
    best, least = source, plain.distance + price * plain.bpp
    for strength in STRENGTHS:
        mix = source + strength * (prepared - source)
        tried = trial.code(mix, target.quality)
        cost = tried.distance + price * tried.bpp
        harm = tried.bpp > plain.bpp and tried.distance > plain.distance
        if cost < least and not harm:
            best, least = mix, cost
        elif best is not source:
            break  # from here on it only gets weaker
    return best


def _in_the_middle(look: Distance, device: torch.device) -> Distance:
    def cut(picture: Tensor) -> Tensor:
        top, left = (max(0, length - PATCH) // 2 for length in picture.shape[2:])
        return picture[:, :, top : top + PATCH, left : left + PATCH].to(device)

    def against(source: Tensor) -> Callable[[Tensor], Tensor]:
        with torch.no_grad():
            distance = look(cut(source))
        return lambda picture: distance(cut(picture))

    return against


def _look(dtype: torch.dtype) -> Distance:
    from gesso.distance import dists_in
    from gesso.evaluation.perceptual import missing_dists

    if missing_dists() is None:
        return dists_in(dtype)
    from gesso.evaluation.ssimulacra2 import ssimulacra2

    return lambda source: lambda picture: (100 - ssimulacra2(source, picture)) / 100
