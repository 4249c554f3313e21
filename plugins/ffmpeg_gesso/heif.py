"""HEIF (ISO/IEC 23008-12): the container of a still whose size 4:2:0 cannot state.

HEVC and VVC crop 4:2:0 pictures by whole chroma samples, so a raw stream has even sides.
HEIF's clean aperture names the true ones, and every HEIF reader honours it.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ffmpeg_gesso.nal import HEVC_SYNTAX, VVC_SYNTAX, Syntax
from gesso.errors import InputError

__all__ = ["HEVC_ITEM", "VVC_ITEM", "Item", "is_heif", "unwrap", "wrap"]

Size = tuple[int, int]


@dataclass(frozen=True)
class Item:
    """How HEIF holds a coded picture of one standard.

    Attributes:
        syntax: of its NAL units.
        kind: type of the item.
        brand: of the file.
        configuration: type of the box that holds the parameter sets.
        depth: bits per sample.
        fixed: that box's payload up to the parameter sets, of the SPS and the coded size.
    """

    syntax: Syntax
    kind: bytes
    brand: bytes
    configuration: bytes
    depth: int
    fixed: Callable[[bytes, Size], bytes]


def is_heif(data: bytes) -> bool:
    """Whether bytes begin as an ISO base media file does; no Annex B stream begins so."""
    return data[4:8] == b"ftyp"


def wrap(stream: bytes, item: Item, coded: Size, size: Size) -> bytes:
    """A HEIF file that shows the top left part of a coded picture.

    Args:
        stream: one intra picture and its parameter sets, Annex B.
        item: of its standard.
        coded: width and height that the stream states.
        size: those to show.
    """
    syntax = item.syntax
    units = syntax.units(stream)
    sets = [unit for unit in units if syntax.kind(unit) in syntax.parameters]
    picture = b"".join(_sized(unit, ">I") for unit in units if unit not in sets)
    sps = next(unit for unit in sets if syntax.kind(unit) == syntax.parameters[1])
    arrays = [struct.pack(">BH", 0x80 | syntax.kind(unit), 1) + _sized(unit, ">H") for unit in sets]
    configuration = item.fixed(sps.replace(b"\0\0\3", b"\0\0"), coded)
    (width, height), (shown_width, shown_height) = coded, size
    # The aperture's centre lies off the picture's by half of what is cut away.
    aperture = (shown_width, 1, shown_height, 1, shown_width - width, 2, shown_height - height, 2)
    properties = [
        _box(item.configuration, configuration, bytes([len(sets)]), *arrays),
        _box(b"ispe", bytes(4), struct.pack(">II", *coded)),
        _box(b"pixi", bytes(4), bytes([3, *[item.depth] * 3])),
        _box(b"clap", struct.pack(">IIIIiIiI", *aperture)),
    ]
    kind = _box(b"ftyp", item.brand, bytes(4), b"mif1", item.brand)
    # The offset of the picture is known once the length of what comes before it is.
    before = kind + _meta(item, properties, 0, len(picture))
    meta = _meta(item, properties, len(before) + 8, len(picture))
    return kind + meta + _box(b"mdat", picture)


def unwrap(data: bytes, item: Item) -> tuple[bytes, Size]:
    """The stream that :func:`wrap` was given, without its end, and the size to show.

    Raises:
        InputError: the file is damaged or cut short, or another program's.
    """
    try:
        top = _boxes(data)
        meta = _boxes(top[b"meta"][4:])
        properties = _boxes(_boxes(meta[b"iprp"])[b"ipco"])
        if struct.unpack_from(">H", meta[b"iinf"], 4) != (1,):
            raise InputError("the HEIF file holds several pictures; give one that holds one")
        configuration = properties[item.configuration]
        width, _, height, *_ = struct.unpack(">IIIIiIiI", properties[b"clap"])
        units = _parameter_sets(configuration[_fixed_length(item) :])
        units += _split(top[b"mdat"], ">I")
    except (KeyError, IndexError, struct.error) as error:
        raise InputError(f"the HEIF file is damaged or another program's ({error})") from error
    return item.syntax.stream(units, ended=False), (width, height)


def _box(kind: bytes, *payload: bytes) -> bytes:
    body = b"".join(payload)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _sized(unit: bytes, form: str) -> bytes:
    return struct.pack(form, len(unit)) + unit


def _meta(item: Item, properties: Sequence[bytes], offset: int, length: int) -> bytes:
    """The box that says where the picture is and what it is like."""
    entry = bytes([2, 0, 0, 0]), struct.pack(">HH", 1, 0), item.kind, b"\0"
    extent = struct.pack(">BBHHHHII", 0x44, 0, 1, 1, 0, 1, offset, length)
    # Property numbers count from 1; the high bit marks those that a reader must understand.
    links = bytes([len(properties), 0x81, 2, 3, 0x84])
    return _box(
        b"meta",
        bytes(4),
        _box(b"hdlr", bytes(8), b"pict", bytes(13)),
        _box(b"pitm", bytes(4), struct.pack(">H", 1)),
        _box(b"iloc", bytes(4), extent),
        _box(b"iinf", bytes(4), struct.pack(">H", 1), _box(b"infe", *entry)),
        _box(
            b"iprp",
            _box(b"ipco", *properties),
            _box(b"ipma", bytes(4), struct.pack(">IH", 1, 1), links),
        ),
    )


def _boxes(data: bytes) -> dict[bytes, bytes]:
    """Payloads of the boxes in a row, by type."""
    found: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length < 8 or at + length > len(data):
            raise InputError("the HEIF file is cut short")
        found[kind] = data[at + 8 : at + length]
        at += length
    return found


def _split(data: bytes, form: str) -> list[bytes]:
    """Units that each follow their length."""
    units, at, width = [], 0, struct.calcsize(form)
    while at < len(data):
        [length] = struct.unpack_from(form, data, at)
        units.append(data[at + width : at + width + length])
        at += width + length
    return units


def _parameter_sets(arrays: bytes) -> list[bytes]:
    """Of a configuration box's arrays, each with one unit as :func:`wrap` writes them."""
    units, at = [], 1
    for _ in range(arrays[0]):
        [length] = struct.unpack_from(">H", arrays, at + 3)
        units.append(arrays[at + 5 : at + 5 + length])
        at += 5 + length
    return units


