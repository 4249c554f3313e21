"""The container: what goes in comes out, and no bytes do harm."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressai_gesso.container import ARCHITECTURES, Packed, check_size, pack, unpack
from gesso.errors import InputError

PACKED = Packed("hyperprior", 2, b"\xab\xcd", 768, 512, (b"y" * 300, b"z" * 40))


@st.composite
def contents(draw: st.DrawFn) -> Packed:
    name = draw(st.sampled_from(sorted(ARCHITECTURES)))
    sizes = st.integers(1, 2**12)
    string = st.binary(min_size=64, max_size=400)
    return Packed(
        name,
        draw(st.integers(1, 15)),
        draw(st.binary(min_size=2, max_size=2)),
        draw(sizes),
        draw(sizes),
        tuple(draw(string) for _ in range(ARCHITECTURES[name])),
    )


def signed(body: bytes) -> bytes:
    """With the check that makes it look whole."""
    return body + zlib.crc32(body).to_bytes(4, "little")


@given(contents())
def test_what_is_packed_is_unpacked(content: Packed) -> None:
    assert unpack(pack(content)) == content


def test_the_layout_is_the_documented_one() -> None:
    head = b"gLC\x01\x02\xab\xcd" + b"\x80\x06" + b"\x80\x04" + b"\xac\x02"
    assert pack(PACKED) == signed(head + b"y" * 300 + b"z" * 40)
    assert len(pack(PACKED)) - 340 == 17


def test_every_cut_and_every_changed_byte_is_noticed() -> None:
    data = pack(PACKED)
    for length in range(len(data)):
        with pytest.raises(InputError):
            unpack(data[:length])
    for place in range(len(data)):
        with pytest.raises(InputError):
            unpack(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])


@given(st.binary(max_size=60))
def test_hostile_bytes_are_refused_or_read_within_bounds(tail: bytes) -> None:
    """Even with a right check, nothing but an InputError and nothing larger than the bytes."""
    for data in (tail, b"gLC" + tail, signed(b"gLC\x01" + tail)):
        try:
            content = unpack(data)
        except InputError:
            continue
        assert sum(map(len, content.strings)) < len(data)
        check_size(content.width, content.height)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"gLC\x02\x02wwAAAA", "version 2; update gesso"),
        (b"gLC\x01\xf2wwAAAA", "architecture 15; update gesso"),
        (b"gLC\x01\x02ww\xff\xff\xff\xff\xff\xff", "does not end"),
        (b"gLC\x01\x02ww\x40\x40\x05abc", "longer than they are"),
        (b"gLC\x01\x02ww\x00\x40\x01abc", "a picture of 0 x 64"),
        (b"gLC\x01\x02ww\xff\xff\x03\xff\xff\x03\x01abc", "a picture of 65535 x 65535"),
        (b"gLC\x01\x02ww\x80\x20\x80\x20\x01abc", "too few for 4096 x 4096"),
    ],
)
def test_what_is_wrong_is_named(body: bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        unpack(signed(body))


def test_foreign_files_are_refused() -> None:
    with pytest.raises(InputError, match="begin otherwise"):
        unpack(b"\xff\xd8\xff\xe0 a JPEG file")
