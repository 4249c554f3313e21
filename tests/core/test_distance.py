"""The distance that descents and trainings look by."""

from __future__ import annotations

import pytest
import torch
from skimage import data
from torch import Tensor

from gesso import Frame
from gesso.distance import perceptual_distance
from gesso.evaluation.perceptual import lpips_alex_against, missing_dists, missing_lpips_alex

pytestmark = pytest.mark.skipif(
    bool(missing_dists() or missing_lpips_alex()), reason="the metrics' weights are not here"
)
PHOTO = Frame.of(data.coffee()[60:252, 120:376]).rgb


def decodes() -> list[Tensor]:
    smooth = torch.nn.functional.avg_pool2d(PHOTO, 3, 1, 1, count_include_pad=False)
    return [PHOTO.lerp(smooth, share) for share in (0.3, 0.31, 0.33, 0.4)]


def test_half_precision_tells_small_steps_apart() -> None:
    """What a descent's steps and a guard's strengths differ by is a hundredth of it."""
    full, half = (perceptual_distance(kind)(PHOTO) for kind in (torch.float32, torch.bfloat16))
    with torch.no_grad():
        errors = torch.stack([half(picture) - full(picture) for picture in decodes()])
    assert errors.abs().max() < 3e-4


def test_weights_are_those_that_were_asked_for() -> None:
    with torch.no_grad():
        plain, weighed = (
            torch.stack(
                [perceptual_distance(torch.float32, 0.0, lpips)(PHOTO)(x) for x in decodes()]
            )
            for lpips in (1.0, 2.5)
        )
        lpips = torch.stack([lpips_alex_against(PHOTO)(picture).flatten() for picture in decodes()])
    torch.testing.assert_close(weighed - plain, 1.5 * lpips)
