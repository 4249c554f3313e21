"""Fit what a prior must know of real codecs: how far a decode is from its source.

Everything here looks at validation pictures, never at a test set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from gesso.codec import Codec
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.noise import gradient
from gesso.target import Target
from gesso.training.data import read_rgb

__all__ = [
    "calibration_qualities",
    "fit_noise_table",
    "qp_equivalents",
    "residual_db",
]

QUALITIES = (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)
FEWEST = 8  # pictures that a regression can stand on
Progress = Callable[[int, int], None]
# What is made of decoded pictures of one target: an estimate, or their enhancement.
Restore = Callable[[Frame, Target], Frame]
# By quality, a point per picture: log2 of gradient, of rmse and of bits per pixel.
Measured = dict[float, list[tuple[float, float, float]]]


def calibration_qualities(codec: Codec) -> tuple[float, ...]:
    """Where to measure a codec: about ten qualities, dense towards the worst, rising in number.

    ``QUALITIES`` themselves where the scale is JPEG's; on any other the same percentages of
    the way from its worst to its best, whole where the scale is longer than 1.
    """
    worst, best = codec.qualities
    if worst <= min(QUALITIES) and max(QUALITIES) <= best <= 100:
        return tuple(QUALITIES)
    # The finest quarter of a QP scale, which alone falls, is all but lossless.
    shares = [share for share in QUALITIES if best > worst or share < 75]
    values = {worst + share / 100 * (best - worst) for share in shares}
    return tuple(sorted({float(round(v)) for v in values} if abs(best - worst) > 1 else values))


def fit_noise_table(
    files: Sequence[Path],
    codec: Codec,
    qualities: Iterable[float] = QUALITIES,
    progress: Progress | None = None,
    restore: Restore | None = None,
) -> list[list[float]]:
    """Rows for :func:`gesso.noise.estimated_rmse`, one per quality, rising in number.

    Args:
        files: validation pictures, at least eight.
        codec: encodes and decodes them.
        qualities: on the codec's scale.
        progress: called with (done, total) pictures.
        restore: whose error is fitted; the decode's own if not given.

    Returns:
        ``[quality, a, b, log2 bpp, log2 rmse]``: the regression of log2(rmse) on
        log2(gradient of the decode), the mean log rate in bits per pixel, and the mean
        log error, on [-1, 1] pixels.
    """
    if len(files) < FEWEST:
        raise InputError(f"{len(files)} pictures are too few to calibrate on; give eight or more")
    return _regress(_measure(files, codec, qualities, progress, restore))


def residual_db(
    files: Sequence[Path],
    codec: Codec,
    qualities: Iterable[float],
    progress: Progress | None = None,
    restore: Restore | None = None,
) -> tuple[float, float]:
    """Standard error in dB of the predicted MSE, (by quality alone, with the gradient).

    Each picture is predicted by a table fitted without it, so that nine are needed.
    """
    if len(files) <= FEWEST:
        raise InputError(f"{len(files)} pictures are too few to leave one out; give nine or more")
    measured = _measure(files, codec, qualities, progress, restore)
    alone, informed = [], []
    for left_out in range(len(files)):
        rest = {q: points[:left_out] + points[left_out + 1 :] for q, points in measured.items()}
        for quality, a, b, _, mean in _regress(rest):
            steepness, truth, _ = measured[quality][left_out]
            alone.append(20 * math.log10(2) * (mean - truth))
            informed.append(20 * math.log10(2) * (a + b * steepness - truth))
    return _root_mean_square(alone), _root_mean_square(informed)


def _measure(
    files: Sequence[Path],
    codec: Codec,
    qualities: Iterable[float],
    progress: Progress | None,
    restore: Restore | None,
) -> Measured:
    measured: Measured = {quality: [] for quality in sorted(set(qualities))}
    for index, path in enumerate(files):
        source = Image.fromarray(read_rgb(path))
        clean = Frame.of(source).rgb
        for quality, points in measured.items():
            data = codec.encode(source, quality)
            decoded = Frame.of(codec.decode(data))
            made = restore(decoded, Target(codec.name, quality)) if restore else decoded
            rmse = 2 * float((made.rgb - clean).square().mean().sqrt())
            bpp = 8 * len(data) / (source.width * source.height)
            steepness = float(gradient(decoded)[0])
            points.append((math.log2(steepness), math.log2(max(rmse, 1e-4)), math.log2(bpp)))
        if progress:
            progress(index + 1, len(files))
    return measured


def _regress(measured: Measured) -> list[list[float]]:
    rows = []
    for quality, points in measured.items():
        gradients, errors, rates = np.array(points).T
        slope, offset = np.polyfit(gradients, errors, 1)
        row = (quality, offset, slope, rates.mean(), errors.mean())
        rows.append([round(float(v), 4) for v in row])
    return rows


def _root_mean_square(values: Sequence[float]) -> float:
    return float(np.sqrt(np.square(values).mean()))


def qp_equivalents(
    table: Sequence[Sequence[float]],
    reference: Sequence[Sequence[float]],
    qp: Callable[[float], float],
) -> list[tuple[float, float]]:
    """(quality, QP index) of a codec: that of the reference with the same mean log error.

    Args:
        table: the codec's rows of :func:`fit_noise_table`.
        reference: rows over the same pictures of a codec whose QP index is known.
        qp: that index of the reference's qualities.
    """
    points = sorted((row[4], qp(row[0])) for row in reference)
    errors, levels = np.array(points).T
    # Beyond the reference's own range the trend of its ends goes on.
    slope, offset = np.polyfit(errors, levels, 1)
    result = []
    for row in table:
        inside = errors[0] <= row[4] <= errors[-1]
        level = np.interp(row[4], errors, levels) if inside else slope * row[4] + offset
        result.append((row[0], round(float(level), 1)))
    return result
