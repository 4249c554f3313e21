"""The container of the latent codec, ``.gsl``.

All of it, byte by byte; a varint is LEB128: seven bits a byte, the lowest first, the eighth bit
set on all but the last, and no zero byte at its end but for 0 itself; at most five bytes.

==========  ====================================================================================
bytes       what
==========  ====================================================================================
4           89 47 53 4C, "\\x89GSL": the first is no ASCII, as of PNG
1           version, 1
1           flags: bit 0 the picture is grey, bit 1 the palette is in the stream, bit 2 the model
            is named; bit 3 is 0; bits 4 to 7 the binary logarithm of the factor by which the
            autoencoder makes pictures smaller
8           digest: the first bytes of the SHA-256 of the autoencoder's weights
varint      width of the picture in pixels, at least 1
varint      height
1           entries of the palette, less 1
if named    varint, 1 to 64, and as many bytes of UTF-8: the model's name, printable
if own      1: channels of the palette, 1 to 16; varint: bytes of the coded palette; these
            (:mod:`gesso.latent.colours`)
varint      bytes of the payload
..          payload: ceil(height / factor) x ceil(width / factor) indices
            (:mod:`gesso.latent.entropy`), at most 16 to the byte; empty where the palette has
            one entry
4           CRC-32 (as of zlib and PNG) of all before it, big-endian
==========  ====================================================================================

A picture of 512 x 512 with a shared palette has 25 bytes beside its payload.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.latent import EXTENSION
from gesso.latent.colours import decode_palette, encode_palette, sort_palette
from gesso.latent.entropy import decode_indices, encode_indices, most_indices

__all__ = [
    "DIGEST_BYTES",
    "HEADER_BYTES",
    "MAGIC",
    "MAX_PIXELS",
    "Header",
    "SharedPalette",
    "Stream",
    "pack",
    "read_header",
    "unpack",
    "varint",
]

MAGIC = b"\x89GSL"
VERSION = 1
DIGEST_BYTES = 8
HEADER_BYTES = 128  # no header is longer
MAX_PIXELS = 178_956_970  # where Pillow, too, takes a picture for a decompression bomb

GREY, OWN, NAMED, UNUSED = 1, 2, 4, 8
MOST_CHANNELS = 16
LONGEST_NAME = 64
CHECKSUM_BYTES = 4
DAMAGED = "; the file is damaged"


@dataclass(frozen=True)
class Header:
    """What a stream says before its palette and indices.

    Attributes:
        width, height: of the picture, in pixels.
        factor: by which the autoencoder makes pictures smaller, a power of two.
        digest: the first DIGEST_BYTES of the SHA-256 of the autoencoder's weights.
        colors: entries of the palette, 1 to 256.
        own: whether the palette is in the stream; else it is the model's of that many entries.
        model: the autoencoder's name; "" where the stream does not say.
        grey: whether the picture is grey.
    """

    width: int
    height: int
    factor: int
    digest: bytes
    colors: int
    own: bool = False
    model: str = ""
    grey: bool = False

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of indices."""
        return -(-self.height // self.factor), -(-self.width // self.factor)

    @property
    def autoencoder(self) -> str:
        """The model for messages: name and digest."""
        return f"{self.model or 'a model'} of digest {self.digest.hex()}"


@dataclass(frozen=True, eq=False)
class Stream:
    """A picture as the latent codec stores it.

    Attributes:
        header: sizes, model and palette's kind.
        palette: (K, C) uint8, shared or own.
        indices: (rows, columns) uint8 entries of the palette, ``header.grid`` in size.
    """

    header: Header
    palette: NDArray[np.uint8]
    indices: NDArray[np.uint8]


SharedPalette = Callable[[Header], "NDArray[np.uint8] | None"]


def pack(stream: Stream) -> bytes:
    """A stream as the bytes of a file.

    An own palette is stored sorted (:func:`gesso.latent.colours.sort_palette`); its indices
    follow, so that every place keeps its values.

    Raises:
        InputError: attributes that do not fit each other, or that the format cannot hold.
    """
    header, palette, indices = stream.header, stream.palette, stream.indices
    _check(stream)
    if header.own:
        palette, ranks = sort_palette(palette)
        indices = ranks[indices].astype(np.uint8)
    flags = GREY * header.grey | OWN * header.own | NAMED * bool(header.model)
    parts = [
        MAGIC,
        bytes([VERSION, flags | (header.factor.bit_length() - 1) << 4]),
        header.digest,
        varint(header.width),
        varint(header.height),
        bytes([header.colors - 1]),
    ]
    if header.model:
        name = header.model.encode()
        parts += [varint(len(name)), name]
    if header.own:
        coded = encode_palette(palette)
        parts += [bytes([palette.shape[1]]), varint(len(coded)), coded]
    payload = encode_indices(indices, palette)
    body = b"".join([*parts, varint(len(payload)), payload])
    return body + zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big")


def read_header(data: bytes, max_pixels: int | None = MAX_PIXELS) -> Header:
    """The header alone, unchecked by the checksum; the first HEADER_BYTES of a file suffice.

    Raises:
        InputError: no such file, a version that is not known, a fault in the header, or a
            picture of more than ``max_pixels`` (None: any).
    """
    return _header(_Reader(data), max_pixels)


def unpack(
    data: bytes, shared: SharedPalette | None = None, max_pixels: int | None = MAX_PIXELS
) -> Stream:
    """The stream in the bytes of a whole file.

    What is allocated is bounded by the length of ``data``, and by ``max_pixels`` for a palette
    of one entry, whatever the header says.

    Args:
        data: the file.
        shared: gives the palette (header.colors, C) of the model that a header names, where it
            is not in the stream; None where the model is not known.
        max_pixels: the most pixels of a picture; None: any.

    Raises:
        InputError: anything that is wrong with ``data``, or a palette that is not there.
    """
    reader = _Reader(data)
    header = _header(reader, max_pixels)
    coded, channels = b"", 0
    if header.own:
        channels = reader.byte("the palette's channels")
        if not 1 <= channels <= MOST_CHANNELS:
            raise InputError(f"a palette of {channels} channels, not 1 to {MOST_CHANNELS}{DAMAGED}")
        coded = reader.take(reader.varint("the palette's length"), "its palette")
    payload = reader.take(reader.varint("the payload's length"), "its payload")
    checked = data[: reader.at]
    stated = reader.take(CHECKSUM_BYTES, "its checksum")
    if reader.at != len(data):
        raise InputError(
            f"{len(data) - reader.at} bytes follow the end of the stream; cut them off"
        )
    if zlib.crc32(checked) != int.from_bytes(stated, "big"):
        raise InputError("the checksum does not match; the file is damaged")
    rows, columns = header.grid
    if header.colors > 1 and rows * columns > most_indices(len(payload)):
        raise InputError(
            f"a payload of {len(payload)} bytes cannot hold {rows} x {columns} indices{DAMAGED}"
        )
    if header.own:
        palette = decode_palette(coded, header.colors, channels)
    else:
        palette = _shared(header, shared)
    return Stream(header, palette, decode_indices(payload, rows, columns, palette))


def _header(reader: _Reader, max_pixels: int | None) -> Header:
    if reader.data[: len(MAGIC)] != MAGIC[: max(len(reader.data), 1)]:
        raise InputError(f"this is no {EXTENSION} file: it does not begin with {MAGIC!r}")
    reader.take(len(MAGIC), "its first bytes")
    version = reader.byte("its version")
    if version > VERSION:
        raise InputError(
            f"this file is of version {version}, this gesso reads version {VERSION}; "
            "install a newer gesso"
        )
    if version < 1:
        raise InputError(f"there is no version {version}{DAMAGED}")
    flags = reader.byte("its flags")
    if flags & UNUSED:
        raise InputError(f"the flags {flags:#04x} are not known{DAMAGED}")
    digest = reader.take(DIGEST_BYTES, "the model's digest")
    width, height = reader.varint("its width"), reader.varint("its height")
    if not width or not height:
        raise InputError(f"a picture of {width} x {height} pixels is empty{DAMAGED}")
    if max_pixels is not None and width * height > max_pixels:
        raise InputError(
            f"a picture of {width} x {height} pixels is beyond the limit of {max_pixels} pixels; "
            "pass a higher max_pixels if you trust the file"
        )
    colors = reader.byte("the palette's size") + 1
    name = ""
    if flags & NAMED:
        length = reader.varint("the length of the model's name")
        if not 1 <= length <= LONGEST_NAME:
            raise InputError(f"a model's name of {length} bytes, not 1 to {LONGEST_NAME}{DAMAGED}")
        try:
            name = reader.take(length, "the model's name").decode()
        except UnicodeDecodeError as error:
            raise InputError(f"the model's name is no UTF-8{DAMAGED}") from error
        if not name.isprintable():
            raise InputError(f"the model's name {name!r} is not printable{DAMAGED}")
    own, grey = bool(flags & OWN), bool(flags & GREY)
    return Header(width, height, 1 << (flags >> 4), digest, colors, own, name, grey)


def _shared(header: Header, shared: SharedPalette | None) -> NDArray[np.uint8]:
    palette = shared(header) if shared else None
    if palette is None:
        raise InputError(
            f"this file needs the palette of {header.colors} entries of {header.autoencoder}, "
            "which is not known here; register that model"
        )
    if palette.ndim != 2 or palette.dtype != np.uint8 or len(palette) != header.colors:
        raise InputError(
            f"the palette of {header.autoencoder} is {palette.dtype} {palette.shape}, not of "
            f"{header.colors} entries of bytes"
        )
    return palette


def _check(stream: Stream) -> None:
    header, palette, indices = stream.header, stream.palette, stream.indices
    factor, name = header.factor, header.model
    if not 1 <= min(header.width, header.height) <= max(header.width, header.height) < 1 << 32:
        raise InputError(f"{header.width} x {header.height} pixels; each must be in [1, 2^32)")
    if factor < 1 or factor.bit_count() != 1 or factor > 1 << 15:
        raise InputError(f"factor {factor} is no power of two up to 32768")
    if len(header.digest) != DIGEST_BYTES:
        raise InputError(f"the digest has {len(header.digest)} bytes, not {DIGEST_BYTES}")
    if len(name.encode()) > LONGEST_NAME or not name.isprintable():
        raise InputError(
            f"the model's name {name!r} is not printable, or over {LONGEST_NAME} bytes"
        )
    if palette.ndim != 2 or palette.dtype != np.uint8 or len(palette) != header.colors:
        raise InputError(
            f"a palette of {palette.dtype} {palette.shape} where {header.colors} entries of bytes "
            "are stated"
        )
    if not (1 <= len(palette) <= 256 and 1 <= palette.shape[1] <= MOST_CHANNELS):
        raise InputError(f"a palette {palette.shape} is not of 1 to 256 x 1 to {MOST_CHANNELS}")
    if indices.dtype != np.uint8 or indices.shape != header.grid:
        raise InputError(
            f"indices of {indices.dtype} {indices.shape} where a picture of {header.width} x "
            f"{header.height} has bytes {header.grid}"
        )
    if int(indices.max()) >= len(palette):
        raise InputError(f"index {indices.max()} is beyond the palette's {len(palette)} entries")


def varint(value: int) -> bytes:
    """A number >= 0 as LEB128."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


class _Reader:
    """Bytes, taken from the front; what is not there is an InputError."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, count: int, what: str) -> bytes:
        if count > len(self.data) - self.at:
            raise InputError(f"the file ends within {what}; it is truncated")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self, what: str) -> int:
        return self.take(1, what)[0]

    def varint(self, what: str) -> int:
        value = 0
        for place in range(5):
            byte = self.byte(what)
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                if (place and not byte) or value >= 1 << 32:
                    break
                return value
        raise InputError(f"{what} is no number of up to 32 bits{DAMAGED}")
