"""Do no harm: what is kept is never both larger and worse."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from gesso import Frame, PreprocessOptions, Target, guard
from gesso.evaluation.ssimulacra2 import ssimulacra2
from gesso.guard import guarded, heavily_coded
from gesso.preprocessor import preprocess_frame

PHOTO = data.astronaut()[40:136, 170:298]
TARGET = Target("jpeg", 30)


def noisy(frame: Frame, amount: float) -> Frame:
    noise = torch.randn(frame.rgb.shape, generator=torch.Generator().manual_seed(0))
    return frame.with_rgb((frame.rgb + amount * noise).clamp(0, 1))


def test_what_costs_more_and_looks_worse_is_refused() -> None:
    frame = Frame.of(PHOTO)
    kept = guarded(frame, noisy(frame, 0.1), TARGET)
    assert torch.equal(kept.samples, frame.samples)


def smooth(frame: Frame) -> Frame:
    return frame.with_rgb(torch.nn.functional.avg_pool2d(frame.rgb, 3, 1, 1))


def test_fewer_bits_for_the_same_look_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each picture its own mix."""
    monkeypatch.setattr(
        guard, "_look", lambda dtype: lambda source: lambda picture: picture.mean() * 0
    )
    frame = Frame.of(torch.cat([Frame.of(PHOTO).rgb] * 2))
    prepared = frame.with_rgb(torch.cat([smooth(frame).rgb[:1], noisy(frame, 0.1).rgb[1:]]))
    kept = guarded(frame, prepared, TARGET)
    torch.testing.assert_close(kept.rgb[0], prepared.rgb[0])
    assert torch.equal(kept.rgb[1], frame.rgb[1])


@pytest.mark.parametrize("dists", [True, False])
def test_a_blur_looks_too_bad(dists: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not dists:
        monkeypatch.setattr("gesso.evaluation.perceptual.missing_dists", lambda: "not here")
    frame = Frame.of(PHOTO)
    kept = guarded(frame, smooth(smooth(smooth(smooth(frame)))), Target("jpeg", 80))
    assert torch.equal(kept.samples, frame.samples)


def test_without_dists_nothing_is_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gesso.evaluation.perceptual.missing_dists", lambda: "not here")
    one = Frame.of(PHOTO)
    two = smooth(one)
    seen = guard._look(torch.bfloat16)(one.rgb)(two.rgb)
    assert torch.equal(seen, (100 - ssimulacra2(one.rgb, two.rgb)) / 100)


def test_weaker_ones_are_not_tried_once_they_cost_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the strongest is taken and the next costs more, the last is not coded."""
    frame = Frame.of(PHOTO)
    prepared = frame.with_rgb((frame.rgb + 0.05).clamp(0, 1))
    coded: list[float] = []

    def look(source: Tensor) -> Callable[[Tensor], Tensor]:
        def distance(picture: Tensor) -> Tensor:
            coded.append(float((picture - source).mean()))
            return (prepared.rgb - picture).abs().mean()

        return distance

    monkeypatch.setattr(guard, "_look", lambda dtype: look)
    kept = guarded(frame, prepared, TARGET)
    torch.testing.assert_close(kept.rgb, prepared.rgb)
    assert len(coded) == 1 + 2 + 2  # plain, for the price of a bit, of three strengths


def test_a_large_picture_is_looked_at_in_its_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []

    def look(source: Tensor) -> object:
        seen.append(tuple(source.shape))
        return lambda picture: (picture - source).abs().mean()

    monkeypatch.setattr(guard, "_look", lambda dtype: look)
    monkeypatch.setattr(guard, "PATCH", 64)
    frame = Frame.of(PHOTO)
    guarded(frame, frame, TARGET)
    assert seen == [(1, 3, 64, 64)]


def coded(pixels: Tensor, quality: int) -> Tensor:
    stream = io.BytesIO()
    picture = (pixels[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(picture).save(stream, "JPEG", quality=quality)
    return Frame.of(Image.open(stream)).rgb


def test_the_decode_of_a_heavy_jpeg_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its blocks are all that further bits could keep; its neighbours are prepared."""
    monkeypatch.setattr(
        guard, "_look", lambda dtype: lambda source: lambda picture: picture.mean() * 0
    )
    photo = Frame.of(PHOTO).rgb
    frame = Frame.of(torch.cat([coded(photo, 10), photo, coded(photo, 30), coded(photo, 75)]))
    assert heavily_coded(frame) == [True, False, True, False]
    kept = guarded(frame, smooth(frame), TARGET)
    moved = (kept.rgb != frame.rgb).flatten(1).any(1)
    assert moved.tolist() == [False, True, False, True]


def test_nothing_is_computed_for_the_decode_of_a_heavy_jpeg() -> None:
    frame = Frame.of(coded(Frame.of(PHOTO).rgb, 10))
    nobody = PreprocessOptions(effort="max", seconds=1e-9)
    assert preprocess_frame(frame, TARGET, nobody) is frame
    assert preprocess_frame(frame, TARGET, replace(nobody, guard=False)) is not frame
