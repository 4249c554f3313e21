"""Pictures of text and screens, which nothing here learned from, are not damaged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from gesso import Frame, PreprocessOptions, Runtime, Target
from gesso.codec import get_codec
from gesso.evaluation.perceptual import dists_against, missing_dists, missing_lpips_alex
from gesso.evaluation.ssimulacra2 import ssimulacra2
from gesso.preprocessor import preprocess_frame
from gesso.trial import Trial

missing = missing_lpips_alex() or missing_dists()
pytestmark = pytest.mark.skipif(missing is not None, reason=str(missing))
CPU = Runtime("cpu")
LINES = ("Resolution: 1920 x 1080", "Text at 125 %", "[x] Night light", "59.94 Hz", "Landscape")


def screen() -> NDArray[np.uint8]:
    """Flat areas, thin lines and small letters."""
    image = Image.new("RGB", (320, 224), "#f6f6f8")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    draw.rectangle((0, 0, 320, 26), fill="#2b5797")
    draw.text((8, 5), "Settings - Display", font=font, fill="white")
    for index, line in enumerate(LINES):
        top = 40 + 26 * index
        draw.text((70, top), line, font=font, fill="#202020")
        draw.rectangle(
            (16, top - 2, 56, top + 18), outline="#888", fill=("#dce6f5", "#fff")[index % 2]
        )
    draw.rounded_rectangle((210, 190, 308, 216), 5, fill="#0a7a3b")
    draw.text((235, 195), "Apply", font=font, fill="white")
    return np.array(image)


PICTURES = {
    "screen": screen(),
    "page": np.ascontiguousarray(data.page()[:, :256]),
    "text": np.ascontiguousarray(data.text()[:160, :320]),
}


def looks(source: Frame, prepared: Frame, target: Target) -> tuple[float, float]:
    """How much DISTS and SSIMULACRA 2 of the decode rise by the preparation."""
    trial = Trial(source.rgb, get_codec(target.codec), dists_against)
    with torch.no_grad():
        decodes = [trial.through(x.rgb, target.quality)[1] for x in (source, prepared)]
        dists = [float(trial.distance(x)) for x in decodes]
        fidelity = [float(ssimulacra2(source.rgb, x)) for x in decodes]
    return dists[1] - dists[0], fidelity[1] - fidelity[0]


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("quality", [10, 30, 50])
def test_the_model_with_its_guard(name: str, quality: float) -> None:
    source, target = Frame.of(PICTURES[name]), Target("webp", quality)
    found = preprocess_frame(source, target, PreprocessOptions(effort="fast"), CPU)
    dists, fidelity = looks(source, found, target)
    assert dists <= 0 and fidelity > -1


def test_the_guard_is_what_leaves_a_screen_alone() -> None:
    source, target = Frame.of(PICTURES["screen"]), Target("webp", 40)
    bare = PreprocessOptions(effort="fast", guard=False)
    assert looks(source, preprocess_frame(source, target, bare, CPU), target)[0] > 0
    kept = preprocess_frame(source, target, PreprocessOptions(effort="fast"), CPU)
    assert torch.equal(kept.rgb, source.rgb)


@pytest.mark.parametrize("name", ["screen", "page"])
def test_the_descent(name: str) -> None:
    source, target = Frame.of(PICTURES[name]), Target("jpeg", 15)
    found = preprocess_frame(source, target, PreprocessOptions(effort="medium"), CPU)
    dists, fidelity = looks(source, found, target)
    assert dists < 0 and fidelity > -3
