"""Palettes of 8-bit latents: the scale, fitting, and the nearest entry.

Palettising latents to 8 bits is of the paper (Post-processing Based Image Coding via Stable
Diffusion) and of M. Buehlmann's notebook before it, which hands them to libimagequant as RGBA.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from gesso.errors import InputError

__all__ = [
    "MOST_COLORS",
    "PaletteMethod",
    "dequantise",
    "fit_palette",
    "imagequant",
    "nearest",
    "palette_noise",
    "quantise",
]

PaletteMethod = Literal["kmeans", "imagequant"]
Bytes = NDArray[np.uint8]

MOST_COLORS = 256
SAMPLE = 16384  # latents that k-means looks at
ROUNDS = 8  # of Lloyd's algorithm
BLOCK = 4096  # values whose distances are held at once


def quantise(latents: NDArray[np.floating[Any]], magnitude: float) -> Bytes:
    """Latents as bytes: 0 and 255 are -magnitude and magnitude; beyond them is clipped.

    Of any shape. Computed in float32, as the paper's notebook does with magnitude 23.22.
    """
    scaled = latents.astype(np.float32) / np.float32(2 * magnitude) + np.float32(0.5)
    return cast("Bytes", (255 * np.clip(scaled, 0, 1) + np.float32(0.5)).astype(np.uint8))


def dequantise(values: NDArray[Any], magnitude: float) -> NDArray[np.float32]:
    """What the bytes of :func:`quantise` stand for, float32."""
    scaled = values.astype(np.float32) / np.float32(255) - np.float32(0.5)
    return cast("NDArray[np.float32]", scaled * np.float32(2 * magnitude))


def fit_palette(
    latents: Bytes, colors: int, method: PaletteMethod = "kmeans", seed: int = 0
) -> Bytes:
    """A palette for one picture's latents, or for several's.

    Args:
        latents: (h, w, C) bytes.
        colors: how many entries at most, 1 to 256; fewer come out where ``latents`` has fewer
            distinct values, or some round to the same.
        method: ``kmeans`` (k-means++ and Lloyd's algorithm; of large pictures, on a sample), or
            ``imagequant``, see :func:`imagequant`.
        seed: of what ``kmeans`` draws.

    Returns:
        (K, C), sorted by the first value, then the second, and so on; no two alike.

    Raises:
        InputError: a number of colours or a method that there is not.
    """
    _check(latents, colors)
    if method == "imagequant":
        return cast("Bytes", np.unique(imagequant(latents, colors)[0], axis=0))
    if method != "kmeans":
        raise InputError(f"no palette method {method!r}; pass kmeans or imagequant")
    random = np.random.default_rng(seed)
    pixels = latents.reshape(-1, latents.shape[-1])
    if len(pixels) > SAMPLE:
        pixels = pixels[random.choice(len(pixels), SAMPLE, replace=False)]
    distinct, counts = np.unique(pixels, axis=0, return_counts=True)
    if len(distinct) <= colors:
        return cast("Bytes", distinct)
    points, weights = distinct.astype(np.float64), counts.astype(np.float64)
    centres = _lloyd(points, weights, _spread(points, weights, colors, random))
    return cast("Bytes", np.unique(np.floor(centres + 0.5).astype(np.uint8), axis=0))


def imagequant(latents: Bytes, colors: int, dither: float = 1.0) -> tuple[Bytes, Bytes]:
    """Palette (K, 4) and indices (h, w) by libimagequant at speed 1, as the original has them.

    The four channels pass for red, green, blue and opacity, as there.

    Args:
        latents: (h, w, 4) bytes.
        colors: how many entries at most, 1 to 256 (libimagequant makes at least 2).
        dither: how much of the error is passed on, 0 to 1.

    Raises:
        InputError: other than four channels, or libimagequant is not there.
    """
    _check(latents, colors)
    if latents.shape[-1] != 4:
        raise InputError(
            f"libimagequant takes latents of 4 channels, not {latents.shape[-1]}; use kmeans"
        )
    try:
        import libimagequant as liq
    except ImportError as error:
        raise InputError(
            "method imagequant needs libimagequant; run: pip install 'gesso[palette]', or use "
            "kmeans"
        ) from error
    height, width = latents.shape[:2]
    attributes = liq.Attr()
    attributes.speed = 1
    attributes.max_colors = max(2, colors)
    image = attributes.create_rgba(np.ascontiguousarray(latents).tobytes(), width, height, 0)
    result = image.quantize(attributes)
    result.dithering_level = dither
    indices = np.frombuffer(bytes(result.remap_image(image)), np.uint8).reshape(height, width)
    # Read after remapping, which refines it.
    palette = np.array([[c.r, c.g, c.b, c.a] for c in result.get_palette()], np.uint8)
    if len(palette) > colors:
        palette = palette[:1]
        indices = np.zeros_like(indices)
    return palette, indices


def nearest(values: NDArray[Any], palette: Bytes) -> Bytes:
    """The indices (h, w) of the entries nearest to ``values`` (h, w, C); of equals, the lowest.

    Bytes are compared exactly; floats in float64, channel by channel, alike everywhere.
    """
    shape, flat = values.shape[:-1], values.reshape(-1, values.shape[-1])
    found = np.empty(len(flat), np.uint8)
    for at in range(0, len(flat), BLOCK):
        found[at : at + BLOCK] = squares(flat[at : at + BLOCK], palette).argmin(1)
    return found.reshape(shape)


def squares(values: NDArray[Any], palette: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distances (n, K) of values (n, C) to entries (K, C), summed in one fixed order."""
    total = np.zeros((len(values), len(palette)))
    for channel in range(palette.shape[1]):
        apart = np.subtract.outer(
            values[:, channel].astype(np.float64), palette[:, channel].astype(np.float64)
        )
        apart *= apart
        total += apart
    return total


def palette_noise(palette: Bytes, indices: Bytes) -> float:
    """About what each channel of ``palette[indices]`` may err by, in bytes.

    The root mean square over the picture of half the way from its entries to the nearest other
    ones, spread evenly over the channels.

    Args:
        palette: (K, C); of one entry, the whole range counts.
        indices: (h, w).
    """
    apart = squares(palette, palette)
    apart[np.eye(len(palette), dtype=bool)] = np.inf
    least = np.minimum(apart.min(1), 255.0**2)
    return float(np.sqrt(least[indices].mean() / (4 * palette.shape[1])))


def _check(latents: Bytes, colors: int) -> None:
    if not 1 <= colors <= MOST_COLORS:
        raise InputError(f"a palette has 1 to {MOST_COLORS} colours, not {colors}")
    if latents.ndim != 3 or latents.dtype != np.uint8 or not latents.size:
        raise InputError(
            f"a palette is fitted to bytes (h, w, C), not {latents.dtype} {latents.shape}"
        )


def _spread(
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    count: int,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """First centres as of k-means++ (Arthur and Vassilvitskii, 2007), each another point."""
    chosen = [int(np.searchsorted(np.cumsum(weights), random.random() * weights.sum(), "right"))]
    apart = ((points - points[chosen[0]]) ** 2).sum(1)
    for _ in range(count - 1):
        mass = np.cumsum(apart * weights)
        # Points that are chosen have no mass, so "right" passes over them.
        drawn = int(np.searchsorted(mass, random.random() * mass[-1], "right"))
        chosen.append(min(drawn, len(points) - 1))
        apart = np.minimum(apart, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen]


def _lloyd(
    points: NDArray[np.float64], weights: NDArray[np.float64], centres: NDArray[np.float64]
) -> NDArray[np.float64]:
    for _ in range(ROUNDS):
        owner = ((centres**2).sum(1) - 2 * points @ centres.T).argmin(1)
        mass = np.bincount(owner, weights, len(centres))
        for channel in range(points.shape[1]):
            total = np.bincount(owner, weights * points[:, channel], len(centres))
            np.divide(total, mass, out=centres[:, channel], where=mass > 0)
    return centres
