"""Writes pictures: lossless where the format can, metadata kept where it can carry them."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError
from gesso_cli.console import one_line

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from gesso_cli.reading import Metadata

__all__ = ["SUFFIXES", "Format", "check_free", "format_of", "save"]


@dataclass(frozen=True)
class Format:
    """How a kind of file is written.

    Attributes:
        name: Pillow's.
        modes: those that it keeps.
        options: of Pillow's save; the best quality there is.
        best: for lossy formats, that quality in words.
    """

    name: str
    modes: tuple[str, ...]
    options: dict[str, Any]
    best: str = ""


PNG = Format("PNG", ("RGB", "RGBA", "L", "LA", "I;16"), {})
# Not compressed: with libtiff, Pillow cannot write the sub-folders of EXIF.
TIFF = Format("TIFF", ("RGB", "RGBA", "L", "LA", "I;16"), {})
# Without exact, colours under full transparency would be lost.
WEBP = Format("WEBP", ("RGB", "RGBA"), {"lossless": True, "exact": True})
JPEG = Format("JPEG", ("RGB", "L"), {"quality": 100, "subsampling": 0}, "quality 100, 4:4:4")
AVIF = Format(
    "AVIF", ("RGB", "RGBA"), {"quality": 100, "subsampling": "4:4:4"}, "quality 100, 4:4:4"
)
SUFFIXES: dict[str, Format] = {
    ".png": PNG,
    ".webp": WEBP,
    ".tif": TIFF,
    ".tiff": TIFF,
    ".jpg": JPEG,
    ".jpeg": JPEG,
    ".avif": AVIF,
}


def format_of(path: Path) -> Format:
    """The format that a name asks for; raises InputError naming the suffixes there are."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise InputError(
            f"cannot write {path}: no picture format for {path.suffix or 'a name without suffix'}; "
            f"end it in {', '.join(SUFFIXES)}"
        ) from None


def check_free(source: Path, target: Path, overwrite: bool) -> None:
    """Raise InputError when ``target`` is there already and was not given up."""
    if overwrite or not target.exists():
        return
    if source.exists() and os.path.samefile(source, target):
        raise InputError(f"{target} would replace its own input; pass --overwrite to do so")
    raise InputError(f"{target} exists; pass --overwrite to replace it")


def save(
    picture: Image.Image | NDArray[Any],
    path: Path,
    metadata: Metadata,
    name: Path,
    quality: int | None = None,
) -> None:
    """Write a picture with its metadata into ``path``, in the format its suffix asks for.

    Args:
        picture: PIL image, or a 16-bit grey array.
        path: a temporary file.
        metadata: to write beside the pixels.
        name: what the file will be called, for messages.
        quality: of a lossy file, as Pillow has it; None is the best there is.

    Raises:
        InputError: the format cannot hold this picture.
    """
    from PIL import Image

    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    kind = format_of(path)
    if image.mode not in kind.modes and not _widens(image, kind):
        what = {"I;16": "16-bit grey"}.get(image.mode, "transparency")
        raise InputError(f"cannot write {name}: {kind.name} holds no {what}; end it in .png")
    options: dict[str, Any] = dict(kind.options)
    if quality is not None:
        options = {"quality": quality}
    if kind.name == "TIFF":
        options |= _tiff_tags(metadata)
    elif kind.name == "PNG":
        options |= _png_chunks(metadata)
    else:
        options["xmp"] = metadata.xmp
        options["exif"] = metadata.exif
    if metadata.dpi and kind.name in ("PNG", "JPEG", "TIFF"):
        options["dpi"] = metadata.dpi
    stream = io.BytesIO()
    try:
        image.save(stream, format=kind.name, icc_profile=metadata.icc or None, **options)
    except (ValueError, OSError) as error:
        # Such as "EXIF data is too long": in memory, only the format can be the reason.
        raise InputError(
            f"cannot write {name} as {kind.name}: {one_line(error)}; end it in .png"
        ) from error
    path.write_bytes(stream.getbuffer())


def _widens(image: Image.Image, kind: Format) -> bool:
    """Whether Pillow writes a grey picture as RGB with the same values."""
    return {"L": "RGB", "LA": "RGBA"}.get(image.mode) in kind.modes


def _png_chunks(metadata: Metadata) -> dict[str, Any]:
    from PIL.PngImagePlugin import PngInfo

    chunks: dict[str, Any] = {"exif": metadata.exif} if metadata.exif else {}
    if metadata.xmp:
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", metadata.xmp.decode("utf-8", "replace"))
        chunks["pnginfo"] = info
    return chunks


def _tiff_tags(metadata: Metadata) -> dict[str, Any]:
    from PIL import Image

    exif = Image.Exif()
    if metadata.exif:
        exif.load(metadata.exif)
    if metadata.xmp:
        exif[700] = metadata.xmp
    return {"exif": exif}
