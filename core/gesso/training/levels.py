"""Fit how much noise a preset adds: its level over the estimated error, and less of it where soft.

Everything here looks at validation pictures, never at a test set. Three things are found:
what costs so many dB of PSNR, as system E's doubled error does; or what looks best, by codec
and quality; and with that, how noise falls with a picture's sharpness.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.matching import quality_levels
from gesso.frame import Frame
from gesso.noise import sharpness
from gesso.target import Target
from gesso.training.calibrate import Restore
from gesso.training.data import read_rgb

__all__ = [
    "Coding",
    "Levels",
    "fit_levels",
    "fit_noise_scale",
    "measure_levels",
    "noise_qualities",
    "psnr_drops",
]

# A sampler that ends near a mean loses little by noise: up to several times the error.
RATIOS = (0.35, 0.7, 1.4, 2.8, 5.6)
# What looks best is less, down to next to nothing on soft pictures.
LEVELS = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0, 1.4)
# Each picture as it is, and its middle enlarged: edges as soft as a camera's or worse.
ENLARGED = (1.0, 1.5, 2.5)
QPS = (44.0, 37.0, 31.0, 24.0)  # where to measure; JPEG 11, 29, 68 and 89
SIDE = 256  # of the middle that is looked at, in pixels
# Noise is scaled by (sharpness / reference) ** power, at least ``least``; power 0 is no rule.
REFERENCES = tuple(round(0.30 + 0.03 * i, 2) for i in range(11))
POWERS = (0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
LEASTS = (0.03, 0.06, 0.09, 0.15, 0.25)
Progress = Callable[[int, int], None]
# A clean picture to what tells how far others, (1, 3, H, W) in [0, 1], look from it: above 0.
Judge = Callable[[Tensor], Callable[[Tensor], float]]


@dataclass(frozen=True)
class Coding:
    """How one coding of one picture looks with each level of noise.

    Attributes:
        codec, quality: what coded it.
        qp: its rate index.
        enlarged: by how much it was, before it was coded.
        sharpness: of what the noise is added to, as :func:`gesso.noise.sharpness`.
        costs: natural logarithm of the distance with each ratio of noise to error in
            ``LEVELS``, over the distance of the plain decode: below 0 is better.
    """

    codec: str
    quality: float
    qp: float
    enlarged: float
    sharpness: float
    costs: tuple[float, ...]


@dataclass(frozen=True)
class Levels:
    """How much noise is best.

    Attributes:
        rows: (QP index, ratio) of rising index by codec, for :func:`gesso.noise.sigma_for`.
        softness: the curve of :func:`gesso.noise.softened`.
        costs: what each coding has with both, in the order of the codings.
    """

    rows: dict[str, list[list[float]]]
    softness: dict[str, float]
    costs: list[float]


def noise_qualities(codec: Codec) -> tuple[float, ...]:
    """Where noise is fitted: the qualities nearest to four rate indices, from the worst."""
    worst, best = codec.qualities
    levels = quality_levels(codec)
    nearest = {min(levels, key=lambda q: abs(codec.qp(q) - index)) for index in QPS}
    return tuple(sorted(nearest, reverse=best < worst))


def measure_levels(
    files: Sequence[Path],
    codec: Codec,
    qualities: Iterable[float],
    start: Restore,
    enhanced: Callable[[float], Restore],
    judge: Judge,
    progress: Progress | None = None,
) -> list[Coding]:
    """How every picture looks with every level of noise, as it is and enlarged.

    Args:
        files: validation pictures, of 256 x 256 pixels or more; their middle is looked at.
        codec: encodes and decodes them.
        qualities: on the codec's scale.
        start: what the noise is added to.
        enhanced: a ratio of noise level to estimated error to what it enhances.
        judge: how far pictures look from a clean one.
        progress: called with (done, total) codings.

    Raises:
        InputError: a picture that is too small.
    """
    codings, chosen = [], sorted(set(qualities))
    total = len(files) * len(ENLARGED) * len(chosen)
    for path, factor in product(files, ENLARGED):
        whole = Image.fromarray(read_rgb(path))
        if min(whole.size) < SIDE:
            raise InputError(
                f"{path} is smaller than {SIDE} x {SIDE} pixels; leave it out of the folder"
            )
        source = _centre(whole, round(SIDE / factor)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        looks = judge(Frame.of(source).rgb)
        for quality in chosen:
            target = Target(codec.name, quality)
            decoded = Frame.of(codec.decode(codec.encode(source, quality)))
            plain = math.log(looks(decoded.rgb))
            costs = tuple(
                math.log(looks(enhanced(ratio)(decoded, target).rgb)) - plain for ratio in LEVELS
            )
            soft = float(sharpness(start(decoded, target))[0])
            codings.append(Coding(codec.name, quality, target.qp, factor, soft, costs))
            if progress:
                progress(len(codings), total)
    return codings


def fit_levels(codings: Sequence[Coding]) -> Levels:
    """The levels and the rule for soft pictures with the least mean cost, together.

    For each rule of a grid every quality has its best ratio; the rule whose mean is lowest
    wins, and of equals the one of the lowest power.

    Args:
        codings: of :func:`measure_levels`, of one codec or several.

    Raises:
        InputError: no codings.
    """
    if not codings:
        raise InputError("no codings to fit noise on; give pictures and a codec")
    groups: dict[tuple[str, float], list[int]] = defaultdict(list)
    for index, coding in enumerate(codings):
        groups[coding.codec, coding.qp].append(index)
    ratios = np.linspace(math.log(LEVELS[0]), math.log(LEVELS[-1]), 81)
    edges = np.log([coding.sharpness for coding in codings])
    best, lowest = None, math.inf
    for power, reference, least in product(POWERS, REFERENCES, LEASTS):
        shares = np.clip(power * (edges - math.log(reference)), math.log(least), 0.0)
        costs, rows = np.zeros(len(codings)), defaultdict(list)
        for (codec, qp), members in groups.items():
            found = np.array([_cost(codings[i], ratios + shares[i]) for i in members])
            at = int(found.mean(0).argmin())
            costs[members] = found[:, at]
            rows[codec].append([round(qp, 2), round(math.exp(ratios[at]), 3)])
        if costs.mean() < lowest - 1e-6:
            lowest = float(costs.mean())
            rule = {"reference": reference, "power": power, "least": least}
            best = Levels({c: sorted(found) for c, found in rows.items()}, rule, costs.tolist())
    assert best is not None
    return best


def _cost(coding: Coding, level: NDArray[np.float64]) -> NDArray[np.float64]:
    """At logarithms of ratios; beyond the levels that were measured, the nearest one's."""
    return np.interp(level, np.log(LEVELS), coding.costs)


