"""A document and pictures to make pages of."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from gesso.evaluation.page import Pair


def point(quality: float, variant: str, bpp: float, psnr: float, lpips: float) -> dict[str, Any]:
    return {"quality": quality, "variant": variant, "bpp": bpp, "psnr": psnr, "lpips": lpips}


@pytest.fixture
def content() -> dict[str, Any]:
    """Five qualities, plain and gesso: LPIPS is a fifth lower, PSNR 0.1 dB."""
    rows = [(10, 0.3, 26.0, 0.4), (20, 0.5, 28.5, 0.25), (30, 0.65, 30.0, 0.19)]
    rows += [(45, 0.8, 31.2, 0.14), (65, 1.1, 33.0, 0.09)]
    points = []
    for quality, bpp, psnr, lpips in rows:
        points.append(point(quality, "plain", bpp, psnr, lpips))
        points.append(point(quality, "gesso", bpp, psnr - 0.1, 0.8 * lpips))
    return {
        "codec": "jpeg",
        "side": "enhance",
        "model": "prior",
        "images": 3,
        "points": points,
        "notes": {"bpp": "the file is the same on both sides"},
        "seconds": {"encode": 0.0012, "decode": None, "gesso": 7.25},
        "machine": {"cpu": "some processor", "cores": 2},
        "settings": {"model": "prior", "preset": "medium", "sha256": "00ff", "sigma": None},
        "lower_is_better": {"psnr": False, "lpips": True},
        "complete": True,
        "unreadable": {},
    }


@pytest.fixture
def pair() -> Pair:
    """48 x 32 pixels in plain colours, so that it is seen which side is shown."""
    colours = ("#00ff00", "#ff0000", "#0000ff")
    source, plain, gesso = (Image.new("RGB", (48, 32), colour) for colour in colours)
    return Pair("one.png", 10, "100 bytes", "101 bytes", source, plain, gesso)


@pytest.fixture
def noisy() -> Image.Image:
    """Noise, 96 x 64."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
