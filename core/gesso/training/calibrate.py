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
from gesso.training.data import read_rgb

__all__ = ["fit_noise_table", "jpeg_equivalents", "residual_db"]

QUALITIES = (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)
FEWEST = 8  # pictures that a regression can stand on
Progress = Callable[[int, int], None]
# By quality, a point per picture: log2 of gradient, of rmse and of bits per pixel.
Measured = dict[float, list[tuple[float, float, float]]]


def fit_noise_table(
    files: Sequence[Path],
    codec: Codec,
    qualities: Iterable[float] = QUALITIES,
    progress: Progress | None = None,
) -> list[list[float]]:
    """Rows for :func:`gesso.noise.estimated_rmse`, one per quality, rising.

    Args:
        files: validation pictures, at least eight.
        codec: encodes and decodes them.
        qualities: on the codec's scale.
        progress: called with (done, total) pictures.

    Returns:
        ``[quality, a, b, log2 bpp, log2 rmse]``: the regression of log2(rmse) on
        log2(gradient of the decode), the mean log rate in bits per pixel, and the mean
        log error, on [-1, 1] pixels.
    """
    if len(files) < FEWEST:
        raise InputError(f"{len(files)} pictures are too few to calibrate on; give eight or more")
    return _regress(_measure(files, codec, qualities, progress))


def residual_db(
    files: Sequence[Path],
    codec: Codec,
    qualities: Iterable[float],
    progress: Progress | None = None,
) -> tuple[float, float]:
    """Standard error in dB of the predicted MSE, (by quality alone, with the gradient).

    Each picture is predicted by a table fitted without it, so that nine are needed.
    """
    if len(files) <= FEWEST:
        raise InputError(f"{len(files)} pictures are too few to leave one out; give nine or more")
    measured = _measure(files, codec, qualities, progress)
    alone, informed = [], []
    for left_out in range(len(files)):
        rest = {q: points[:left_out] + points[left_out + 1 :] for q, points in measured.items()}
        for quality, a, b, _, mean in _regress(rest):
            steepness, truth, _ = measured[quality][left_out]
            alone.append(20 * math.log10(2) * (mean - truth))
            informed.append(20 * math.log10(2) * (a + b * steepness - truth))
    return _root_mean_square(alone), _root_mean_square(informed)


def _measure(
    files: Sequence[Path], codec: Codec, qualities: Iterable[float], progress: Progress | None
) -> Measured:
    measured: Measured = {quality: [] for quality in sorted(set(qualities))}
    for index, path in enumerate(files):
        source = Image.fromarray(read_rgb(path))
        clean = Frame.of(source).rgb
        for quality, points in measured.items():
            data = codec.encode(source, quality)
            decoded = Frame.of(codec.decode(data))
            rmse = 2 * float((decoded.rgb - clean).square().mean().sqrt())
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


def jpeg_equivalents(
    table: Sequence[Sequence[float]],
    jpeg: Sequence[Sequence[float]],
    jpeg_qp: Callable[[float], float],
) -> list[tuple[float, float]]:
    """(quality, QP index) of a codec: the QP of the JPEG with the same mean log error.

    Args:
        table: the codec's rows of :func:`fit_noise_table`.
        jpeg: JPEG's rows over the same pictures.
        jpeg_qp: QP index of a JPEG quality.
    """
    points = sorted((row[4], jpeg_qp(row[0])) for row in jpeg)
    errors, levels = np.array(points).T
    # Beyond JPEG's own range the trend of its ends goes on.
    slope, offset = np.polyfit(errors, levels, 1)
    result = []
    for row in table:
        inside = errors[0] <= row[4] <= errors[-1]
        level = np.interp(row[4], errors, levels) if inside else slope * row[4] + offset
        result.append((row[0], round(float(level), 1)))
    return result