def psnr_drops(
    files: Sequence[Path], target: Target, codec: Codec, estimated: Restore, enhanced: Restore
) -> list[float]:
    """By how many dB each whole picture's enhancement lies under its estimate."""
    drops = []
    for path in files:
        source = Image.fromarray(read_rgb(path))
        clean = Frame.of(source).rgb
        decoded = Frame.of(codec.decode(codec.encode(source, target.quality)))
        errors = [
            float((made(decoded, target).rgb - clean).square().mean())
            for made in (estimated, enhanced)
        ]
        drops.append(10 * math.log10(errors[1] / errors[0]))
    return drops


def fit_noise_scale(
    files: Sequence[Path],
    codec: Codec,
    qualities: Iterable[float],
    wanted: float,
    estimated: Restore,
    enhanced: Callable[[float], Restore],
    progress: Progress | None = None,
) -> list[list[float]]:
    """Rows (QP index, ratio) for :func:`gesso.noise.sigma_for`, of rising index.

    Args:
        files: validation pictures.
        codec: encodes and decodes them.
        qualities: on the codec's scale.
        wanted: mean drop in dB from the estimate to the enhancement.
        estimated: the estimate of least square error.
        enhanced: a ratio of noise level to estimated error to what it enhances.
        progress: called with (done, total) measurements.

    Raises:
        InputError: even the most noise that is tried costs less than ``wanted``.
    """
    rows, chosen = [], sorted(set(qualities))
    for index, quality in enumerate(chosen):
        target = Target(codec.name, quality)
        means = []
        for step, ratio in enumerate(RATIOS):
            drops = psnr_drops(files, target, codec, estimated, enhanced(ratio))
            means.append(sum(drops) / len(drops))
            if progress:
                progress(index * len(RATIOS) + step + 1, len(chosen) * len(RATIOS))
        # More noise can only be further from the source; a measured dip is chance.
        rising = np.maximum.accumulate(np.maximum(means, 1e-3))
        if wanted > rising[-1]:
            raise InputError(
                f"at {codec.name} {quality:g} PSNR falls by {rising[-1]:.2f} dB with noise of "
                f"{RATIOS[-1]} times the error, and not by {wanted:g}; ask for less"
            )
        # Noise adds to the error by its square: a power law, straight in logarithms.
        ratio = float(np.exp(np.interp(math.log(wanted), np.log(rising), np.log(RATIOS))))
        rows.append([round(target.qp, 2), round(ratio, 3)])
    return sorted(rows)


def _centre(picture: Image.Image, side: int) -> Image.Image:
    left, top = ((length - side) // 2 for length in picture.size)
    return picture.crop((left, top, left + side, top + side))
