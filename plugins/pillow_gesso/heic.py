"""HEIC: HEVC stills as phones store them, through pillow-heif's own functions.

Pillow itself is left as it is: nothing here calls ``register_heif_opener``.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gesso.codec import check_quality, interpolate_anchors
from gesso.errors import InputError

if TYPE_CHECKING:
    from types import ModuleType

    from PIL import Image

__all__ = ["HEIC", "HeicCodec"]


@dataclass(frozen=True)
class HeicCodec:
    """HEVC by x265 in libheif's container, 8 bits, 4:2:0; the file is counted whole.

    ``anchors`` are (quality, QP) pairs: the constant QP of ``hevc`` with the same mean
    square error over the validation pictures.
    """

    anchors: tuple[tuple[float, float], ...]
    name: str = "heic"
    extension: str = ".heic"
    qualities: tuple[float, float] = (1.0, 100.0)

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """See :class:`gesso.Codec`; ``quality`` is rounded to libheif's whole numbers.

        Raises:
            InputError: another mode than RGB, a quality out of range, or no pillow-heif.
        """
        if image.mode != "RGB":
            raise InputError(f"mode {image.mode} cannot be coded; first use convert('RGB')")
        check_quality(self, quality)
        stream = io.BytesIO()
        # From pixels alone: the metadata of a picture is not what is measured.
        picture = _library().from_bytes("RGB", image.size, image.tobytes())
        picture.save(stream, quality=round(quality), chroma=420)
        return stream.getvalue()

    def decode(self, data: bytes) -> Image.Image:
        """See :class:`gesso.Codec`; raises InputError for bytes that are not a HEIC file."""
        from PIL import Image

        try:
            picture = _library().open_heif(io.BytesIO(data)).to_pillow()
        except (OSError, SyntaxError, ValueError, RuntimeError, EOFError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"these bytes are no whole heic file: {error}") from error
        assert isinstance(picture, Image.Image)
        return picture.convert("RGB")

    def qp(self, quality: float) -> float:
        """See :class:`gesso.Codec`."""
        return interpolate_anchors(self.anchors, quality)


def _library() -> ModuleType:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"HEIC needs pillow-heif ({error}); run: pip install 'gesso[pillow]'"
        ) from error
    return pillow_heif


HEIC_QP = (
    (1, 48.3), (5, 46.4), (10, 44.6), (15, 41.7), (20, 39.6), (30, 34.6), (40, 30.0),
    (50, 25.4), (60, 21.4), (70, 17.9), (80, 15.7), (90, 14.4), (95, 14.1),
)  # fmt: skip
HEIC = HeicCodec(HEIC_QP)
