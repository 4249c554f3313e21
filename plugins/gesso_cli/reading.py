"""Picture files: what is in them, and what they were coded with."""

from __future__ import annotations

import os
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

    from gesso.frame import Frame
    from gesso.options import EnhanceOptions
    from gesso.target import Target

__all__ = ["Metadata", "Photo", "read_photo", "target_of_file"]

# What Pillow's decoders raise on damaged files; RuntimeError is AVIF's.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, struct.error, OverflowError, RuntimeError)
EXIF = b"Exif\x00\x00"
# A TIFF file's tags mix what describes the picture with how its strips are stored.
DESCRIBING = (269, 270, 271, 272, 305, 306, 315, 316, 33432)
SUB_IFDS = (34665, 34853)
READABLE = ("RGB", "RGBA", "L", "LA", "I;16", "I;16B", "I;16L", "I;16N")
# Into what a picture of another mode can be converted without harm.
MENDS = {
    "CMYK": "RGB, by its ICC profile",
    "P": "RGB, or RGBA where it has transparency",
    "PA": "RGBA",
    "1": "8-bit grey",
    "I": "16-bit grey",
    "F": "16-bit grey",
}


@dataclass(frozen=True)
class Metadata:
    """What travels with the pixels; orientation is kept as a tag and never applied here.

    (Pillow applies a TIFF's when it reads one, and drops the tag.)

    Attributes:
        exif: with its ``Exif`` header, or empty.
        icc: an ICC profile, or empty.
        xmp: an XMP packet, or empty.
        dpi: pixels per inch, or None.
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None

    @classmethod
    def of(cls, image: Image.Image) -> Metadata:
        """The metadata that Pillow found."""
        info = image.info
        exif = bytes(_tiff_exif(image) if image.format == "TIFF" else info.get("exif") or b"")
        if exif and not exif.startswith(EXIF):
            exif = EXIF + exif
        xmp = info.get("xmp") or b""
        dpi = info.get("dpi")
        return cls(
            exif=exif,
            icc=info.get("icc_profile") or b"",
            xmp=xmp.encode() if isinstance(xmp, str) else bytes(xmp),
            dpi=(float(dpi[0]), float(dpi[1])) if dpi and min(dpi) > 0 else None,
        )


def _tiff_exif(image: Image.Image) -> bytes:
    from PIL import Image

    found, kept = image.getexif(), Image.Exif()
    for tag in DESCRIBING:
        if tag in found:
            kept[tag] = found[tag]
    for number in SUB_IFDS:
        if ifd := found.get_ifd(number):
            kept.get_ifd(number).update(ifd)
            kept[number] = ifd
    return kept.tobytes() if len(kept) else b""


@dataclass(frozen=True)
class Photo:
    """A picture file in memory.

    Attributes:
        path: where it came from.
        frame: its pixels as stored.
        metadata: what travels with them.
        codec: ``jpeg``, ``webp``, ``avif``, or empty for a lossless file.
        tables: a JPEG's quantisation tables.
        bpp: bits per pixel that the codec spent, metadata not counted.
    """

    path: Path
    frame: Frame
    metadata: Metadata = field(default_factory=Metadata)
    codec: str = ""
    tables: Mapping[int, Any] = field(default_factory=dict)
    bpp: float = 0.0


def read_photo(path: Path) -> Photo:
    """Decode a picture file.

    Raises:
        InputError: empty, truncated, foreign, animated, or of a mode that cannot be treated
            honestly; the message names the mend.
        OSError: it cannot be opened.
    """
    from PIL import Image, UnidentifiedImageError

    from gesso_cli.latent import is_latent

    if path.is_dir():
        raise InputError(f"{path} is a folder; name the pictures in it, as in {path}/*.jpg")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy it again from where it came from")
    with path.open("rb") as stream, warnings.catch_warnings():
        # Of 90 megapixels and more; beyond twice that, Pillow refuses.
        warnings.simplefilter("ignore")
        try:
            with Image.open(stream) as image:
                _check(path, image)
                image.load()
                return _photo(path, image, size)
        except InputError:
            raise
        except UnidentifiedImageError as error:
            if is_latent(path):
                raise InputError(f"{path} is a .gsl; gesso decode makes a PNG of it") from error
            raise InputError(f"{path} is no picture that Pillow knows; convert it") from error
        except Image.DecompressionBombError as error:
            raise InputError(f"{path} is too large: {error}; cut it into parts") from error
        except DAMAGE as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise InputError(f"{path} is damaged: {error}; copy or export it again") from error


def _check(path: Path, image: Image.Image) -> None:
    """Refuse what would lose something without a word."""
    # A Multi-Picture file's first picture is the photograph, the others are its previews.
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise InputError(f"{path} holds {frames} pictures; extract the one you want first")
    if image.mode not in READABLE:
        mend = MENDS.get(image.mode, "RGB")
        raise InputError(f"{path} is in mode {image.mode}; convert it to {mend} first")
    raw = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
    if ";16" in raw and not image.mode.startswith("I"):
        raise InputError(
            f"{path} has 16 bits per channel, of which Pillow reads 8; save it with 8, "
            "or pass it to gesso.enhance as a numpy uint16 array"
        )


def _photo(path: Path, image: Image.Image, size: int) -> Photo:
    import numpy as np

    from gesso.frame import Frame

    if image.mode in ("RGB", "L") and "transparency" in image.info:
        raise InputError(f"{path} marks one colour as transparent; convert it to RGBA first")
    metadata = Metadata.of(image)
    # Pillow's 16-bit grey is a plain array to the core.
    wide = image.mode.startswith("I;16")
    frame = Frame.of(np.array(image).astype(np.uint16) if wide else image)
    payload = size - len(metadata.exif) - len(metadata.icc) - len(metadata.xmp)
    return Photo(
        path=path,
        frame=frame,
        metadata=metadata,
        codec=_codec(path, image.format or ""),
        tables=getattr(image, "quantization", None) or {},
        bpp=8 * max(payload, 1) / (image.width * image.height),
    )


def _codec(path: Path, pillow_format: str) -> str:
    if pillow_format in ("JPEG", "MPO"):
        return "jpeg"
    if pillow_format == "WEBP" and not _is_lossless_webp(path):
        return "webp"
    return "avif" if pillow_format == "AVIF" else ""


def _is_lossless_webp(path: Path) -> bool:
    """Whether the RIFF chunks hold a VP8L picture (RFC 9649, 2.6)."""
    with path.open("rb") as stream:
        stream.seek(12)
        while len(head := stream.read(8)) == 8:
            name, length = struct.unpack("<4sI", head)
            if name in (b"VP8 ", b"VP8L"):
                return bool(name == b"VP8L")
            stream.seek(length + length % 2, os.SEEK_CUR)
    return False


def target_of_file(
    photo: Photo,
    codec: str | None,
    quality: float | None,
    table: Mapping[str, Any],
    options: EnhanceOptions | None = None,
) -> Target:
    """What a photo was coded with: as told, as its file states, or as its pixels show.

    Args:
        photo: a decoded file.
        codec: told by the user, or None.
        quality: told by the user, or None.
        table: the model's noise table, whose rates tell the quality of a WebP or AVIF file.
        options: where they ask for what a JPEG file itself states, it is read.

    Raises:
        InputError: it cannot be told, or not read; the message names the mend.
    """
    from dataclasses import replace

    from gesso.jpeg import JpegCoefficients, coefficients_for

    target = _target_of_file(photo, codec, quality, table)
    if options is None or (target.codec, photo.codec) != ("jpeg", "jpeg"):
        return target

    def read() -> JpegCoefficients:
        try:
            return JpegCoefficients.of_file(photo.path.read_bytes())
        except InputError as error:
            raise InputError(f"{photo.path}: {error}") from error

    return replace(target, jpeg=coefficients_for(options, read, quality))


def _target_of_file(
    photo: Photo, codec: str | None, quality: float | None, table: Mapping[str, Any]
) -> Target:
    from gesso.noise import jpeg_quality_of_pixels, quality_of_rate
    from gesso.target import Target

    name = codec or photo.codec
    if quality is not None:
        if not name:
            raise InputError(f"{photo.path} does not state its codec; pass --codec, too")
        return Target(name, quality)
    if name and name != photo.codec:
        raise InputError(f"{photo.path} is no {name} file; pass the --quality it was coded with")
    if photo.tables:
        return Target.of_jpeg_tables(dict(photo.tables))
    if name:
        return Target(name, quality_of_rate(table, name, photo.bpp))
    found = jpeg_quality_of_pixels(photo.frame)
    if found is None:
        raise InputError(
            f"{photo.path} is lossless and shows no traces of a JPEG; "
            "pass --codec and --quality, or --sigma"
        )
    return Target("jpeg", found)
