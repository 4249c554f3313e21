"""What a save is going to be coded with: the target, from the stock handlers' own options."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.target import Target

__all__ = ["CODECS", "target_of_save"]

# Pillow's formats that one of our codecs writes; MPO is JPEGs in a row.
CODECS = {"JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp", "AVIF": "avif"}


def target_of_save(image: Image.Image, format: str, settings: Mapping[str, Any]) -> Target:
    """The codec and quality that Pillow will use.

    Args:
        image: as it is saved; ``quality="keep"`` reads its tables.
        format: one of ``CODECS``.
        settings: the keywords of the save.

    Raises:
        InputError: a save without loss, or "keep" for a picture that is no JPEG.
        ValueError, TypeError: a quality that Pillow will not take either.
    """
    codec = CODECS[format]
    if codec == "jpeg":
        return _jpeg(image, settings)
    if codec == "webp" and settings.get("lossless") and not _mixes(image, settings):
        raise InputError(
            "lossless WebP stores the picture as it is and cannot honour preprocess=; "
            "leave one of the two out"
        )
    return _target(codec, float(settings.get("quality", 80 if codec == "webp" else 75)))


def _target(codec: str, quality: float) -> Target:
    """Pillow takes a quality of 0, which encoders treat as the worst there is."""
    low, high = sorted(get_codec(codec).qualities)
    return Target(codec, min(max(quality, low), high))


def _jpeg(image: Image.Image, settings: Mapping[str, Any]) -> Target:
    quality, tables = settings.get("quality", -1), settings.get("qtables")
    if quality == "keep" or (isinstance(tables, str) and tables == "keep"):
        kept = getattr(image, "quantization", None)
        if not kept:
            raise InputError("only a JPEG has a quality to keep; pass quality= as a number")
        return Target.of_jpeg_tables(kept)
    if isinstance(quality, int) and tables is None:
        return _target("jpeg", 75 if quality == -1 else quality)
    # Presets, own tables, and tables scaled by a quality: the encoder knows best.
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG", quality=quality, qtables=tables)
    with Image.open(stream, formats=["JPEG"]) as probe:
        return Target.of_jpeg_tables(getattr(probe, "quantization", {}))


def _mixes(image: Image.Image, settings: Mapping[str, Any]) -> bool:
    """Whether an animation is coded with loss where that is smaller, as ``allow_mixed`` asks."""
    frames = [image, *settings.get("append_images", [])]
    several = sum(getattr(frame, "n_frames", 1) for frame in frames) > 1
    return bool(settings.get("allow_mixed")) and several
