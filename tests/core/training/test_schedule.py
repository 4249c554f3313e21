"""The price of a bit: measured by real codings, and read off between them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data
from torch import Tensor

from gesso.codec import get_codec
from gesso.generator import QPS
from gesso.training.schedule import RateSchedule, level_near

JPEG = get_codec("jpeg")


def mse(source: Tensor):  # type: ignore[no-untyped-def]
    return lambda picture: 100 * (picture - source).square().mean((1, 2, 3))


@pytest.fixture(scope="module")
def schedule() -> RateSchedule:
    whole = data.astronaut()
    crops = np.stack([whole[y : y + 64, 160:224] for y in (0, 64, 128, 192)])
    pictures = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    return RateSchedule.measured(JPEG, pictures, mse)


def test_bits_are_dearer_where_they_are_few(schedule: RateSchedule) -> None:
    assert list(schedule.prices) == sorted(schedule.prices)
    assert schedule.prices[-1] > 10 * schedule.prices[0]
    assert abs(schedule.qps[0] - QPS[0]) < 1 and abs(schedule.qps[-1] - QPS[1]) < 1


def test_nats_become_bits(schedule: RateSchedule) -> None:
    assert all(1 < bits < 10 for bits in schedule.bits)


def test_between_the_measured_ones(schedule: RateSchedule) -> None:
    at = torch.tensor(schedule.qps, dtype=torch.float64)
    torch.testing.assert_close(schedule.price(at), torch.tensor(schedule.prices))
    torch.testing.assert_close(schedule.worth(at), torch.tensor(schedule.bits))
    middle = schedule.price((at[:1] + at[1:2]) / 2).item()
    assert middle == pytest.approx((schedule.prices[0] * schedule.prices[1]) ** 0.5, rel=1e-4)
    assert schedule.price(torch.tensor([0.0])).item() == pytest.approx(schedule.prices[0], rel=1e-4)


def test_the_nearest_quality() -> None:
    assert level_near(JPEG, 44.4) == 10 and level_near(JPEG, 34.9) == 40
