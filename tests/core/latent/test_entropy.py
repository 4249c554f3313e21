"""Indices and palettes to bytes and back, and how few bytes these are."""

from __future__ import annotations

import lzma
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.latent import context
from gesso.latent.coder import Decoder, Encoder
from gesso.latent.colours import decode_palette, encode_palette, sort_palette
from gesso.latent.dither import floyd_steinberg
from gesso.latent.entropy import INDICES_PER_BYTE, decode_indices, encode_indices, most_indices
from gesso.latent.palette import fit_palette, nearest

Bytes = NDArray[np.uint8]


def lzma_bytes(data: bytes) -> int:
    best = {"id": lzma.FILTER_LZMA1, "lc": 0, "lp": 0, "pb": 0, "preset": 9 | lzma.PRESET_EXTREME}
    return len(lzma.compress(data, lzma.FORMAT_RAW, filters=[best]))


def order_0_bytes(indices: Bytes, colors: int) -> float:
    """What an adaptive coder without context takes, at its best."""
    counts, bits = np.full(colors, 0.4), 0.0
    for index in indices.ravel():
        bits -= np.log2(counts[index] / counts.sum())
        counts[index] += 1
    return bits / 8


@pytest.mark.parametrize("dithered", [False, True])
@pytest.mark.parametrize("colors", [16, 64, 256])
def test_fewer_bytes_than_by_lzma_and_by_counts(
    latents: Bytes, colors: int, dithered: bool
) -> None:
    palette = fit_palette(latents, colors)
    indices = floyd_steinberg(latents, palette) if dithered else nearest(latents, palette)
    payload = encode_indices(indices, palette)
    assert np.array_equal(decode_indices(payload, 64, 64, palette), indices)
    assert len(payload) < 0.85 * lzma_bytes(indices.tobytes())
    assert len(payload) < 0.75 * order_0_bytes(indices, len(palette))


def test_noise_costs_hardly_more_than_its_bits() -> None:
    random = np.random.default_rng(0)
    palette = random.integers(0, 256, (256, 4), dtype=np.uint8)
    indices = random.integers(0, 256, (64, 64), dtype=np.uint8)
    payload = encode_indices(indices, palette)
    assert len(payload) < 1.05 * indices.size
    assert np.array_equal(decode_indices(payload, 64, 64, palette), indices)


def test_flat_pictures_are_padded_to_what_their_size_may_claim() -> None:
    palette = np.array([[0, 0], [9, 9]], np.uint8)
    for index in (0, 1):
        indices = np.full((64, 64), index, np.uint8)
        payload = encode_indices(indices, palette)
        assert len(payload) == 64 * 64 // INDICES_PER_BYTE
        assert np.array_equal(decode_indices(payload, 64, 64, palette), indices)


