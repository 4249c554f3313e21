"""ffmpeg's deblocking filters on stills, after any codec."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.peers.tuned import TunedAfter
from gesso.evaluation.pipeline import Peer
from gesso.programs import ffmpeg, run

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DEBLOCKING", "deblock"]

BLOCK = 16


def deblock(image: Image.Image, strength: float, name: str, options: str) -> Image.Image:
    """One RGB picture through the filter ``name``, as full-range YCbCr without subsampling.

    Args:
        image: the picture.
        strength: takes the place of ``{}`` in ``options``, rounded to a whole number.
        name: of the filter.
        options: as ffmpeg reads them.

    Raises:
        InputError: no ffmpeg here has the filter.
        ProgramError: it failed.
    """
    import numpy as np
    from PIL import Image

    width, height = image.size
    # fspp crashes on some sides that are no multiples of its blocks
    more = ((0, -height % BLOCK), (0, -width % BLOCK), (0, 0))
    padded = np.pad(np.asarray(image), more, mode="edge")
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24")
    exact = "flags=accurate_rnd+full_chroma_int"
    graph = (
        f"scale=out_range=full:{exact},format=yuv444p,"
        f"{name}={options.format(round(strength))},"
        f"scale=in_range=full:{exact},format=rgb24"
    )
    # in several threads uspp gives now one picture, now another (ffmpeg 9.0)
    quiet = ("-hide_banner", "-loglevel", "error", "-filter_threads", "1")
    source = (*raw, "-s", f"{padded.shape[1]}x{padded.shape[0]}", "-i", "pipe:0")
    pixels = run([ffmpeg(name), *quiet, *source, "-vf", graph, *raw, "pipe:1"], padded.tobytes())
    if len(pixels) != padded.size:
        raise InputError(f"ffmpeg's {name} gave {len(pixels)} bytes for {padded.size} samples")
    filtered = np.frombuffer(pixels, np.uint8).reshape(padded.shape)
    return Image.fromarray(filtered[:height, :width])


def _unscaled(
    data: bytes, decoded: Image.Image, codec: Codec, quality: float, name: str, options: str
) -> Image.Image:
    return deblock(decoded, 0, name, options)


def _peer(name: str, options: str, about: str, *strengths: tuple[float, float]) -> Peer:
    after = TunedAfter(partial(deblock, name=name, options=options), strengths)
    needs = partial(ffmpeg, name)
    return Peer(f"ffmpeg-{name}", "enhance", f"ffmpeg's {name}: {about}", after=after, needs=needs)


# Unless a quantiser is named, these do nothing to a still. It was chosen for the least product
# of mean square error, LPIPS and DISTS on 256 x 256 crops of the validation pictures, as JPEG of
# quality 5, 10, 20 and 40 (`gesso peers DIR --only ffmpeg-fspp --strengths 1,2,4`). More raises
# PSNR further and costs LPIPS; at 40 none lowers the product, and the weakest stands.
DEBLOCKING: tuple[Peer, ...] = (
    _peer(
        "fspp", "quality=5:qp={}", "shifted DCTs, fast", (34.9, 1), (39.5, 2), (44.4, 6), (50.7, 8)
    ),
    _peer("spp", "quality=5:qp={}", "shifted DCTs", (34.9, 1), (39.5, 1), (44.4, 4), (50.7, 8)),
    _peer(
        "pp7",
        "qp={}",
        "shifted transforms of 7 points",
        (34.9, 1),
        (39.5, 2),
        (44.4, 6),
        (50.7, 12),
    ),
    _peer("uspp", "quality=5:qp={}", "shifted codings", (34.9, 1), (39.5, 2), (44.4, 4), (50.7, 6)),
    Peer(
        "ffmpeg-deblock",
        "enhance",
        "ffmpeg's deblock: smooths the borders of blocks",
        ("jpeg",),
        after=partial(_unscaled, name="deblock", options="filter=strong:block=8"),
        needs=partial(ffmpeg, "deblock"),
    ),
)
