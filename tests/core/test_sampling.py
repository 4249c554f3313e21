"""Samplers on a prior whose posterior is known: a Gaussian with a known flow."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from tests.core.conftest import tiny_network
from torch import Tensor

from gesso.denoiser import EDMDenoiser
from gesso.sampling import (
    SIGMA_MIN,
    ddim_invert,
    ddim_sample,
    denoise,
    dpm_solver,
    dps_sde,
    euler_sde,
    karras_sigmas,
    low_frequencies_of,
    multistep_consistency,
)


class Gaussian:
    """The exact denoiser of pixels drawn from N(mean, spread^2)."""

    grid = 1
    device = torch.device("cpu")

    def __init__(self, mean: float = 0.3, spread: float = 0.2) -> None:
        self.mean, self.spread, self.calls = mean, spread, 0

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.calls += 1
        weight = self.spread**2 / (self.spread**2 + sigma[:, None, None, None] ** 2)
        return self.mean + weight * (x - self.mean)


def test_levels_fall_from_sigma_to_zero_as_karras_gives_them() -> None:
    levels = karras_sigmas(18, 80.0)
    assert (
        levels[0] == pytest.approx(80.0)
        and levels[-1] == 0
        and levels[-2] == pytest.approx(SIGMA_MIN)
    )
    assert bool((levels.diff() < 0).all())
    expected = (80 ** (1 / 7) + 9 / 17 * (SIGMA_MIN ** (1 / 7) - 80 ** (1 / 7))) ** 7
    assert float(levels[9]) == pytest.approx(expected, rel=1e-5)


def test_the_ode_follows_the_exact_flow() -> None:
    prior, sigma = Gaussian(), 0.5
    x = torch.linspace(-1, 1, 100).reshape(1, 1, 10, 10)
    # The probability flow of a Gaussian scales its deviation by spread / sqrt(spread^2 + sigma^2).
    exact = prior.mean + (x - prior.mean) * prior.spread / math.hypot(prior.spread, sigma)
    errors = [
        float((dpm_solver(prior, x, sigma, steps) - exact).abs().max()) for steps in (5, 10, 20)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.02 and errors[2] < 0.005


def test_one_step_is_the_posterior_mean() -> None:
    prior = Gaussian()
    x = torch.randn(2, 3, 4, 4)
    assert torch.equal(dpm_solver(prior, x, 0.4, 1), denoise(prior, x, 0.4))


@pytest.mark.parametrize("steps", [1, 2, 7, 15])
def test_each_step_costs_one_evaluation(steps: int) -> None:
    prior = Gaussian()
    dpm_solver(prior, torch.zeros(1, 3, 4, 4), 0.3, steps)
    assert prior.calls == steps
    prior = Gaussian()
    euler_sde(prior, torch.zeros(1, 3, 4, 4), karras_sigmas(steps, 0.3), lambda _: torch.zeros(1))
    assert prior.calls == steps


class Consistent(Gaussian):
    """The exact consistency model of those pixels: where their probability flow ends."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.calls += 1
        shrink = self.spread / (self.spread**2 + sigma[:, None, None, None] ** 2).sqrt()
        return self.mean + shrink * (x - self.mean)


@pytest.mark.parametrize("steps", [1, 4])
def test_several_consistency_steps_still_draw_from_the_prior(steps: int) -> None:
    model, generator = Consistent(), torch.Generator().manual_seed(0)

    def draw(step: int) -> Tensor:
        return torch.randn(1, 1, 200, 200, generator=generator)

    sigmas = torch.linspace(0.3, 0.2, steps)
    noisy = model.mean + model.spread * draw(0) + 0.3 * draw(0)
    out = multistep_consistency(model, noisy, sigmas, draw)
    assert model.calls == steps
    assert float(out.mean()) == pytest.approx(model.mean, abs=0.01)
    assert float(out.std()) == pytest.approx(model.spread, rel=0.03)


def test_each_consistency_step_gets_noise_of_its_own_level() -> None:
    told: list[float] = []

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        told.append(float(sigma))
        return x

    x = torch.zeros(1, 3, 4, 4)
    levels = torch.tensor([0.3, 0.2, 0.1])
    out = multistep_consistency(model, x, levels, lambda step: torch.full_like(x, step), 1.5)
    assert told == pytest.approx(levels.tolist())
    assert torch.allclose(out, torch.full_like(x, 1.5 * (0.2 * 1 + 0.1 * 2)))


