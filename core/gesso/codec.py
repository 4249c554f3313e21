"""Codecs: encode, decode, quality range and rate index; JPEG, WebP and AVIF through Pillow."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gesso.errors import InputError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from gesso.surrogates.rate import Coded
    from gesso.surrogates.rounding import Rounding

__all__ = [
    "PILLOW_CODECS",
    "Codec",
    "DifferentiableCodec",
    "JpegCodec",
    "PillowCodec",
    "check_quality",
    "codecs",
    "differentiable_codecs",
    "get_codec",
    "interpolate_anchors",
    "register_codec",
]


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


@runtime_checkable
class DifferentiableCodec(Codec, Protocol):
    """A codec that a gradient can be had for."""

    def surrogate(
        self, *qualities: float, rounding: Rounding = "straight-through"
    ) -> Callable[[Tensor], Coded]:
        """Encoding and decoding RGB (B, 3, H, W) on [0, 1], with the rate.

        One quality for all pictures, or one for each; for ``rounding`` see
        :func:`gesso.surrogates.rounding.rounded`.
        """
        ...


def check_quality(codec: Codec, quality: float) -> None:
    """Raise InputError for a quality outside the codec's range."""
    low, high = sorted(codec.qualities)
    if not low <= quality <= high:
        raise InputError(f"quality {quality:g} is outside {codec.name}'s range [{low:g}, {high:g}]")


def interpolate_anchors(anchors: Sequence[tuple[float, float]], quality: float) -> float:
    """The QP index between (quality, QP index) pairs of rising quality, held at both ends."""
    if quality <= anchors[0][0]:
        return anchors[0][1]
    for (q0, p0), (q1, p1) in pairwise(anchors):
        if quality <= q1:
            return p0 + (p1 - p0) * (quality - q0) / (q1 - q0)
    return anchors[-1][1]


JPEG_QP = (
    (1, 58.1), (3, 57.5), (5, 50.7), (10, 44.4), (15, 41.5), (20, 39.5), (30, 36.7), (40, 34.9),
    (50, 33.4), (60, 32.3), (70, 30.6), (80, 27.9), (90, 23.7), (95, 19.8), (98, 15.6), (100, 12.6),
)  # fmt: skip
WEBP_QP = (
    (1, 43.1), (5, 40.7), (10, 38.9), (15, 37.6), (20, 36.5), (30, 34.5), (40, 32.8), (50, 31.6),
    (60, 30.4), (70, 29.1), (80, 26.4), (90, 21.8), (95, 18.5), (100, 16.5),
)  # fmt: skip
AVIF_QP = (
    (1, 45.7), (5, 45.2), (10, 43.3), (15, 42.3), (20, 40.5), (30, 37.3), (40, 34.1), (50, 30.7),
    (60, 27.4), (70, 24.4), (80, 22.1), (90, 19.3), (95, 17.6), (100, 15.3),
)  # fmt: skip


@dataclass(frozen=True)
class PillowCodec:
    """A codec that Pillow writes and reads.

    ``anchors`` are (quality, QP) pairs: the constant QP of an HEVC still with the same mean
    square error over the validation pictures, printed by ``gesso calibrate``.
    """

    name: str
    extension: str
    anchors: tuple[tuple[float, float], ...] = JPEG_QP
    qualities: tuple[float, float] = (1.0, 100.0)

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """See :class:`Codec`; ``quality`` is rounded to Pillow's whole numbers."""
        check_quality(self, quality)
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
        return interpolate_anchors(self.anchors, quality)

    def surrogate(
        self, *qualities: float, rounding: Rounding = "straight-through"
    ) -> Callable[[Tensor], Coded]:
        """HEVC intra at equal rate indices, for a codec of its kind; see :class:`JpegCodec`."""
        import torch

        from gesso.surrogates.hevc import code_hevc

        for quality in qualities:
            check_quality(self, quality)
        qps = torch.tensor([min(51.0, self.qp(quality)) for quality in qualities])
        return lambda rgb: code_hevc(rgb, qps, rounding)


@dataclass(frozen=True)
class JpegCodec(PillowCodec):
    """JPEG, which can also be differentiated."""

    def differentiable(self, quality: float) -> Callable[[Tensor], Tensor]:
        """Encoding and decoding as a function of RGB (B, 3, H, W) on [0, 1], with gradients.

        Its decodes are those of :meth:`decode` within 50 dB or so; see
        :func:`gesso.surrogates.jpeg.differentiable_jpeg`.
        """
        coded = self.surrogate(quality)
        return lambda rgb: coded(rgb).decoded

    def surrogate(
        self, *qualities: float, rounding: Rounding = "straight-through"
    ) -> Callable[[Tensor], Coded]:
        """:meth:`differentiable`, with the rate; one quality for all pictures, or one for each.

        ``rounding``: see :func:`gesso.surrogates.rounding.rounded`.
        """
        import torch

        from gesso.surrogates.jpeg import code_jpeg, jpeg_tables

        for quality in qualities:
            check_quality(self, quality)
        tables = torch.stack([jpeg_tables(round(quality)) for quality in qualities])
        return lambda rgb: code_jpeg(rgb, tables, "4:2:0", rounding)


PILLOW_CODECS: tuple[PillowCodec, ...] = (
    JpegCodec("jpeg", ".jpg"),
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


def differentiable_codecs() -> dict[str, DifferentiableCodec]:
    """Those of them that a gradient can be had for."""
    return {n: codec for n, codec in codecs().items() if isinstance(codec, DifferentiableCodec)}


def get_codec(name: str) -> Codec:
    """The codec of that name; InputError lists the names there are."""
    try:
        return _registry[name]
    except KeyError:
        raise InputError(
            f"no codec named {name!r}; there are {', '.join(sorted(_registry))}. "
            "Third-party ones are known after gesso_hooks.load()"
        ) from None
