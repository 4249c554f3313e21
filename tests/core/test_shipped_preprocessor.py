"""The preprocessor that ships: on photographs it never saw, by a real codec."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data

from gesso import Frame, PreprocessOptions, Runtime, Target
from gesso.cards import get_model
from gesso.codec import get_codec
from gesso.evaluation.curves import delta
from gesso.evaluation.perceptual import (
    dists_against,
    lpips_alex_against,
    missing_dists,
    missing_lpips_alex,
)
from gesso.generator import base_of, is_tuned
from gesso.preprocessor import preprocess_frame
from gesso.storage import read_weights
from gesso.trial import Trial

missing = missing_lpips_alex() or missing_dists()
CPU = Runtime("cpu")
PHOTOS = {"coffee": (60, 180), "astronaut": (20, 120), "chelsea": (20, 60)}
QUALITIES = (5, 20, 40, 70)
FAST = PreprocessOptions(effort="fast", guard=False)


def test_it_is_attention_in_the_consistency_model() -> None:
    card = get_model(None, "preprocessor")
    assert base_of(card) == get_model("consistency", "prior")
    assert all(map(is_tuned, read_weights(card.verify())))


@pytest.mark.skipif(missing is not None, reason=str(missing))
def test_it_saves_bits_at_equal_looks() -> None:
    """WebP, without the guard, means over three photographs."""
    codec = get_codec("webp")
    plain, prepared = torch.zeros(4, 3), torch.zeros(4, 3)
    for name, (top, left) in PHOTOS.items():
        pixels = getattr(data, name)()[top : top + 256, left : left + 256]
        frame = Frame.of(np.ascontiguousarray(pixels))
        trial = Trial(frame.rgb, codec, lpips_alex_against)
        looks = trial.distance, dists_against(frame.rgb)
        for row, quality in enumerate(QUALITIES):
            found = preprocess_frame(frame, Target("webp", quality), FAST, CPU)
            for sums, picture in ((plain, frame.rgb), (prepared, found.rgb)):
                bpp, decoded = trial.through(picture, quality)
                with torch.no_grad():
                    seen = [float(look(decoded)) for look in looks]
                sums[row] += torch.tensor([bpp, *seen]) / len(PHOTOS)
    for column in (1, 2):
        curves = [[(float(r[0]), float(r[column])) for r in sums] for sums in (plain, prepared)]
        found_rate = delta(*curves, lower_is_better=True).rate
        assert found_rate is not None and found_rate < -1, (column, found_rate)
