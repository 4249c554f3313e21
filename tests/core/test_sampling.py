"""Samplers on a prior whose posterior is known: a Gaussian with a known flow."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gesso.sampling import SIGMA_MIN, denoise, dpm_solver, euler_sde, karras_sigmas


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
