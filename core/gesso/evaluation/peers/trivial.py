"""Blur and unsharp mask, measured like models: what no model may lose against unnoticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gesso.evaluation.peers.tuned import TunedAfter, TunedBefore
from gesso.evaluation.pipeline import Peer

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["TRIVIAL", "blur", "sharpen"]


def blur(image: Image.Image, sigma: float) -> Image.Image:
    """Pillow's Gaussian blur; ``sigma`` in pixels, 0 leaves the picture as it is."""
    from PIL import ImageFilter

    return image.filter(ImageFilter.GaussianBlur(sigma))


def sharpen(image: Image.Image, percent: float) -> Image.Image:
    """Pillow's unsharp mask over one pixel; ``percent`` of the detail that a blur removes."""
    from PIL import ImageFilter

    return image.filter(ImageFilter.UnsharpMask(radius=1, percent=round(percent), threshold=0))


# (rate index, strength), chosen on the validation pictures as JPEG, by such as
# `gesso peers VAL --only blur --strengths 0.3,0.4,0.5 --metrics psnr`; the indices 34.9, 39.5
# and 44.4 are those of quality 40, 20 and 10. Blur goes by PSNR, the one metric that it raises:
# by 0.06, 0.12 and 0.20 dB.
BLUR = ((34.9, 0.3), (39.5, 0.4), (44.4, 0.5))
# By LPIPS x DISTS, on crops of four pictures: -0.7, -3 and -4 %; PSNR falls by 0.2 to 0.5 dB.
UNSHARP = ((34.9, 10), (39.5, 25))
# By BD-rate in PSNR: -0.7 %, where 0.2 and 0.4 gave -0.3 and -0.2 %. LPIPS wants none of it.
PREBLUR = ((0, 0.3),)
# By the mean BD-rate in LPIPS and DISTS, on the same crops: +0.4 %, and the more the worse.
PRESHARPEN = ((0, 10),)

TRIVIAL: tuple[Peer, ...] = (
    Peer(
        "blur",
        "enhance",
        "trivial filter: Gaussian blur after decoding",
        after=TunedAfter(blur, BLUR),
    ),
    Peer(
        "unsharp",
        "enhance",
        "trivial filter: unsharp mask after decoding",
        after=TunedAfter(sharpen, UNSHARP),
    ),
    Peer(
        "preblur",
        "preprocess",
        "trivial filter: Gaussian blur before encoding",
        before=TunedBefore(blur, PREBLUR),
    ),
    Peer(
        "presharpen",
        "preprocess",
        "trivial filter: unsharp mask before encoding",
        before=TunedBefore(sharpen, PRESHARPEN),
    ),
)
