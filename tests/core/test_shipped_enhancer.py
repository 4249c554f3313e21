"""The presets that ship: on photographs they never saw, as sharp as they come and enlarged."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from gesso import EnhanceOptions, Frame, Runtime, Target
from gesso.codec import get_codec
from gesso.enhancer import enhance_frame
from gesso.evaluation.perceptual import (
    dists_against,
    lpips_alex_against,
    missing_dists,
    missing_lpips_alex,
)

missing = missing_lpips_alex() or missing_dists()
CPU = Runtime("cpu")
PHOTOS = {"coffee": (60, 180), "astronaut": (20, 120), "chelsea": (20, 60)}
SIDE = 192


def photo(name: str, enlarged: int) -> Image.Image:
    """A part of a photograph, of the same size however much it was enlarged."""
    top, left = PHOTOS[name]
    whole = Image.fromarray(getattr(data, name)())
    part = whole.crop((left, top, left + SIDE // enlarged, top + SIDE // enlarged))
    return part.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


@pytest.mark.skipif(missing is not None, reason=str(missing))
@pytest.mark.parametrize("preset", ["fast", "medium"])
@pytest.mark.parametrize(
    ("codec", "quality", "enlarged", "most"),
    [
        ("jpeg", 10, 1, 0.85),
        ("jpeg", 10, 2, 0.85),
        ("jpeg", 60, 2, 1.0),
        ("jpeg", 90, 1, 1.0),
        ("webp", 80, 2, 1.0),
        pytest.param(
            "jpeg",
            90,
            2,
            1.0,
            marks=pytest.mark.xfail(
                strict=True, reason="so good a file of a soft picture still comes out worse"
            ),
        ),
    ],
)
def test_it_looks_no_worse_than_the_plain_decode(
    codec: str, quality: float, enlarged: int, most: float, preset: Literal["fast", "medium"]
) -> None:
    """In LPIPS and DISTS, geometric means over three photographs; at low quality far better."""
    coder, ratios = get_codec(codec), []
    for name in PHOTOS:
        source = photo(name, enlarged)
        decoded = Frame.of(np.asarray(coder.decode(coder.encode(source, quality))))
        target = Target(codec, quality)
        found = enhance_frame(decoded, target, EnhanceOptions(preset=preset), CPU)
        clean = Frame.of(np.asarray(source)).rgb
        for look in (lpips_alex_against(clean), dists_against(clean)):
            with torch.no_grad():
                ratios.append(float(look(found.rgb)) / float(look(decoded.rgb)))
    by_metric = torch.tensor(ratios).reshape(-1, 2).log().mean(0).exp()
    assert float(by_metric.max()) < most, by_metric
