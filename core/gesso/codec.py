"""Codecs: encode, decode, quality range and rate index; JPEG, WebP and AVIF through Pillow."""

from __future__ import annotations

import bisect
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gesso.errors import InputError
from gesso.target import jpeg_qp

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PILLOW_CODECS", "Codec", "PillowCodec", "codecs", "get_codec", "register_codec"]


@runtime_checkable
class Codec(Protocol):
    """A lossy still-picture codec.

    Attributes:
        name: as used in :class:`gesso.Target`, lower case.
        extension: of its files, with the dot.
        qualities: (worst, best) of its own quality scale.
    """

    @property
    def name(self) -> str: ...

    @property
    def extension(self) -> str: ...

    @property
    def qualities(self) -> tuple[float, float]: ...

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """An RGB picture to a whole file; every byte a user would store."""
        ...

    def decode(self, data: bytes) -> Image.Image:
        """A whole file to an RGB picture."""
        ...

    def qp(self, quality: float) -> float:
        """The rate index of a quality, on HEVC's QP scale."""
        ...


@dataclass(frozen=True)
class PillowCodec:
    """A codec that Pillow writes and reads.

    ``anchors`` are (quality, QP index) pairs: the QP of the JPEG with the same mean
    square error over the validation pictures, printed by ``gesso calibrate``.
    """

    name: str
    extension: str
    anchors: tuple[tuple[float, float], ...] = ()
    qualities: tuple[float, float] = (1.0, 100.0)

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """See :class:`Codec`; ``quality`` is rounded to Pillow's whole numbers."""
        stream = io.BytesIO()
        image.save(stream, format=self.name.upper(), quality=round(quality))
        return stream.getvalue()

    def decode(self, data: bytes) -> Image.Image:
        """See :class:`Codec`; raises InputError for bytes that are not this codec's."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(data), formats=[self.name.upper()]) as image:
                return image.convert("RGB")
        # RuntimeError is what AVIF's decoder raises
        except (OSError, SyntaxError, ValueError, RuntimeError) as error:
            raise InputError(f"these bytes are no whole {self.name} file: {error}") from error

    def qp(self, quality: float) -> float:
        """See :class:`Codec`."""
        if not self.anchors:
            return jpeg_qp(quality)
        right = bisect.bisect_left(self.anchors, (quality, -1e9))
        right = min(max(right, 1), len(self.anchors) - 1)
        (q0, p0), (q1, p1) = self.anchors[right - 1], self.anchors[right]
        return p0 + (p1 - p0) * (min(max(quality, q0), q1) - q0) / (q1 - q0)


WEBP_QP = (
    (5, 35.6), (10, 33.5), (20, 30.4), (30, 27.8), (40, 25.2), (50, 23.3),
    (60, 21.6), (70, 19.9), (80, 16.0), (90, 8.5), (95, 6.4),
)  # fmt: skip
AVIF_QP = (
    (5, 41.1), (10, 38.9), (20, 35.4), (30, 31.5), (40, 27.2), (50, 22.0),
    (60, 17.5), (70, 13.1), (80, 9.0), (90, 7.3), (95, 5.5),
)  # fmt: skip

PILLOW_CODECS: tuple[PillowCodec, ...] = (
    PillowCodec("jpeg", ".jpg"),
    PillowCodec("webp", ".webp", WEBP_QP),
    PillowCodec("avif", ".avif", AVIF_QP),
)

_registry: dict[str, Codec] = {codec.name: codec for codec in PILLOW_CODECS}


def register_codec(codec: Codec) -> None:
    """Make a codec known by its name; another one of the same name raises InputError."""
    known = _registry.setdefault(codec.name, codec)
    if known is not codec and known != codec:
        raise InputError(f"a codec named {codec.name!r} is registered already; rename yours")


def codecs() -> dict[str, Codec]:
    """The codecs there are, by name."""
    return dict(_registry)


def get_codec(name: str) -> Codec:
    """The codec of that name; InputError lists the names there are."""
    try:
        return _registry[name]
    except KeyError:
        raise InputError(
            f"no codec named {name!r}; there are {', '.join(sorted(_registry))}. "
            "Third-party ones are known after gesso_hooks.load()"
        ) from None
