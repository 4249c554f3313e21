"""Error diffusion: the definition, place by place, and what it is for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from gesso.latent.dither import floyd_steinberg
from gesso.latent.palette import nearest

Bytes = NDArray[np.uint8]


def one_by_one(values: NDArray[Any], palette: Bytes, amount: float) -> Bytes:
    """Floyd and Steinberg's rows, with the bounds of the palette."""
    height, width = values.shape[:2]
    carried = values.astype(float)
    entries = palette.astype(float)
    found = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            held = carried[y, x]
            apart = np.zeros(len(entries))
            for channel in range(values.shape[2]):
                apart += (held[channel] - entries[:, channel]) ** 2
            found[y, x] = apart.argmin()
            held = np.clip(held, entries.min(0), entries.max(0))
            error = (held - entries[found[y, x]]) * (amount / 16)
            for dy, dx, share in ((0, 1, 7), (1, -1, 3), (1, 0, 5), (1, 1, 1)):
                if y + dy < height and 0 <= x + dx < width:
                    carried[y + dy, x + dx] += share * error
    return found


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))),
    arrays(np.uint8, st.tuples(st.integers(1, 6), st.just(3))),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_it_is_the_definition_bit_for_bit(values: Bytes, palette: Bytes, amount: float) -> None:
    assert np.array_equal(
        floyd_steinberg(values, palette, amount), one_by_one(values, palette, amount)
    )


def test_floats_too(latents: Bytes) -> None:
    values = latents[:20, :31] + np.random.default_rng(1).random((20, 31, 4))
    palette = latents[::9, ::9].reshape(-1, 4)
    assert np.array_equal(floyd_steinberg(values, palette), one_by_one(values, palette, 1.0))


def test_nothing_passed_on_is_the_nearest(latents: Bytes) -> None:
    palette = latents[::16, ::16].reshape(-1, 4)
    assert np.array_equal(floyd_steinberg(latents, palette, 0.0), nearest(latents, palette))


def test_means_are_kept() -> None:
    palette = np.array([[0, 255], [255, 0]], np.uint8)
    values = np.broadcast_to(np.array([60.0, 195.0]), (40, 40, 2))
    assert palette[floyd_steinberg(values, palette)].mean((0, 1)) == pytest.approx([60, 195], abs=2)


def test_what_no_entry_reaches_does_not_pile_up() -> None:
    """A bright half beyond the palette leaves the other half as it is without it."""
    palette = np.array([[50], [100]], np.uint8)
    values = np.full((16, 32, 1), 50.0)
    values[:, :16] = 250
    found = floyd_steinberg(values, palette)
    assert (found[:, :16] == 1).all() and (found[:, 16:] == 0).all()
