"""The pictures that an evaluation starts from: read honestly, named briefly."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.errors import InputError
from gesso.frame import Frame

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["named", "read_bytes", "read_picture"]


def named(files: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Files by their name below the folder that all of them share.

    Raises:
        InputError: no files.
    """
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no pictures to evaluate; pass at least one file")
    shared = os.path.commonpath([path.absolute().parent for path in paths])
    return {Path(os.path.relpath(path.absolute(), shared)).as_posix(): path for path in paths}


def read_bytes(path: Path) -> bytes:
    """The bytes of a file; InputError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error


def read_picture(data: bytes) -> Image.Image:
    """The bytes of a picture file as RGB pixels, as stored (no rotation, no colour transform).

    Raises:
        InputError: not a whole picture, or one that has no honest RGB form.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except UnidentifiedImageError as error:
        raise InputError("not a picture that Pillow knows") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"is too large: {error}") from error
    # what Pillow's decoders raise on damaged files; RuntimeError is AVIF's
    except (OSError, SyntaxError, ValueError, RuntimeError, struct.error) as error:
        raise InputError(f"cannot be decoded: {error}") from error
    Frame.of(image)  # names the modes that cannot be used, and the mend
    if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() != (255, 255):
        raise InputError("has transparency, which lossy codecs drop; flatten it first")
    return image.convert("RGB")
