"""What stands still does not flicker, and what moves as it was said to has no warped error."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ffmpeg_gesso.steadiness import Motion, Tally
from gesso.field import noise_field

pytest.importorskip("cv2")
SHIFT = (2.0, -3.0)


def texture(down: float = 0, right: float = 0, side: int = 96) -> Tensor:
    """A smooth picture whose contents moved."""
    y = torch.arange(side)[:, None] - down
    x = torch.arange(side) - right
    waves = (y / 5).sin() * (x / 7).cos() + (x / 11 + y / 6).sin() + (x / 4).sin() * 0.5
    return (0.5 + 0.15 * waves).expand(3, -1, -1).clamp(0, 1)


def noise(seed: int) -> Tensor:
    return 0.05 * noise_field(0, 0, 96, 96, seed=seed)[0]


def tally(show: Callable[[int], Tensor], source: Callable[[int], Tensor]) -> Tally:
    found = Tally()
    for number in range(3):
        motion = Motion.between(source(number), source(number + 1))
        found.add(show(number), show(number + 1), motion)
    return found


def test_equal_frames_do_not_flicker() -> None:
    found = tally(lambda number: texture(), lambda number: texture())
    assert found.flicker == 0
    assert found.warped_error < 1e-3


def test_one_noise_field_flickers_less_than_many() -> None:
    def source(number: int) -> Tensor:
        return texture()

    fixed = tally(lambda number: texture() + noise(0), source)
    fresh = tally(lambda number: texture() + noise(number), source)
    assert fixed.flicker == 0
    # the mean absolute difference of two normals
    assert fresh.flicker == pytest.approx(255 * 0.05 * 2 / math.pi**0.5, rel=0.02)
    assert fixed.warped_error < 0.1 < fresh.warped_error


def test_what_moves_evenly_has_no_warped_error() -> None:
    def source(number: int) -> Tensor:
        return texture(number * SHIFT[0], number * SHIFT[1])

    motion = Motion.between(source(0), source(1))
    inner = motion.flow[:, 16:-16, 16:-16]
    assert (inner - torch.tensor(SHIFT)[:, None, None]).abs().mean() < 0.1
    assert motion.seen[16:-16, 16:-16].float().mean() > 0.99
    moved = tally(source, source)
    stuck = tally(lambda number: texture(), source)
    assert moved.warped_error < 1
    assert stuck.warped_error > 10 * moved.warped_error


def test_where_everything_moves_there_is_no_flicker_to_tell() -> None:
    found = tally(lambda number: texture(), lambda number: texture() * (number % 2))
    assert math.isnan(found.flicker)
