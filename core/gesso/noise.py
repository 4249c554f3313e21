"""Which noise level suits a decoded picture.

System E adds noise until the mean square error to the source has doubled. At the
decoder the source is gone: its distance is estimated from the codec, the quality and
the decoded picture itself, by tables in the model's card that ``gesso calibrate`` fits
on validation pictures:  log2(rmse) = a(quality) + b(quality) log2(gradient).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from gesso.codec import codecs, get_codec, interpolate_anchors
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.target import Target, jpeg_luma_table

__all__ = [
    "estimated_rmse",
    "gradient",
    "jpeg_quality_of_pixels",
    "quality_of_rate",
    "sharpness",
    "sigma_for",
    "softened",
]

BAND = 512
# Pixels: further than the edges of a sharp picture reach, nearer than most of its structure.
LAG = 4
Table = Mapping[str, Sequence[Sequence[float]]]
Rows = Sequence[Sequence[float]]
Scale = float | Rows | Mapping[str, float | Rows]
# What the noise is added to.
NoiseMode = Literal["posterior_mean", "decoded"]


def gradient(frame: Frame) -> Tensor:
    """Mean absolute luma difference between neighbours, (B,), on [0, 1] pixels.

    Read in bands of rows, so that a large picture needs no float copy.
    """
    total = torch.zeros(frame.batch, dtype=torch.float64)
    count = 0
    for top in range(0, frame.height, BAND):
        # One row more than the band, for the steps down from its last one.
        rows = min(BAND + 1, frame.height - top)
        luma = frame.window(top, 0, rows, frame.width).mean(1).cpu()
        for step in (luma.diff(dim=1).abs(), luma[:, :BAND].diff(dim=2).abs()):
            total += step.sum((1, 2), dtype=torch.float64)
            count += step[0].numel()
    return (total / max(count, 1)).clamp_min(1e-4)


def sharpness(frame: Frame) -> Tensor:
    """Root mean square luma difference of neighbours over that of pixels four apart, (B,).

    1 in noise, 0.4 to 0.6 in most photographs that were scaled down, 0.3 where one was enlarged
    or is out of focus, 0.25 in a ramp; 1 in a flat picture. Read in bands of rows.
    """
    sums = torch.zeros(2, frame.batch, dtype=torch.float64)
    counts = [0, 0]
    for top in range(0, frame.height, BAND):
        rows = min(BAND + LAG, frame.height - top)
        luma = frame.window(top, 0, rows, frame.width).mean(1).cpu()
        for index, lag in enumerate((1, LAG)):
            down = luma[:, lag : BAND + lag] - luma[:, : max(0, min(BAND, rows - lag))]
            across = luma[:, :BAND, lag:] - luma[:, :BAND, :-lag]
            for step in (down, across):
                sums[index] += step.square().sum((1, 2), dtype=torch.float64)
                counts[index] += step[0].numel()
    near, far = sums / torch.tensor(counts, dtype=torch.float64).clamp_min(1)[:, None] + 1e-8
    return torch.sqrt(near / far)


def softened(curve: Mapping[str, float], frame: Frame) -> Tensor:
    """By how much less noise a picture wants than a sharp one of the same error, (B,) up to 1.

    A prior that learned from sharp pictures turns noise into detail as sharp as they have,
    and a soft picture has none: (:func:`sharpness` / ``reference``) ** ``power``, at least
    ``least`` and at most 1.
    """
    share = (sharpness(frame) / curve["reference"]) ** curve["power"]
    return share.clamp(curve["least"], 1.0).float()


def estimated_rmse(table: Table, target: Target, frame: Frame) -> Tensor:
    """Estimated root mean square error to the unseen source, (B,), on [-1, 1] pixels.

    The error is that of whatever the table was fitted on: of the decode itself in a prior's
    card, of the estimate that is made from it in an estimator's.

    A codec that was never calibrated, such as a third party's, is taken for one that was,
    at the quality with the same QP index: HEVC if there is a table of it, else JPEG, else
    whichever comes first by name.

    Args:
        table: rows (quality, a, b, ...) by codec, quality rising in number.
        target: what the picture was coded with.
        frame: the decoded picture.

    Raises:
        InputError: the table knows no codec that there is.
    """
    at, rows = _rows(table, target)
    a = interpolate_anchors([(row[0], row[1]) for row in rows], at)
    b = interpolate_anchors([(row[0], row[2]) for row in rows], at)
    return torch.exp2(a + b * gradient(frame).log2()).float()


def _rows(table: Table, target: Target) -> tuple[float, Sequence[Sequence[float]]]:
    """Where to look, and the rows to look in; their first column is quality or QP index."""
    if target.codec in table:
        return target.quality, table[target.codec]
    for name in ("hevc", "jpeg", *sorted(table)):
        if name in table and name in codecs():
            qp = get_codec(name).qp
            return target.qp, sorted([qp(row[0]), *row[1:]] for row in table[name])
    raise InputError(
        f"the model was never calibrated for codec {target.codec!r} nor for one like it, only "
        f"for {', '.join(sorted(table)) or 'none'}; pass sigma="
    )


def sigma_for(table: Table, scale: Scale, target: Target, frame: Frame) -> Tensor:
    """The noise level that takes each picture to twice its error, (B,), on [-1, 1] pixels.

    Args:
        table: of the error of what the noise is added to, as of :func:`estimated_rmse`.
        scale: ratio of the level to that error, a number or rows (QP index, ratio) of rising
            index, or either by codec, where HEVC's serves any codec that is not named. A
            sampler that ends at the posterior mean of what it was given, and a decode that is
            none, need more than 1; ``gesso noise`` finds how much.
        target: what the pictures were coded with.
        frame: the decoded pictures.
    """
    if isinstance(scale, Mapping):
        scale = scale[target.codec] if target.codec in scale else scale["hevc"]
    if not isinstance(scale, int | float):
        scale = interpolate_anchors([(row[0], row[1]) for row in scale], target.qp)
    return estimated_rmse(table, target, frame) * float(scale)


def quality_of_rate(table: Table, codec: str, bits_per_pixel: float) -> float:
    """The quality at which a codec's mean rate over the calibration pictures is ``bits_per_pixel``.

    For files that do not state their quality. Pictures differ: a busy one is taken for a
    better coded one, so pass the quality where it is known.
    """
    if codec not in table:
        raise InputError(f"the quality of a {codec} file cannot be told; pass quality=")
    # By rising rate, which on a QP scale is falling quality.
    rows = sorted((row[3], row[0]) for row in table[codec])
    return interpolate_anchors(rows, math.log2(max(bits_per_pixel, 1e-6)))


def jpeg_quality_of_pixels(frame: Frame, size: int = 512) -> float | None:
    """The libjpeg quality of a decoded picture without its file; None when no grid shows.

    The luma DCT coefficients of a decoded JPEG cluster at multiples of the quantisation
    steps. For each quality the mean of cos(2 pi c / step) over the non-zero clusters of the
    low frequencies is taken (the characteristic function of the quantisation error; Fan
    and de Queiroz, "Identification of bitmap compression history", 2003, follow the same
    clusters); the best one wins when it stands out.

    Args:
        frame: pictures whose (0, 0) is a corner of the block grid, as in an uncropped decode.
        size: side of the part that is looked at, in pixels.
    """
    height = min(frame.height, size) // 8 * 8
    width = min(frame.width, size) // 8 * 8
    if height < 16 or width < 16:
        return None
    rgb = frame.window(0, 0, height, width)[0].double() * 255
    luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2] - 128
    k = torch.arange(8, dtype=torch.float64)
    basis = torch.cos(math.pi * (2 * k[None] + 1) * k[:, None] / 16) / 2
    basis[0] /= math.sqrt(2)
    blocks = luma.reshape(height // 8, 8, width // 8, 8).permute(0, 2, 1, 3)
    coefficients = (basis @ blocks @ basis.T).reshape(-1, 64)
    scores = []
    for quality in range(1, 96):
        steps = torch.tensor(jpeg_luma_table(quality), dtype=torch.float64)
        phase = coefficients / steps
        # A cluster is told from the rounding of 8-bit pixels only when steps exceed it.
        live = (phase.abs() > 0.6) & (steps >= 3)
        live[:, 0] = False
        hits = int(live.sum())
        score = float(torch.cos(2 * math.pi * phase[live]).mean()) if hits >= 64 else -1.0
        scores.append(score)
    best = max(range(len(scores)), key=scores.__getitem__)
    return float(best + 1) if scores[best] > 0.5 else None
