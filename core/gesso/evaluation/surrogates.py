"""How well a codec's surrogate stands for the codec: its decodes and its rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image

from gesso.codec import Codec, DifferentiableCodec, differentiable_codecs
from gesso.errors import InputError
from gesso.training.data import read_rgb

__all__ = ["Agreement", "agreement", "rank_correlation"]

BETWEEN = (24.0, 29.0, 34.0, 39.0, 44.0, 49.0)


@dataclass(frozen=True)
class Agreement:
    """At one quality, or at all of them.

    Attributes:
        quality: on the codec's scale; None for all at once.
        psnr: of the surrogate's decode to the real one, in dB, mean over pictures.
        surrogate: PSNR of the surrogate's decode to the source.
        real: PSNR of the real decode to the source.
        correlation: Spearman's, of the surrogate's nats with the real bits.
        bits: real bits for each nat.
    """

    quality: float | None
    psnr: float
    surrogate: float
    real: float
    correlation: float
    bits: float


def agreement(
    files: Sequence[Path],
    codec: Codec,
    qualities: Sequence[float] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Agreement]:
    """Code pictures by a codec and by its surrogate.

    Args:
        files: of pictures.
        codec: one of :func:`gesso.codec.differentiable_codecs`.
        qualities: on its scale; if not given, six between rate indices 24 and 49.
        progress: called with (done, total) codings.

    Returns:
        A row for each quality, and one for all of them.

    Raises:
        InputError: a codec without a surrogate, or fewer than three pictures.
    """
    if not isinstance(codec, DifferentiableCodec):
        able = ", ".join(sorted(differentiable_codecs()))
        raise InputError(f"{codec.name} has no surrogate; there are {able}")
    if len(files) < 3:
        raise InputError(f"a correlation needs three pictures or more, got {len(files)}")
    levels = list(qualities) if qualities else _levels(codec)
    measured = np.zeros((len(levels), len(files), 5))
    for column, file in enumerate(files):
        picture = read_rgb(file)
        source = _tensor(picture)
        for row, quality in enumerate(levels):
            data = codec.encode(Image.fromarray(picture), quality)
            real = _tensor(np.asarray(codec.decode(data)))
            with torch.no_grad():
                coded = codec.surrogate(quality)(source)
            pairs = ((coded.decoded, real), (coded.decoded, source), (real, source))
            figures = [_psnr(*pair) for pair in pairs]
            measured[row, column] = (*figures, float(coded.nats), 8.0 * len(data))
            if progress:
                progress(column * len(levels) + row + 1, len(levels) * len(files))
    rows = [_row(quality, found) for quality, found in zip(levels, measured, strict=True)]
    return [*rows, _row(None, measured.reshape(-1, 5))]


def rank_correlation(one: ArrayLike, two: ArrayLike) -> float:
    """Spearman's correlation of two lists without ties."""
    first, second = (np.argsort(np.argsort(np.asarray(values))) for values in (one, two))
    return float(np.corrcoef(first, second)[0, 1])


def _row(
    quality: float | None, found: np.ndarray[tuple[int, ...], np.dtype[np.float64]]
) -> Agreement:
    psnr, surrogate, real = found[:, :3].mean(0).tolist()
    nats, bits = found[:, 3], found[:, 4]
    correlation = rank_correlation(nats, bits)
    return Agreement(quality, psnr, surrogate, real, correlation, float(bits.sum() / nats.sum()))


def _levels(codec: Codec) -> list[float]:
    from gesso.training.schedule import level_near

    return list(dict.fromkeys(level_near(codec, qp) for qp in reversed(BETWEEN)))


def _tensor(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> torch.Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255


def _psnr(one: torch.Tensor, two: torch.Tensor) -> float:
    return float(-10 * (one - two).square().mean().clamp_min(1e-10).log10())
