"""Bits per coded pixel of a WebP, AVIF or HEIC file, for those that do not state their quality."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from typing import IO

from PIL import ImageFile

from gesso.errors import InputError
from gesso.target import Target

__all__ = ["bits_per_pixel", "target_of_rate"]


def target_of_rate(codec: str, rate: float) -> Target:
    """The target that a file which does not state its quality is taken for.

    Args:
        codec: what coded it.
        rate: its bits per coded pixel, finite; see :func:`bits_per_pixel`.

    Raises:
        InputError: the rates of this codec were never measured, or it is lossless.
    """
    from gesso.cards import get_model
    from gesso.noise import quality_of_rate

    if math.isinf(rate):
        raise InputError(f"a lossless {codec} file has lost nothing that could be told")
    table = get_model(None, "prior").settings["noise"]
    return Target(codec, quality_of_rate(table, codec, rate))


def bits_per_pixel(image: ImageFile.ImageFile, stream: IO[bytes]) -> float:
    """What lossy coding spent on each pixel of each frame; infinite in a lossless WebP.

    Containers, metadata and (in WebP) alpha are left out, as far as the file tells them
    apart. ``stream`` is left where it was.
    """
    where = stream.tell()
    try:
        length = stream.seek(0, os.SEEK_END)
        rate = _webp if image.format == "WEBP" else _avif
        return rate(image, stream, length)
    finally:
        stream.seek(where)


def _webp(image: ImageFile.ImageFile, stream: IO[bytes], length: int) -> float:
    """RFC 9649: ``VP8 `` chunks hold lossy pixels, ``VP8L`` lossless ones, ``ANMF`` a frame."""
    size = pixels = 0
    area = image.width * image.height
    for name, start, count in _chunks(stream, 12, length):
        if name == b"ANMF":
            stream.seek(start + 6)
            sides = stream.read(6)
            # Only this part of the canvas is coded.
            area = math.prod(1 + int.from_bytes(sides[i : i + 3], "little") for i in (0, 3))
            for inner, _, bytes_inside in _chunks(stream, start + 16, start + count):
                if inner == b"VP8 ":
                    size, pixels = size + bytes_inside, pixels + area
        elif name == b"VP8 ":
            size, pixels = size + count, pixels + area
    return 8 * size / pixels if pixels else math.inf


def _chunks(stream: IO[bytes], at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, length) of the RIFF chunks between two offsets."""
    while at + 8 <= end:
        stream.seek(at)
        head = stream.read(8)
        if len(head) < 8:
            return
        count = int.from_bytes(head[4:], "little")
        yield head[:4], at + 8, min(count, end - at - 8)
        at += 8 + count + count % 2


def _avif(image: ImageFile.ImageFile, stream: IO[bytes], length: int) -> float:
    """ISO 14496-12: ``mdat`` boxes hold the pixels, and EXIF and XMP beside them."""
    size = sum(count for name, count in _boxes(stream, length) if name == b"mdat") or length
    size -= sum(len(image.info.get(key) or b"") for key in ("exif", "xmp"))
    return 8 * max(size, 1) / (image.width * image.height * getattr(image, "n_frames", 1))


def _boxes(stream: IO[bytes], length: int) -> Iterator[tuple[bytes, int]]:
    """(name, length) of the outermost boxes."""
    at = 0
    while at + 8 <= length:
        stream.seek(at)
        head = stream.read(16)
        count, name, start = int.from_bytes(head[:4], "big"), head[4:8], 8
        if count == 1:
            count, start = int.from_bytes(head[8:16], "big"), 16
        elif count == 0:  # to the end of the file
            count = length - at
        if count < start:
            return
        yield name, min(count, length - at) - start
        at += count
