"""The pictures of a page: cut to what a page can carry, each embedded once, lossless."""

from __future__ import annotations

import base64
import hashlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError
from gesso.evaluation.sheet import worst_window

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Gallery", "Pair"]

LARGEST = 2_000_000  # pixels; a lossless picture of that size takes about 4 MB in a page
LONGEST = 16_383  # of a side, in WebP
SIDES = ("source", "plain", "gesso")


@dataclass(frozen=True)
class Pair:
    """One picture at one quality, plain against gesso.

    Attributes:
        name: of the picture, as any text.
        quality: on the codec's scale.
        caption_plain: bytes, bits per pixel and metrics of ``plain``.
        caption_gesso: the same of ``gesso``.
        source: the picture before coding.
        plain: what a user sees without gesso; of the same size as the others.
        gesso: what a user sees with it.
    """

    name: str
    quality: float
    caption_plain: str
    caption_gesso: str
    source: Image.Image
    plain: Image.Image
    gesso: Image.Image


@dataclass
class Gallery:
    """Every picture once, and which of them make a pair.

    Attributes:
        pictures: ``id``, ``uri``, ``width``, ``height``, ``alt`` and ``caption`` of each.
        pairs: what the slider shows, with the ids of its pictures.
    """

    pictures: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    _known: dict[str, str] = field(default_factory=dict)
    _windows: dict[tuple[str, tuple[int, int]], tuple[int, int, int, int]] = field(
        default_factory=dict
    )

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Gallery:
        """Embed the pictures of all pairs.

        Raises:
            InputError: the three pictures of a pair differ in size.
        """
        gallery = cls()
        for pair in pairs:
            gallery._add(pair)
        return gallery

    def _add(self, pair: Pair) -> None:
        size = pair.source.size
        if not pair.plain.size == pair.gesso.size == size:
            raise InputError(f"{pair.name}: source, plain and gesso differ in size")
        window = self._window(pair)
        width, height = window[2] - window[0], window[3] - window[1]
        quality = f"quality {pair.quality:g}"
        texts = {
            "source": (f"{pair.name}, source", f"{pair.name}, source"),
            "plain": (
                f"{pair.name}, {quality}, plain",
                f"{pair.name}, {quality}, plain: {pair.caption_plain}",
            ),
            "gesso": (
                f"{pair.name}, {quality}, gesso",
                f"{pair.name}, {quality}, gesso: {pair.caption_gesso}",
            ),
        }
        ids = {side: self._embed(getattr(pair, side).crop(window), *texts[side]) for side in SIDES}
        note = ""
        if (width, height) != size:
            note = (
                f"The picture has {size[0]} by {size[1]} pixels. Shown is the window of "
                f"{width} by {height} at ({window[0]}, {window[1]}) where the plain picture errs "
                "most; the figures are those of the whole picture."
            )
        self.pairs.append(
            {
                "name": pair.name,
                "quality": pair.quality,
                "captions": [pair.caption_plain, pair.caption_gesso],
                "width": width,
                "height": height,
                "note": note,
                **ids,
            }
        )

    def _window(self, pair: Pair) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of what is shown: the same at every quality."""
        key = pair.name, pair.source.size
        if key not in self._windows:
            self._windows[key] = _worst(pair.source, pair.plain)
        return self._windows[key]

    def _embed(self, picture: Image.Image, alt: str, caption: str) -> str:
        rgb = picture.convert("RGB")
        digest = hashlib.sha256(repr(rgb.size).encode() + rgb.tobytes()).hexdigest()
        if digest not in self._known:
            stream = io.BytesIO()
            rgb.save(stream, format="WEBP", lossless=True, method=4)
            data = base64.b64encode(stream.getvalue()).decode("ascii")
            self._known[digest] = f"picture-{len(self.pictures) + 1}"
            self.pictures.append(
                {
                    "id": self._known[digest],
                    "uri": f"data:image/webp;base64,{data}",
                    "width": rgb.width,
                    "height": rgb.height,
                    "alt": alt,
                    "caption": caption,
                }
            )
        return self._known[digest]


def _worst(source: Image.Image, plain: Image.Image) -> tuple[int, int, int, int]:
    """The whole picture, or of a large one the window where ``plain`` errs most."""
    from PIL import Image, ImageChops

    width, height = source.size
    scale = min(1.0, math.sqrt(LARGEST / (width * height)))
    wide, high = (min(max(1, int(side * scale)), LONGEST) for side in source.size)
    if (wide, high) == (width, height):
        return 0, 0, width, height
    error = ImageChops.difference(source.convert("L"), plain.convert("L"))
    # Means over small squares find the same place in a fraction of the memory.
    step = max(1, min(round(1 / scale), wide, high))
    coarse = error.reduce(step)
    nothing = Image.new("L", coarse.size)
    left, top = worst_window(coarse, nothing, max(1, wide // step), max(1, high // step))
    left, top = min(left * step, width - wide), min(top * step, height - high)
    return left, top, left + wide, top + high
