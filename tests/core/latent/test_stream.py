"""The container: there and back, the bytes it has for ever, and every fault by its name."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.latent.entropy import encode_indices
from gesso.latent.fuzz import fuzz, mutated, shared_palette, valid_streams
from gesso.latent.palette import fit_palette, nearest
from gesso.latent.stream import (
    HEADER_BYTES,
    Header,
    Stream,
    pack,
    read_header,
    unpack,
    varint,
)

Bytes = NDArray[np.uint8]
DIGEST = bytes.fromhex("0123456789abcdef")
PALETTE = np.array([[9, 200], [90, 30], [140, 130], [250, 0]], np.uint8)
INDICES = np.array([[0, 0, 1, 1, 2], [0, 1, 1, 2, 2], [3, 3, 3, 2, 2]], np.uint8)


def small(**changes: object) -> Stream:
    header = Header(width=37, height=20, factor=8, digest=DIGEST, colors=4)
    return Stream(replace(header, **changes), PALETTE, INDICES)  # type: ignore[arg-type]


def known(header: Header) -> Bytes | None:
    return PALETTE if (header.digest, header.colors) == (DIGEST, 4) else None


def sealed(body: bytes) -> bytes:
    return body + zlib.crc32(body).to_bytes(4, "big")


def reasons(data: bytes) -> str:
    with pytest.raises(InputError) as caught:
        unpack(data, known)
    return str(caught.value)


# What this version wrote first; what any later one must read alike.
GOLDEN = {
    "shared": "8947534c01300123456789abcdef2514030413928ebc99162320",
    "own": "8947534c01370123456789abcdef25140305736d616c6c020c2530532132"
    "d2bce965d0613e0413928ebc06304c6a",
}
LONG = (477, 706719391)  # bytes and their CRC-32


def test_streams_are_read_alike_for_ever() -> None:
    shared, own = (unpack(bytes.fromhex(GOLDEN[kind]), known) for kind in ("shared", "own"))
    assert shared.header == Header(37, 20, 8, DIGEST, 4)
    assert own.header == Header(37, 20, 8, DIGEST, 4, own=True, model="small", grey=True)
    for stream in (shared, own):
        assert np.array_equal(stream.palette, PALETTE)
        assert np.array_equal(stream.indices, INDICES)


def test_a_long_stream_is_read_alike_for_ever(latents: Bytes) -> None:
    """The model has learnt by its end; whole numbers make the picture, so all machines agree."""
    x, y = np.meshgrid(np.arange(64), np.arange(64))
    wave = (x * y // 7 + 3 * x) % 120 // 8 + (x + 2 * y > 90) * 5
    palette = np.stack([np.arange(20) * 12, np.arange(20) ** 2 % 97, 255 - np.arange(20)], 1)
    indices = (wave % 20).astype(np.uint8)
    header = Header(512, 512, 8, DIGEST, 20)
    data = pack(Stream(header, palette.astype(np.uint8), indices))
    assert (len(data), zlib.crc32(data)) == LONG
    assert np.array_equal(unpack(data, lambda _: palette.astype(np.uint8)).indices, indices)


def test_they_are_written_alike() -> None:
    assert pack(small()).hex() == GOLDEN["shared"]
    assert pack(small(own=True, model="small", grey=True)).hex() == GOLDEN["own"]


@settings(deadline=None)
@given(
    width=st.integers(1, 70),
    height=st.integers(1, 70),
    log_factor=st.integers(0, 15),
    colors=st.integers(1, 256),
    own=st.booleans(),
    grey=st.booleans(),
    model=st.sampled_from(["", "gesso-latent", "ä" * 32]),
    seed=st.integers(0, 9),
)
def test_what_goes_in_comes_out(
    width: int,
    height: int,
    log_factor: int,
    colors: int,
    own: bool,
    grey: bool,
    model: str,
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    header = Header(width, height, 1 << log_factor, DIGEST, colors, own, model, grey)
    palette = random.integers(0, 256, (colors, 3), dtype=np.uint8)
    indices = random.integers(0, colors, header.grid, dtype=np.uint8)
    data = pack(Stream(header, palette, indices))
    found = unpack(data, lambda _: palette)
    assert found.header == header == read_header(data[:HEADER_BYTES])
    assert np.array_equal(found.palette[found.indices], palette[indices])
    if not own:
        assert np.array_equal(found.indices, indices)


def test_a_shared_palette_leaves_25_bytes_beside_the_payload(latents: Bytes) -> None:
    palette = fit_palette(latents, 64)
    header = Header(512, 512, 8, DIGEST, len(palette))
    indices = nearest(latents, palette)
    data = pack(Stream(header, palette, indices))
    assert len(data) == 25 + len(encode_indices(indices, palette))
    assert read_header(data[:19]) == header


def test_a_stream_is_not_text_and_says_its_version() -> None:
    data = pack(small())
    assert data[:5] == b"\x89GSL\x01"
    with pytest.raises(UnicodeDecodeError):
        data.decode()


def test_every_truncation_and_every_byte_more_is_refused() -> None:
    data = pack(small(own=True, model="small"))
    for end in range(len(data)):
        assert "truncated" in reasons(data[:end]) or end == 0
    assert "1 bytes follow" in reasons(data + b"\0")
    assert "no .gsl file" in reasons(b"")


def test_every_flipped_bit_is_refused() -> None:
    data = pack(small(own=True, model="small"))
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        reasons(bytes(flipped))


def test_every_fault_is_named() -> None:
    data = pack(small())
    named = pack(small(model="small"))
    own = pack(small(own=True))

    def changed(whole: bytes, at: int, new: bytes, old: int = 1) -> bytes:
        return sealed(whole[:at] + new + whole[at + old : -4])

    assert "does not begin with" in reasons(b"\x89PNG" + data[4:])
    assert "version 2, this gesso reads version 1" in reasons(changed(data, 4, b"\2"))
    assert "no version 0" in reasons(changed(data, 4, b"\0"))
    assert "flags 0x38 are not known" in reasons(changed(data, 5, b"\x38"))
    assert "0 x 20 pixels is empty" in reasons(changed(data, 14, b"\0"))
    assert "beyond the limit" in reasons(changed(data, 14, varint(2**32 - 1)))
    for digits in (b"\xff\xff\xff\xff\x1f", b"\xff" * 9, b"\x80\x00"):
        assert "no number of up to 32 bits" in reasons(changed(data, 14, digits))
    assert "cannot hold 3 x 1250 indices" in reasons(changed(data, 14, varint(10000)))
    assert "a model of digest 01ff456789abcdef, which is not known" in reasons(
        changed(data, 7, b"\xff")
    )
    assert "palette of 256 entries of a model" in reasons(changed(data, 16, b"\xff"))
    assert "name of 0 bytes" in reasons(changed(named, 17, b"\0"))
    assert "name of 65 bytes" in reasons(changed(named, 17, b"\x41"))
    assert "no UTF-8" in reasons(changed(named, 18, b"\xff"))
    assert "not printable" in reasons(changed(named, 18, b"\n"))
    assert "palette of 0 channels" in reasons(changed(own, 17, b"\0"))
    assert "palette of 17 channels" in reasons(changed(own, 17, b"\x11"))
    assert "checksum" in reasons(data[:-1] + bytes([data[-1] ^ 1]))
    assert "too many for a palette" in reasons(
        sealed(own[:17] + b"\1" + varint(300) + bytes(300) + own[-9:-4])
    )


def test_a_palette_that_is_not_the_header_s_is_refused() -> None:
    data = pack(small())
    with pytest.raises(InputError, match="register that model"):
        unpack(data)
    with pytest.raises(InputError, match=r"uint8 \(3, 2\), not of 4 entries"):
        unpack(data, lambda _: PALETTE[:3])


def test_the_limit_of_pixels_can_be_moved() -> None:
    data = pack(small())
    assert unpack(data, known, max_pixels=740).header.width == 37
    for limited in (unpack, read_header):
        with pytest.raises(InputError, match="limit of 739 pixels"):
            limited(data, max_pixels=739)  # type: ignore[operator]
    header = Header(1 << 20, 1 << 20, 1 << 15, DIGEST, 1)
    big = pack(Stream(header, PALETTE[:1], np.zeros(header.grid, np.uint8)))
    assert unpack(big, lambda _: PALETTE[:1], max_pixels=None).indices.shape == (32, 32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"width": 0}, "in [1, 2^32)"),
        ({"factor": 6}, "no power of two"),
        ({"digest": b"abc"}, "3 bytes, not 8"),
        ({"model": "x" * 65}, "over 64 bytes"),
        ({"model": "a\n"}, "not printable"),
        ({"colors": 5}, "5 entries of bytes are stated"),
        ({"height": 40}, "has bytes (5, 5)"),
    ],
)
def test_what_the_format_cannot_hold_is_not_packed(changes: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as caught:
        pack(small(**changes))
    assert said in str(caught.value)


def test_an_index_beyond_the_palette_is_not_packed() -> None:
    with pytest.raises(InputError, match="index 4 is beyond the palette's 4 entries"):
        pack(replace(small(), indices=INDICES + (INDICES == 3).astype(np.uint8)))


def test_damaged_streams_are_refused_or_decoded() -> None:
    ticks: list[int] = []
    outcome = fuzz(400, seed=1, progress=lambda done, total: ticks.append(done))
    assert outcome.failures == {}
    assert outcome.refused + outcome.decoded == outcome.count == 400 == ticks[-1]
    assert outcome.refused > 200 and outcome.decoded > 4
    assert outcome.slowest < 5


def test_the_damage_is_of_every_kind_and_can_be_had_again() -> None:
    valid = valid_streams()
    assert {
        unpack(one.data, lambda header: shared_palette(header.colors)).header.own for one in valid
    } == {False, True}
    one = valid[17]
    made = [mutated(one, np.random.default_rng((0, i))) for i in range(200)]
    assert made == [mutated(one, np.random.default_rng((0, i))) for i in range(200)]
    right = sum(sealed(data[:-4]) == data for data in made)
    assert 60 < right < 160
    assert {len(data) > len(one.data) for data in made} == {False, True}
