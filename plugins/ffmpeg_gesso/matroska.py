"""Matroska with raw pictures: the track as ffmpeg itself described it, timestamps in ns.

ffmpeg writes the description of a track (colour, HDR, frame rate, language, tags) for a
coded stream; here the same track is made to hold raw pictures, and everything else in it
goes through as it was written. Timestamps of one nanosecond bring every usual time base back
exactly, where ffmpeg's own muxer rounds to milliseconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gesso.errors import InputError

__all__ = ["block", "colour", "described", "header"]

EBML, SEGMENT, INFO, TRACKS, TAGS = 0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1254C367
TRACK, VIDEO, CODEC, PRIVATE, DEFAULT = 0xAE, 0xE0, 0x86, 0x63A2, 0x23E383
NUMBER, UID, TARGETS, TARGET_UID, TAG = 0xD7, 0x73C5, 0x63C0, 0x63C5, 0x7373
SIMPLE, NAME = 0x67C8, 0x45A3
COLOUR_SPACE, COLOUR, MATRIX, RANGE = 0x2EB524, 0x55B0, 0x55B1, 0x55B9
CLUSTER, TIMESTAMP, GROUP, BLOCK, DURATION = 0x1F43B675, 0xE7, 0xA0, 0xA1, 0x9B
VOID, CRC = 0xEC, 0xBF
TICK = 0x2AD7B1
OPEN = b"\x01" + b"\xff" * 7  # of unknown size
# said of ffmpeg's own file, not of the source
OWN_TAGS = (b"ENCODER", b"DURATION")


def header(described: bytes, pixels: bytes) -> bytes:
    """The beginning of a file with the track of ``described``, to be followed by blocks.

    Args:
        described: a Matroska file by ffmpeg with one video track.
        pixels: ffmpeg's four-character code of the raw format.

    Raises:
        InputError: there is no track in it.
    """
    [*segments] = [body for key, body in _elements(described) if key == SEGMENT]
    parts = [part for body in segments for part in _elements(body)]
    tracks = [
        _raw(track, pixels)
        for key, body in parts
        if key == TRACKS
        for name, track in _elements(body)
        if name == TRACK
    ]
    if len(tracks) != 1:
        raise InputError("no picture came out of ffmpeg before gesso; is there a video stream?")
    tags = [
        tag for key, body in parts if key == TAGS for name, tag in _elements(body) if name == TAG
    ]
    names = [_element(TAG, kept) for tag in tags if (kept := _track_tags(tag))]
    kind = b"".join(
        _element(key, value)
        for key, value in (
            (0x4286, b"\1"),
            (0x42F7, b"\1"),
            (0x42F2, b"\4"),
            (0x42F3, b"\x08"),
            (0x4282, b"matroska"),
            (0x4287, b"\4"),
            (0x4285, b"\2"),
        )
    )
    info = _element(TICK, b"\1") + _element(0x4D80, b"gesso") + _element(0x5741, b"gesso")
    return b"".join(
        (
            _element(EBML, kind),
            _key(SEGMENT) + OPEN,
            _element(INFO, info),
            _element(TRACKS, tracks[0]),
            _element(TAGS, b"".join(names)) if names else b"",
        )
    )


def described(data: bytes) -> bool:
    """Whether the beginning of a file holds the tracks and their tags."""
    keys: list[int] = []
    try:
        for key, body in _elements(data, whole=True):
            if key == SEGMENT:
                keys = [inner for inner, _ in _elements(body, whole=True)]
    except (InputError, IndexError):
        return False
    return TRACKS in keys and TAGS in keys


def colour(data: bytes) -> tuple[int, bool]:
    """Matrix, as a code point of ITU-T H.273, and whether the range is full, of a track."""
    body = data
    for wanted in (SEGMENT, TRACKS, TRACK, VIDEO, COLOUR):
        body = next((inner for key, inner in _elements(body) if key == wanted), b"")
    said = {key: int.from_bytes(inner, "big") for key, inner in _elements(body)}
    return said.get(MATRIX, 2), said.get(RANGE) == 2


def block(time: int, duration: int | None, size: int) -> bytes:
    """What goes before the ``size`` bytes of one picture.

    Args:
        time: in ns, 0 or more.
        duration: in ns; None where it is not known.
        size: of the picture in bytes.
    """
    begin = b"\x81\0\0\0"  # track 1, at the cluster's time
    after = _element(DURATION, struct.pack(">Q", duration)) if duration else b""
    inner = _key(BLOCK) + _length(len(begin) + size)
    stamp = _element(TIMESTAMP, struct.pack(">Q", time))
    group = len(after) + len(inner) + len(begin) + size
    whole = len(stamp) + len(_key(GROUP)) + 8 + group
    front = _key(CLUSTER) + _length(whole) + stamp + _key(GROUP) + _length(group)
    return front + after + inner + begin


def _raw(track: bytes, pixels: bytes) -> bytes:
    kept = b""
    for key, body in _elements(track):
        if key == CODEC:
            body = b"V_UNCOMPRESSED"
        elif key == NUMBER:
            body = b"\1"
        elif key == VIDEO:
            body += _element(COLOUR_SPACE, pixels)
        if key not in (PRIVATE, VOID, CRC):
            kept += _element(key, body)
    return _element(TRACK, kept)


def _track_tags(tag: bytes) -> bytes:
    """The tags of a track, less what ffmpeg said of its own file; empty where none are left."""
    kept, ours = b"", False
    some = False
    for key, body in _elements(tag):
        if key == TARGETS:
            ours = any(inner == TARGET_UID for inner, _ in _elements(body))
        elif key == SIMPLE:
            if dict(_elements(body)).get(NAME) in OWN_TAGS:
                continue
            some = True
        if key not in (VOID, CRC):
            kept += _element(key, body)
    return kept if ours and some else b""


def _elements(data: bytes, whole: bool = False) -> Iterator[tuple[int, bytes]]:
    """The elements of a master element, ``whole`` ones only; an open one reaches to the end."""
    at = 0
    while at < len(data):
        key, at = _number(data, at, marked=True)
        size, at = _number(data, at, marked=False)
        end = len(data) if size < 0 else at + size
        if whole and end > len(data):
            return
        yield key, data[at:end]
        at = end


def _number(data: bytes, at: int, marked: bool) -> tuple[int, int]:
    """A number of variable length; -1 stands for the size that is not known."""
    if at >= len(data) or not data[at]:
        raise InputError("ffmpeg's description of the track is damaged")
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length], "big")
    if not marked:
        value &= (1 << 7 * length) - 1
        value = -1 if value == (1 << 7 * length) - 1 else value
    return value, at + length


def _element(key: int, body: bytes) -> bytes:
    return _key(key) + _length(len(body)) + body


def _key(key: int) -> bytes:
    return key.to_bytes((key.bit_length() + 7) // 8, "big")


def _length(size: int) -> bytes:
    return (size | 1 << 56).to_bytes(8, "big")
