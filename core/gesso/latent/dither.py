"""Floyd and Steinberg's error diffusion with palettes in any number of dimensions.

R. W. Floyd, L. Steinberg, "An adaptive algorithm for spatial grey scale", 1976: rows from top
to bottom, each from left to right; of the error of a place 7/16 go to the right, 3/16, 5/16 and
1/16 below, to the left, straight, and to the right.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gesso.latent.palette import squares

__all__ = ["floyd_steinberg"]


def floyd_steinberg(
    values: NDArray[Any], palette: NDArray[np.uint8], amount: float = 1.0
) -> NDArray[np.uint8]:
    """The indices (h, w) of a palette's entries whose local means follow ``values``.

    An error is taken from the value, and what was passed on to it, within the palette's smallest
    and largest in each channel, so that what no entry reaches does not pile up.

    Args:
        values: (h, w, C) of any real type, on the palette's scale (0 to 255).
        palette: (K, C).
        amount: how much of the error is passed on, 0 (the nearest entries) to 1.
    """
    height, width, channels = values.shape
    entries = palette.astype(np.float64)
    low, high = entries.min(0), entries.max(0)
    # A column more to the left, and a row and a column more below and to the right.
    carried = np.zeros((height + 1, width + 2, channels))
    carried[:height, 1 : width + 1] = values
    found = np.empty((height, width), np.uint8)
    for step in range(width + 2 * height - 2):
        # All places whose x + 2 y is the step: what they take errors from is done.
        y = np.arange(max(0, (step - width + 2) // 2), min(height - 1, step // 2) + 1)
        x = step - 2 * y
        held = carried[y, x + 1]
        chosen = squares(held, entries).argmin(1)
        found[y, x] = chosen
        error = (np.clip(held, low, high) - entries[chosen]) * (amount / 16)
        # The errors that meet in one place arrive in the order of the rows.
        carried[y + 1, x + 2] += error
        carried[y + 1, x + 1] += 5 * error
        carried[y + 1, x] += 3 * error
        carried[y, x + 2] += 7 * error
    return found
