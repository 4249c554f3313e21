"""Damaged streams, and what unpacking them does: each must decode or raise InputError, soon."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.latent.colours import sort_palette
from gesso.latent.dither import floyd_steinberg
from gesso.latent.entropy import encode_indices
from gesso.latent.palette import fit_palette
from gesso.latent.stream import (
    CHECKSUM_BYTES,
    DIGEST_BYTES,
    MAGIC,
    Header,
    Stream,
    pack,
    unpack,
    varint,
)

__all__ = ["Outcome", "Valid", "fuzz", "mutated", "shared_palette", "valid_streams"]

# Of pictures, in pixels; with factor 8 up to 64 x 64 indices.
SIZES = ((1, 1), (8, 200), (333, 7), (64, 64), (100, 60), (128, 128), (512, 512))
COLORS = (1, 2, 16, 64, 256)
SIZE_AT = len(MAGIC) + 2 + DIGEST_BYTES
EXTREMES = (0, 1, 2, 7, 8, 127, 128, 16383, 16384, 65535, 1 << 20, 1 << 28, (1 << 32) - 1, 1 << 34)
MOST_LISTED = 10


@dataclass(frozen=True)
class Valid:
    """A stream without fault.

    Attributes:
        data: the whole of it.
        payload_at: where the length of its payload begins.
    """

    data: bytes
    payload_at: int


@dataclass
class Outcome:
    """What unpacking damaged streams did.

    Attributes:
        count: how many there were.
        refused: by an InputError.
        decoded: with the damage undone by the coder, or unseen.
        slowest: seconds of processor time that one of them took, the most; other work on the
            machine does not count.
        slowest_index: which that was.
        failures: what else was raised, the first few, by the number of the stream.
    """

    count: int = 0
    refused: int = 0
    decoded: int = 0
    slowest: float = 0.0
    slowest_index: int = 0
    failures: dict[int, str] = field(default_factory=dict)


def valid_streams(seed: int = 0) -> list[Valid]:
    """Streams of every kind: sizes, palettes, shared and own, grey, with and without a name."""
    random = np.random.default_rng(seed)
    found = []
    for number, (width, height) in enumerate(SIZES):
        for turn, colors in enumerate(COLORS):
            rows, columns = -(-height // 8), -(-width // 8)
            latents = _landscape(rows, columns, random)
            palette = shared_palette(colors)
            own = (number + turn) % 2 == 1
            if own:
                palette = fit_palette(latents, colors)
            indices = floyd_steinberg(latents, palette, float(number % 2))
            name = "" if turn % 2 else "a model"
            header = Header(width, height, 8, bytes(8), len(palette), own, name, number % 3 == 0)
            data = pack(Stream(header, palette, indices))
            length = len(encode_indices(indices, palette))
            found.append(Valid(data, len(data) - CHECKSUM_BYTES - length - len(varint(length))))
    return found


def shared_palette(colors: int) -> NDArray[np.uint8]:
    """(colors, 4), as a model might have it."""
    drawn = np.random.default_rng(colors).normal(128, 40, (colors, 4))
    return sort_palette(np.clip(drawn, 0, 255).astype(np.uint8))[0]


def mutated(valid: Valid, random: np.random.Generator) -> bytes:
    """A stream with one to five faults; the checksum of every other one is right again."""
    data = bytearray(valid.data)
    # These two know where things are, so they come first, the payload's before the size's.
    if random.integers(4) == 0:
        data = _with_payload(data, valid, random)
    if random.integers(4) == 0:
        data = _with_size(data, valid, random)
    if data == valid.data or random.integers(2):
        for _ in range(int(random.integers(1, 4))):
            _damage(data, int(random.integers(7)), random)
    if random.integers(2):
        body = bytes(data[:-CHECKSUM_BYTES])
        return body + zlib.crc32(body).to_bytes(CHECKSUM_BYTES, "big")
    return bytes(data)


def fuzz(count: int, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Outcome:
    """Unpack ``count`` damaged streams, the i-th of which ``seed`` and i determine."""
    valid, outcome = valid_streams(seed), Outcome()
    # Large ones take long, so they are rarer.
    chance = np.array([1 / len(one.data) for one in valid])
    chance /= chance.sum()
    for index in range(count):
        random = np.random.default_rng((seed, index))
        data = mutated(valid[int(random.choice(len(valid), p=chance))], random)
        began = time.process_time()
        try:
            unpack(data, lambda header: shared_palette(header.colors))
            outcome.decoded += 1
        except InputError:
            outcome.refused += 1
        except Exception as error:
            if len(outcome.failures) < MOST_LISTED:
                outcome.failures[index] = f"{type(error).__name__}: {error}"
        seconds = time.process_time() - began
        if seconds > outcome.slowest:
            outcome.slowest, outcome.slowest_index = seconds, index
        outcome.count += 1
        if progress:
            progress(outcome.count, count)
    return outcome


def _landscape(rows: int, columns: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """(rows, columns, 4) bytes that are smooth but for noise and one edge."""
    steps = random.normal(0, 6, (2, max(rows, columns), 4)).cumsum(1)
    values = 128 + steps[0, :rows, None] + steps[1, None, :columns]
    values[rows // 2 :, columns // 3 :] += random.normal(0, 40, 4)
    values += random.normal(0, 4, values.shape)
    return cast("NDArray[np.uint8]", np.clip(values, 0, 255).astype(np.uint8))


def _damage(data: bytearray, kind: int, random: np.random.Generator) -> None:
    """Change ``data`` in place, anywhere."""
    if not data:
        return
    at = int(random.integers(len(data)))
    if random.integers(3) == 0:  # headers are short, so seldom met otherwise
        at = min(at, int(random.integers(SIZE_AT + 8)))
    run = int(random.integers(1, 2 + len(data) // 4))
    if kind <= 1:
        data[at] ^= 1 << int(random.integers(8))
    elif kind == 2:
        data[at] = int(random.choice([0, 1, 127, 128, 255]))
    elif kind == 3:
        end = min(at + run, len(data))
        fill = random.integers(3)
        noise = random.bytes(end - at)
        data[at:end] = noise if fill == 2 else bytes([255 * int(fill)]) * (end - at)
    elif kind == 4:
        del data[at:]
    elif kind == 5:
        data[at:at] = random.bytes(run)
    else:
        del data[at : at + run]


def _with_size(data: bytearray, valid: Valid, random: np.random.Generator) -> bytearray:
    """Another width and height, extreme ones among them."""
    end = SIZE_AT
    for _ in range(2):
        while valid.data[end] > 0x7F:
            end += 1
        end += 1
    sizes = [
        int(random.choice(EXTREMES)) if random.integers(3) == 0 else int(4096 ** random.random())
        for _ in range(2)
    ]
    return data[:SIZE_AT] + varint(sizes[0]) + varint(sizes[1]) + data[end:]


def _with_payload(data: bytearray, valid: Valid, random: np.random.Generator) -> bytearray:
    """Another payload behind its right length: cut, extended, of one byte, or noise."""
    length = len(valid.data) - CHECKSUM_BYTES - valid.payload_at
    payload = bytes(data[-CHECKSUM_BYTES - length : -CHECKSUM_BYTES])
    kind = random.integers(4)
    if kind == 0:
        payload = payload[: int(random.integers(length + 1))]
    elif kind == 1:
        payload += random.bytes(int(random.integers(1, 64)))
    else:
        size = int(random.integers(length + 64))
        payload = random.bytes(size) if kind == 2 else bytes([int(random.integers(256))]) * size
    rest = bytes(data[-CHECKSUM_BYTES:])
    return data[: valid.payload_at] + varint(len(payload)) + payload + rest