def test_every_consistency_step_is_held() -> None:
    x, levels = torch.zeros(1, 3, 4, 4), torch.tensor([0.3, 0.2, 0.1])
    out = multistep_consistency(
        lambda x, sigma: x + 1, x, levels, lambda step: x, hold=lambda clean: clean / 2
    )
    assert torch.allclose(out, torch.full_like(x, ((1 / 2 + 1) / 2 + 1) / 2))


def test_low_frequencies_come_from_the_reference_and_high_ones_stay() -> None:
    places = torch.arange(256.0).expand(1, 3, 256, 256)
    slow, fast = (2 * math.pi * places / 128).sin(), (2 * math.pi * places / 8).sin()
    out = low_frequencies_of(0.5 + slow, 0.1 * slow + fast, 4)[..., 16:-16]
    wanted = (0.5 + slow + fast)[..., 16:-16]
    # The Gaussian passes exp(-(2 pi 4 / wavelength)**2 / 2): 98 % of one, 0.7 % of the other.
    assert (out - wanted).abs().max() < 0.03
    same = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(low_frequencies_of(same, same, 4), same)


def test_the_sde_draws_from_the_prior() -> None:
    prior, sigma = Gaussian(), 0.5
    generator = torch.Generator().manual_seed(0)
    clean = prior.mean + prior.spread * torch.randn(1, 1, 200, 200, generator=generator)
    noisy = clean + sigma * torch.randn(clean.shape, generator=generator)
    out = euler_sde(
        prior,
        noisy,
        karras_sigmas(60, sigma),
        lambda _: torch.randn(clean.shape, generator=generator),
    )
    assert float(out.mean()) == pytest.approx(prior.mean, abs=0.01)
    assert float(out.std()) == pytest.approx(prior.spread, rel=0.05)


def test_the_sde_forgets_the_noise_it_started_with() -> None:
    prior = Gaussian()
    x = torch.full((1, 1, 8, 8), 0.9)
    runs = [
        euler_sde(prior, x, karras_sigmas(20, 0.5), lambda s, k=k: torch.full(x.shape, float(k)))
        for k in (-1, 1)
    ]
    assert (runs[0] - runs[1]).abs().max() > 0.05


def test_without_a_step_the_constrained_sde_is_the_sde() -> None:
    prior, x = Gaussian(), torch.randn(1, 3, 70, 66)

    def draw(step: int) -> Tensor:
        return torch.randn(x.shape, generator=torch.Generator().manual_seed(step))

    levels = karras_sigmas(6, 0.4)
    free = euler_sde(prior, x, levels, draw)
    assert torch.allclose(dps_sde(prior, x, levels, draw, torch.tanh, x, 0.0), free)
    # Nor does a constraint that is met already.
    held = dps_sde(prior, x, levels, draw, lambda clean: 0 * clean, 0 * x, 5.0)
    assert torch.allclose(held, free)


def test_the_constraint_moves_samples_to_the_posterior() -> None:
    """Of each pair of pixels the codec keeps the mean; their difference is the prior's."""
    prior, sigma = Gaussian(), 0.5
    generator = torch.Generator().manual_seed(0)
    shape = (1, 3, 128, 128)

    def draw(step: int) -> Tensor:
        return torch.randn(shape, generator=torch.Generator().manual_seed(step))

    def mean(clean: Tensor) -> Tensor:
        return (clean[..., ::2] + clean[..., 1::2]) / 2

    source = prior.mean + prior.spread * torch.randn(shape, generator=generator)
    x = source + sigma * torch.randn(shape, generator=generator)
    levels, observed = karras_sigmas(40, sigma), mean(source)
    free = euler_sde(prior, x, levels, draw)
    held = dps_sde(prior, x, levels, draw, mean, observed, 0.3)
    errors = [float((mean(y) - observed).square().mean().sqrt()) for y in (free, held)]
    # The prior alone is a spread of 0.2 / sqrt(2) off, twice.
    assert errors[0] > 0.15 and errors[1] < errors[0] / 5
    rest = held[..., ::2] - held[..., 1::2]
    assert float(rest.std()) == pytest.approx(prior.spread * math.sqrt(2), rel=0.1)
    assert float(held.mean()) == pytest.approx(prior.mean, abs=0.02)


