"""HEVC and VVC stills, written by x265 and VVenC and read by ffmpeg's own decoders."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ffmpeg_gesso.heif import HEVC_ITEM, VVC_ITEM, Item, is_heif, unwrap, wrap
from gesso.codec import check_quality
from gesso.errors import InputError
from gesso.programs import ProgramError, ffmpeg, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image
    from torch import Tensor

    from gesso.surrogates.rate import Coded
    from gesso.surrogates.rounding import Rounding

__all__ = ["HEVC", "STILLS", "VVC", "StillCodec"]

LARGEST = 1 << 28  # pixels; hostile bytes must not fill the memory
QUIET = ("-hide_banner", "-loglevel", "error")
# sRGB as Y'CbCr of BT.601 in full range with chroma in the middle of four pixels, as JPEG
# and BPG have it, and so stated in the stream. Of swscale's and zscale's filters these gave
# the best round trip over six validation pictures in 8 bits: 43.4 dB; swscale's own, 40.0.
TO_YUV = (
    "format=gbrp,setparams=colorspace=gbr:range=pc:color_primaries=bt709:color_trc=iec61966-2-1,"
    "zscale=matrix=470bg:range=full:chromal=center:filter=lanczos,format={}"
)
TO_RGB = "scale=flags=lanczos+accurate_rnd+full_chroma_int,format=rgb24"


@dataclass(frozen=True)
class StillCodec:
    """One intra picture, 4:2:0, by an encoder of ffmpeg's; quality is the constant QP.

    The file is the raw Annex B stream, parameter sets and end-of-bitstream unit included:
    every byte counts. A picture with a side that is odd or under ``smallest`` is padded
    and goes into a HEIF file of about 310 bytes more, whose clean aperture states its size.
    Stock decoders show either in the right colours: ffmpeg the stream, libheif the HEIF
    file (a VVC one where it is built with vvdec).

    Attributes:
        name: see :class:`gesso.Codec`, and ffmpeg's name of the raw format.
        extension: see :class:`gesso.Codec`.
        qualities: the (worst, best) QP.
        encoder: ffmpeg's name.
        options: the encoder's arguments but for the QP, which fills ``{qp}``.
        pixels: ffmpeg's name of the samples' format.
        smallest: side that the encoder can do with.
        item: how HEIF holds the picture.
    """

    name: str
    extension: str
    qualities: tuple[float, float]
    encoder: str
    options: tuple[str, ...]
    pixels: str
    smallest: int
    item: Item

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """See :class:`gesso.Codec`; ``quality`` is rounded to a whole QP.

        Raises:
            InputError: another mode than RGB, a QP out of range, a picture that the encoder
                will not take, or no ffmpeg with the encoder and zscale.
        """
        if image.mode != "RGB":
            raise InputError(f"mode {image.mode} cannot be coded; first use convert('RGB')")
        check_quality(self, quality)
        coded = _padded(image, self.smallest)
        command = [
            *(ffmpeg(self.encoder, "zscale"), *QUIET, "-f", "rawvideo", "-pix_fmt", "rgb24"),
            *("-s", f"{coded.width}x{coded.height}", "-r", "1", "-i", "pipe:0"),
            *("-vf", TO_YUV.format(self.pixels), "-frames:v", "1", "-threads", "1"),
            *("-c:v", self.encoder, *(word.format(qp=round(quality)) for word in self.options)),
            *("-f", self.name, "pipe:1"),
        ]
        try:
            stream = run(command, coded.tobytes())
        except ProgramError as error:
            size = f"{image.width} x {image.height} pixels"
            raise InputError(
                f"{self.name} cannot code {size} at {quality:g}: {error}; a worse quality may do"
            ) from error
        if coded.size != image.size:
            return wrap(stream, self.item, coded.size, image.size)
        syntax = self.item.syntax
        return syntax.stream(syntax.units(stream), ended=True)

    def decode(self, data: bytes) -> Image.Image:
        """See :class:`gesso.Codec`.

        Raises:
            InputError: not a whole file of this codec, or no ffmpeg that reads it.
        """
        from PIL import Image

        # One thread: ffmpeg 9's VVC decoder races with more and shows wrong pixels.
        command = [
            *(ffmpeg(self.encoder, "zscale"), *QUIET, "-xerror", "-err_detect", "explode"),
            *("-threads", "1", "-max_pixels", str(LARGEST), "-f", self.name, "-i", "pipe:0"),
            *("-vf", TO_RGB, "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"),
        ]
        try:
            stream, size = self._stream(data)
            with Image.open(io.BytesIO(run(command, stream)), formats=["PPM"]) as picture:
                width, height = size or picture.size
                if not (0 < width <= picture.width and 0 < height <= picture.height):
                    raise InputError(f"it shows {width} x {height} pixels and has fewer")
                return picture.convert("RGB").crop((0, 0, width, height))
        except (InputError, ProgramError, OSError, Image.DecompressionBombError) as error:
            raise InputError(f"these bytes are no whole {self.name} file: {error}") from error

    def _stream(self, data: bytes) -> tuple[bytes, tuple[int, int] | None]:
        """The stream inside a file, and the size to show where the stream does not state it."""
        if is_heif(data):
            return unwrap(data, self.item)
        if not data.endswith(self.item.syntax.end):
            raise InputError("its end-of-bitstream unit is missing; it was cut short")
        return data, None

    def surrogate(
        self, *qualities: float, rounding: Rounding = "straight-through"
    ) -> Callable[[Tensor], Coded]:
        """HEVC intra at these QPs, one for all pictures or for each; VVC is of its kind.

        See :func:`gesso.surrogates.hevc.code_hevc`.
        """
        import torch

        from gesso.surrogates.hevc import code_hevc

        for quality in qualities:
            check_quality(self, quality)
        qps = torch.tensor([min(51.0, float(round(quality))) for quality in qualities])
        return lambda rgb: code_hevc(rgb, qps, rounding)

    def qp(self, quality: float) -> float:
        """See :class:`gesso.Codec`: the QP itself.

        VVC's errs as HEVC's does: over the validation pictures HEVC's QP of the same mean
        square error is 17.9, 30.4, 42.6 and 60.2 where VVC's is 19, 32, 44 and 60.
        """
        return float(quality)


def _padded(image: Image.Image, smallest: int) -> Image.Image:
    """The picture, its last row and column repeated until both sides are even and no less."""
    from PIL import Image

    width, height = (max(smallest, side + side % 2) for side in image.size)
    if (width, height) == image.size:
        return image
    import numpy as np

    more = ((0, height - image.height), (0, width - image.width), (0, 0))
    return Image.fromarray(np.pad(np.asarray(image), more, mode="edge"))


# bpgenc's settings (libbpg 0.9.8): its default preset, constant QP, tuned for no metric by
# eye; `ipratio` is what would set an intra picture's QP apart from the QP asked for.
X265 = (
    "qp={qp}:ipratio=1:keyint=1:total-frames=1:aq-mode=0:psy-rd=0:psy-rdoq=0:"
    "info=0:vui-timing-info=0:wpp=0:pools=none:frame-threads=1:log-level=error"
)
HEVC = StillCodec(
    "hevc",
    ".hevc",
    (51.0, 0.0),
    "libx265",
    ("-preset", "veryslow", "-x265-params", X265),
    "yuv420p",
    16,
    HEVC_ITEM,
)
# All intra as VTM's configuration has it: every picture at the QP asked for, no perceptual
# adaptation. VVenC takes 10 bits only, and states range and siting when told here. ffmpeg
# lends it no more than a byte per pixel, which the smallest pictures would overrun.
VVENC = (
    "intraperiod=1:gopsize=1:poc0idr=1:intraqpoffset=0:videofullrange=1:chromalocinfopresent=1:"
    "chromasampleloctype=1:hrdparameterspresent=0:accessunitdelimiter=0:verbosity=0"
)
VVC = StillCodec(
    "vvc",
    ".vvc",
    (63.0, 0.0),
    "libvvenc",
    ("-preset", "medium", "-qpa", "0", "-qp", "{qp}", "-vvenc-params", VVENC),
    "yuv420p10le",
    64,
    VVC_ITEM,
)
STILLS: tuple[StillCodec, ...] = (HEVC, VVC)