@settings(deadline=None)
@given(
    st.integers(1, 256).flatmap(
        lambda colors: st.tuples(
            arrays(np.uint8, st.tuples(st.just(colors), st.integers(1, 5))),
            arrays(
                np.uint8,
                st.tuples(st.integers(1, 12), st.integers(1, 12)),
                elements=st.integers(0, colors - 1),
            ),
        )
    )
)
def test_what_goes_in_comes_out(both: tuple[Bytes, Bytes]) -> None:
    palette, indices = both
    payload = encode_indices(indices, palette)
    assert np.array_equal(decode_indices(payload, *indices.shape, palette), indices)
    assert indices.size <= most_indices(len(payload)) or len(palette) == 1


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (1, 700), (700, 1), (2, 300), (257, 130), (150, 129)]
)
def test_any_size(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(2)
    palette = fit_palette(random.integers(0, 256, (9, 9, 3), dtype=np.uint8), 7)
    indices = (np.add.outer(np.arange(shape[0]), np.arange(shape[1])) // 9 % 7).astype(np.uint8)
    indices ^= (random.random(shape) < 0.05).astype(np.uint8)
    indices %= 7
    payload = encode_indices(indices, palette)
    assert np.array_equal(decode_indices(payload, *shape, palette), indices)


def test_64_x_64_of_256_entries_take_little_time(latents: Bytes) -> None:
    palette = fit_palette(latents, 256)
    indices = nearest(latents, palette)
    began = time.process_time()
    decode_indices(encode_indices(indices, palette), 64, 64, palette)
    assert time.process_time() - began < 1.5  # 0.2 s; tests share their processor


def test_one_entry_needs_no_bytes() -> None:
    palette = np.array([[1, 2, 3]], np.uint8)
    assert encode_indices(np.zeros((3, 4), np.uint8), palette) == b""
    assert decode_indices(b"", 3, 4, palette).shape == (3, 4)
    with pytest.raises(InputError, match="has no payload"):
        decode_indices(b"x", 3, 4, palette)


def test_claims_beyond_the_payload_are_refused(latents: Bytes) -> None:
    palette = fit_palette(latents, 64)
    payload = encode_indices(nearest(latents, palette), palette)
    with pytest.raises(InputError, match="cannot hold 1000000 x 1000000"):
        decode_indices(payload, 10**6, 10**6, palette)
    most = most_indices(len(payload)) // 64
    # by its content, long before its end
    began = time.process_time()
    with pytest.raises(InputError, match=r"ends before its 64 x|none that an encoder makes"):
        decode_indices(payload, 64, most, palette)
    assert time.process_time() - began < 2
    with pytest.raises(InputError, match=r"ends before its 64 x 64"):
        decode_indices(payload[: len(payload) // 2], 64, 64, palette)


def test_an_index_beyond_the_palette_is_refused() -> None:
    with pytest.raises(InputError, match="index 2 lies outside the palette of 2"):
        encode_indices(np.full((2, 2), 2, np.uint8), np.zeros((2, 3), np.uint8))


def test_bytes_that_no_encoder_makes_are_refused() -> None:
    shares = np.array([[1.0, 0, 65535]] * 3)
    with pytest.raises(InputError, match="none that an encoder makes"):
        Decoder(b"\xff" * 8).take(shares)
    coder = Encoder()
    coder.put(np.array([0, 2, 1]), shares)
    assert Decoder(coder.payload()).take(shares).tolist() == [0, 2, 1]


def test_logarithms_and_powers_are_near_the_true_ones() -> None:
    x = np.array([1, 2, 3, 5, 1000, 2**24 - 1, 2**40 + 12345], np.float64)
    error = np.log2(x) - context.log2(x) / context.UNIT
    assert (error >= 0).all() and (error < 0.086 + 1 / context.UNIT).all()
    true = 2.0 ** (20 - np.arange(context.DEEPEST + 1) / context.UNIT)
    assert np.abs(context.POWERS - true).max() <= 1
    assert context.POWERS[0] == 1 << 20


def test_probabilities_are_whole_and_sum_to_the_total(latents: Bytes) -> None:
    palette = fit_palette(latents, 64)
    model = context.ContextModel(palette)
    random = np.random.default_rng(0)
    for _ in range(20):
        shares = model.probabilities(random.integers(0, len(palette), (33, 6)))
        assert (shares.sum(1) == context.TOTAL).all() and np.array_equal(shares, shares.round())
        assert shares.min() >= context.FLOOR // len(palette)
        model.learn(random.integers(0, len(palette), 33))
    assert np.array_equal(model.weights, model.weights.round())


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 6))))
def test_palettes_come_back_sorted(palette: Bytes) -> None:
    ordered, ranks = sort_palette(palette)
    assert np.array_equal(ordered[ranks], palette)
    assert np.array_equal(decode_palette(encode_palette(ordered), *palette.shape), ordered)


@pytest.mark.parametrize(("colors", "share"), [(16, 1.0), (64, 0.85), (256, 0.75)])
def test_palettes_take_fewer_bytes_than_they_have(
    latents: Bytes, colors: int, share: float
) -> None:
    palette = fit_palette(latents, colors)
    assert len(encode_palette(palette)) < share * palette.size


def test_palettes_that_cannot_be_are_refused() -> None:
    with pytest.raises(InputError, match="only a sorted palette"):
        encode_palette(np.array([[2], [1]], np.uint8))
    with pytest.raises(InputError, match="too many for a palette of 2 x 1"):
        decode_palette(bytes(100), 2, 1)