def test_a_pull_does_not_depend_on_the_size_of_the_picture() -> None:
    """Windows of 64: a tile on their grid is pulled as its picture is."""
    prior = Gaussian()
    x, observed = torch.randn(1, 3, 192, 160), torch.rand(1, 3, 192, 160)
    zero = torch.zeros(1)
    one_step = torch.tensor([0.4, 0.0])

    def moved(top: int, left: int, height: int, width: int) -> Tensor:
        part = (..., slice(top, top + height), slice(left, left + width))
        found = dps_sde(prior, x[part], one_step, lambda _: zero, lambda c: c, observed[part], 0.2)
        return found - euler_sde(prior, x[part], one_step, lambda _: zero)

    whole = moved(0, 0, 192, 160)
    assert torch.allclose(moved(64, 0, 128, 128), whole[..., 64:, :128], atol=1e-7)
    assert torch.allclose(moved(128, 128, 64, 32), whole[..., 128:, 128:], atol=1e-7)
    # In root mean square a pixel moves by step size times sigma, times the denoiser's slope.
    slope = prior.spread**2 / (prior.spread**2 + 0.4**2)
    assert float(whole.square().mean().sqrt()) == pytest.approx(0.2 * 0.4 * slope, rel=0.01)


def test_the_pull_is_the_gradient_through_a_network() -> None:
    network = tiny_network().double().requires_grad_(False)
    denoiser = EDMDenoiser(network, torch.float64)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, 3, 16, 16, generator=generator, dtype=torch.float64)
    observed = torch.rand(1, 3, 16, 16, generator=generator, dtype=torch.float64)
    levels = torch.tensor([0.3, 0.0], dtype=torch.float64)
    size = 0.5

    def draw(step: int) -> Tensor:
        raise AssertionError("the last step draws no noise")

    with torch.inference_mode():  # as a caller might have it
        pulled = dps_sde(denoiser, x, levels, draw, torch.sin, observed, size)
        free = euler_sde(denoiser, x, levels, draw)
    pull = (free - pulled).clone() / (size * 0.3)
    direction = torch.randn(x.shape, generator=generator, dtype=torch.float64)

    def distance(shift: float) -> float:
        clean = denoise(denoiser, x + shift * direction, 0.3)
        difference = (observed - torch.sin(clean)).float()
        return float(difference.square().sum().sqrt()) * math.sqrt(x.numel())

    slope = (distance(1e-2) - distance(-1e-2)) / 2e-2
    assert float((pull * direction).sum()) == pytest.approx(slope, rel=0.02)


def test_ddim_goes_up_and_down_the_exact_flow() -> None:
    prior, sigma = Gaussian(), 0.5
    x = torch.linspace(-1, 1, 100).reshape(1, 1, 10, 10)
    wider = math.hypot(prior.spread, sigma) / prior.spread
    errors = []
    for steps in (10, 40, 160):
        levels = karras_sigmas(steps, sigma)
        noise = ddim_invert(prior, x, levels.flip(0))
        clean = ddim_sample(prior, x, levels)
        errors.append(
            (
                float((noise - prior.mean - (x - prior.mean) * wider).abs().max()),
                float((clean - prior.mean - (x - prior.mean) / wider).abs().max()),
            )
        )
    # Of the first order: four times the steps, a quarter of the error.
    for before, after in pairwise(errors):
        assert all(0.2 < b / a < 0.3 for a, b in zip(before, after, strict=True))
    assert max(errors[-1]) < 0.02


def test_ddim_ends_at_the_posterior_mean() -> None:
    prior, x = Gaussian(), torch.randn(2, 3, 4, 4)
    found = ddim_sample(prior, x, torch.tensor([0.4, 0.0]))
    assert torch.equal(found, denoise(prior, x, 0.4))
    assert prior.calls == 2


def test_inversion_tells_the_network_the_level_it_leaves() -> None:
    told: list[float] = []

    class Listening(Gaussian):
        def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
            told.append(round(float(sigma[0]), 3))
            return super().__call__(x, sigma)

    x = torch.randn(1, 3, 4, 4)
    ddim_invert(Listening(), x, torch.tensor([0.1, 0.3, 0.5]))
    assert told == [0.1, 0.3]
    told.clear()
    # There is no network that knows of no noise.
    ddim_invert(Listening(), x, torch.tensor([0.0, 0.3, 0.5]))
    assert told == [0.3, 0.3]


def test_one_level_is_no_way() -> None:
    prior, x = Gaussian(), torch.randn(1, 3, 4, 4)
    assert ddim_invert(prior, x, torch.tensor([0.3])) is x
    assert ddim_sample(prior, x, torch.tensor([0.3])) is x
    assert prior.calls == 0
