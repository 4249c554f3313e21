"""Noise goes where pixels go, and no two pixels ever have the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ffmpeg_gesso.following import FRESH, Follower
from gesso.field import noise_at

pytest.importorskip("cv2")
SIDE = 128
Move = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


def scene() -> Tensor:
    """A picture with detail everywhere, twice as wide as what is seen of it."""
    torch.manual_seed(0)
    rough = torch.rand(1, 3, 64, 64)
    return functional.interpolate(rough, (4 * SIDE, 4 * SIDE), mode="bicubic").clamp(0, 1)


SCENE = scene()


def seen(move: Move, number: int) -> Tensor:
    """(3, SIDE, SIDE) of the scene, moved."""
    y, x = move(*(torch.arange(SIDE) - SIDE / 2 for _ in range(2)), number)
    grid = torch.stack(torch.broadcast_tensors(x[None], y[:, None]), -1) / (2 * SIDE)
    return functional.grid_sample(SCENE, grid[None], align_corners=False)[0]


def pan(down: float, right: float) -> Move:
    """The contents go down and right, in pixels a frame."""
    return lambda y, x, number: (y - down * number, x - right * number)


def zoom(y: Tensor, x: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Into the middle, 2 % a frame."""
    return y / 1.02**number, x / 1.02**number


def cut(y: Tensor, x: Tensor, number: int) -> tuple[Tensor, Tensor]:
    """Another place in every frame."""
    return y + 40 * (number % 3), x - 50 * (number % 2)


def followed(move: Move, frames: int) -> list[Tensor]:
    follower = Follower()
    return [follower.follow(seen(move, number)) for number in range(frames)]


def own() -> Tensor:
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    return torch.stack([rows, columns])


def test_the_first_frame_and_what_stands_have_their_own_places() -> None:
    for places in followed(pan(0, 0), 3):
        assert torch.equal(places, own())


@pytest.mark.parametrize("shift", [(0, 3), (-2, 1)])
def test_a_pan_takes_its_noise_along(shift: tuple[int, int]) -> None:
    last = followed(pan(*shift), 6)[-1]
    went = (own() - last == 5 * torch.tensor(shift)[:, None, None]).all(0)
    assert went[24:-24, 24:-24].float().mean() > 0.85


def test_a_pan_by_parts_of_a_pixel_adds_up() -> None:
    last = followed(pan(0, 0.4), 6)[-1]
    went = (own() - last == torch.tensor((0, 2))[:, None, None]).all(0)
    assert went[24:-24, 24:-24].float().mean() > 0.85


@pytest.mark.parametrize("move", [pan(1.3, -2.6), zoom, cut])
def test_no_place_is_taken_twice(move: Move) -> None:
    for number, places in enumerate(followed(move, 12)):
        keys = places[0] * 2**40 + places[1]
        assert keys.unique().numel() == SIDE * SIDE, number
        assert int(places[0].max()) < (number + 1) * FRESH


def test_noise_stays_white_where_the_picture_grows() -> None:
    places = followed(zoom, 25)[-1]
    noise = noise_at(*places)[0]
    for shift in ((0, 1), (1, 0), (1, 1), (0, 2)):
        assert (noise * noise.roll(shift, (1, 2))).mean().abs() < 0.02


def test_what_comes_into_sight_gets_noise_of_its_own() -> None:
    first, second = followed(pan(0, 4), 2)
    assert (second[0, :, :3] >= FRESH).float().mean() > 0.85
    assert (second[0, :, 8:] < FRESH).float().mean() > 0.95
    assert (first[0] < FRESH).all()


def test_long_videos_have_places_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffmpeg_gesso.following.ROWS", 3)
    for places in followed(pan(1.3, -2.6), 12):
        assert (places[0] * 2**40 + places[1]).unique().numel() == SIDE * SIDE
        assert int(places[0].max()) < 3 * FRESH
        assert int(places[1].max()) < 4 * FRESH


def test_after_a_cut_noise_stays_where_it_was() -> None:
    follower = Follower()
    follower.follow(seen(pan(0, 0), 0))
    places = follower.follow(torch.rand(3, SIDE, SIDE))
    assert (places == own()).all(0).float().mean() > 0.95
