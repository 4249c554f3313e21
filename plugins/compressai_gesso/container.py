"""The file that a learned codec writes: a header of about a dozen bytes, strings, a check.

    offset  bytes  what
    0       3      b"gLC"
    3       1      version, 1
    4       1      architecture << 4 | quality; the architecture's place in ARCHITECTURES
    5       2      the first bytes of the SHA-256 of the weights
    7       1..4   width, then height, as LEB128: seven bits a byte, lowest first, the
                   highest bit set in all but the last
    .       1..5   length of each string but the last, as LEB128
    .       ...    the strings, in the order of CompressAI's compress()
    end-4   4      CRC-32 of all before it, lowest byte first

The size is the picture's own; the strings code it padded to multiples of 64 by repeating
its last row and column. A file means the same only where the arithmetic does: see
:mod:`compressai_gesso.coding`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from gesso.errors import InputError

__all__ = ["ARCHITECTURES", "GRID", "Packed", "pack", "unpack"]

MAGIC, VERSION = b"gLC", 1
# A file names them by their place: append only. The number of strings, too, is part of it.
ARCHITECTURES: dict[str, int] = {
    "hyperprior": 2,
    "bmshj2018-factorized": 1,
    "bmshj2018-hyperprior": 2,
    "mbt2018-mean": 2,
    "mbt2018": 2,
    "cheng2020-anchor": 2,
    "cheng2020-attn": 2,
}
GRID = 64
# Decoding takes a few hundred bytes a pixel: 8 GB at this size, for the largest networks more.
MOST_PIXELS = 2**25
# Entropy coding's tables give no symbol a chance above 1 - 2^-14 or so; with a symbol for
# every three pixels, no honest file has more of them in a byte.
PIXELS_PER_BYTE = 2**18
CHECK = 4
CUT = "these bytes are no whole file of a learned codec"


@dataclass(frozen=True)
class Packed:
    """What a file holds.

    Attributes:
        architecture: a key of ARCHITECTURES.
        quality: 1 to 15, on the architecture's own scale.
        weights: the first two bytes of the SHA-256 of the weights it was coded with.
        width, height: of the picture, in pixels.
        strings: of the entropy coder.
    """

    architecture: str
    quality: int
    weights: bytes
    width: int
    height: int
    strings: tuple[bytes, ...]


def pack(content: Packed) -> bytes:
    """The file."""
    place = list(ARCHITECTURES).index(content.architecture)
    head = MAGIC + bytes([VERSION, place << 4 | content.quality]) + content.weights
    sizes = [content.width, content.height, *(len(s) for s in content.strings[:-1])]
    body = head + b"".join(map(_varint, sizes)) + b"".join(content.strings)
    return body + zlib.crc32(body).to_bytes(CHECK, "little")


def unpack(data: bytes) -> Packed:
    """The content of a file of :func:`pack`; whatever else raises InputError.

    Nothing is allocated that is larger than ``data``.
    """
    if data[:3] != MAGIC:
        raise InputError("these bytes are no file of gesso's learned codecs; they begin otherwise")
    body, check = data[:-CHECK], data[-CHECK:]
    if len(body) < 9 or zlib.crc32(body).to_bytes(CHECK, "little") != check:
        raise InputError(f"{CUT}: they are cut short or damaged; get them anew")
    if body[3] != VERSION:
        raise InputError(f"{CUT} that this gesso knows: version {body[3]}; update gesso")
    names, place, quality = list(ARCHITECTURES), body[4] >> 4, body[4] & 15
    if place >= len(names):
        raise InputError(f"{CUT} that this gesso knows: architecture {place}; update gesso")
    width, at = _read_varint(body, 7)
    height, at = _read_varint(body, at)
    lengths = []
    for _ in range(ARCHITECTURES[names[place]] - 1):
        length, at = _read_varint(body, at)
        lengths.append(length)
    strings = []
    for length in lengths:
        strings.append(body[at : at + length])
        at += length
    if at > len(body):
        raise InputError(f"{CUT}: a string is longer than they are")
    strings.append(body[at:])
    check_size(width, height)
    if width * height > PIXELS_PER_BYTE * sum(map(len, strings)):
        raise InputError(f"{CUT}: they are too few for {width} x {height} pixels")
    return Packed(names[place], quality, body[5:7], width, height, tuple(strings))


def check_size(width: int, height: int) -> None:
    """Raises InputError for a picture without pixels or with too many for this codec."""
    if not 0 < width * height <= MOST_PIXELS:
        raise InputError(
            f"a picture of {width} x {height} is not for learned codecs; "
            f"they take 1 to {MOST_PIXELS / 1e6:.0f} million pixels: scale it down or cut it up"
        )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, where it ends); at most five bytes, written in the shortest way."""
    value = 0
    for index, byte in enumerate(data[at : at + 5]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, at + index + 1
    raise InputError(f"{CUT}: a number in the header does not end")
