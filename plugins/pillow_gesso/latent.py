"""``.gsl``, the latent codec's files, as one of Pillow's formats."""

from __future__ import annotations

from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from PIL import Image

from gesso.errors import InputError
from gesso.latent import EXTENSION
from gesso.latent.imagefile import FORMAT, MIME, LatentImageFile
from pillow_gesso.wishes import suspended

if TYPE_CHECKING:
    from pillow_gesso.registration import Registration

__all__ = ["QUALITY", "places"]

QUALITY = 64  # the paper's 3.4 kB for 512 x 512, in its own coding
OPTIONS = ("model", "palette", "dither", "refine")
Place = tuple[dict[str, Any], str, Any]


def places(registration: Registration, enhanced: str) -> list[Place]:
    """What goes where in Pillow: (table, key, value).

    Args:
        registration: whose ``latent`` opens and saves.
        enhanced: the name of the format whose pictures are repaired.
    """

    def opened(fp: IO[bytes], filename: str | bytes) -> LatentImageFile:
        return LatentImageFile(fp, filename, replace(registration.latent, repair=None))

    def repaired(fp: IO[bytes], filename: str | bytes) -> LatentImageFile:
        from gesso.latent.repair import RepairOptions

        codec = registration.latent
        wish = codec.repair or RepairOptions()
        return LatentImageFile(fp, filename, replace(codec, repair=wish))

    def save(image: Image.Image, fp: IO[bytes], filename: str | bytes) -> None:
        fp.write(_coded(image, registration))

    return [
        (Image.OPEN, FORMAT, (opened, _accept)),
        (Image.OPEN, enhanced, (repaired, _accept)),
        (Image.SAVE, FORMAT, save),
        (Image.EXTENSION, EXTENSION, FORMAT),
        (Image.MIME, FORMAT, MIME),
    ]


def _accept(prefix: bytes) -> bool:
    from gesso.latent.stream import MAGIC

    return prefix.startswith(MAGIC)


def _coded(image: Image.Image, registration: Registration) -> bytes:
    """The file of a picture that is being saved.

    Raises:
        OSError: a mode that a file cannot hold.
        InputError: an option out of its range.
        ValueError: a picture without pixels.
    """
    settings: dict[str, Any] = image.encoderinfo
    if image.mode not in ("RGB", "L"):
        raise OSError(
            f"cannot write mode {image.mode} as {FORMAT}; first use convert('RGB'), without alpha"
        )
    if 0 in image.size:
        raise ValueError(f"cannot write empty image as {FORMAT}")
    quality = settings.get("quality", QUALITY)
    if isinstance(quality, bool) or not isinstance(quality, int | float):
        raise InputError(f"quality is the palette's entries, 16 to 256, got {quality!r}")
    given = {name: settings[name] for name in OPTIONS if settings.get(name) is not None}
    codec = replace(registration.latent, **given)
    with suspended():
        return codec.encode(image, quality)