def _hevc_configuration(sps: bytes, _coded: Size) -> bytes:
    """HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.2) up to ``numOfArrays``.

    After two bytes of NAL header and one of ids, the SPS states profile, tier and level
    in the very bytes that the record wants.
    """
    # 4:2:0, 8 bits, no segments or parallelism stated, one layer, lengths of four bytes.
    return b"\1" + sps[3:15] + bytes([0xF0, 0, 0xFC, 0xFD, 0xF8, 0xF8, 0, 0, 0x0F])


def _vvc_configuration(sps: bytes, coded: Size) -> bytes:
    """VvcDecoderConfigurationRecord (ISO/IEC 14496-15, 11.2.4.2) up to ``num_of_arrays``.

    The SPS states profile, tier and level after two bytes of header and two of its own,
    followed by no constraint.
    """
    profile = bytes([1, sps[4], sps[5], sps[6] & 0xC0, 0])
    # Lengths of four bytes; one layer, 4:2:0; 10 bits.
    return (
        struct.pack(">IBHB", 0, 0xFF, 1 << 4 | 1, 2 << 5 | 31)
        + profile
        + struct.pack(">HHH", *coded, 0)
    )


def _fixed_length(item: Item) -> int:
    return len(item.fixed(bytes(16), (0, 0)))


HEVC_ITEM = Item(HEVC_SYNTAX, b"hvc1", b"heic", b"hvcC", 8, _hevc_configuration)
VVC_ITEM = Item(VVC_SYNTAX, b"vvc1", b"vvic", b"vvcC", 10, _vvc_configuration)
