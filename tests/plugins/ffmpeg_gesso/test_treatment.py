"""Frames go through a model in order, and their noise goes along with what moves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import gesso_hooks
from ffmpeg_gesso.layouts import layout_of
from ffmpeg_gesso.pixels import Raw
from ffmpeg_gesso.treatment import Model
from ffmpeg_gesso.wishes import wish_of
from gesso.frame import Frame

HEIGHT, WIDTH, STEP = 64, 96, 3
NODE = "enhance=fast:sigma=0.1"


@pytest.fixture
def frames(monkeypatch: pytest.MonkeyPatch) -> list[Frame]:
    """What a model that does nothing got."""
    got: list[Frame] = []

    def step(frame: Frame, *about: Any) -> Frame:
        got.append(frame)
        return frame

    monkeypatch.setattr(gesso_hooks, "after_decode", step)
    monkeypatch.setattr(gesso_hooks, "before_encode", step)
    return got


def pan(count: int) -> list[bytes]:
    """Pictures in RGBA whose contents go to the left."""
    generator = np.random.default_rng(0)
    small = generator.integers(0, 256, (1, 4, HEIGHT // 4, 64), np.uint8)
    wide = torch.nn.functional.interpolate(
        torch.from_numpy(small).float(), scale_factor=4.0, mode="bicubic"
    )
    whole = wide[0].clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return [whole[:, STEP * n : STEP * n + WIDTH].tobytes() for n in range(count)]


def model(node: str) -> Model:
    return Model(wish_of(node), Raw(layout_of("rgba"), WIDTH, HEIGHT))


def test_noise_follows_frames_of_one_batch_and_of_several(frames: list[Frame]) -> None:
    pytest.importorskip("cv2")
    pictures = pan(4)
    at_once, in_turn = model(f"{NODE}:batch=4"), model(NODE)
    assert at_once.apply(pictures) == pictures
    for picture in pictures:
        in_turn.apply([picture])
    batch, *single = (frame.places for frame in frames)
    assert batch is not None
    assert torch.equal(batch, torch.cat([each for each in single if each is not None]))
    columns = batch[:, 1, HEIGHT // 2, WIDTH // 2]
    assert (columns - columns[0]).tolist() == pytest.approx([0, STEP, 2 * STEP, 3 * STEP], abs=1)


@pytest.mark.parametrize("node", [f"{NODE}:noise=fixed", "preprocess=1:codec=x265:crf=28"])
def test_noise_stays_where_nothing_is_to_follow(frames: list[Frame], node: str) -> None:
    treated = model(node)
    for picture in pan(2):
        treated.apply([picture])
    assert [frame.places for frame in frames] == [None, None]
