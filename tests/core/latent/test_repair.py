"""The repair: latents of any size go up the prior's flow and come back better, or as they were."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.conftest import tiny_network
from torch import Tensor

from gesso.denoiser import EDMDenoiser
from gesso.errors import InputError
from gesso.latent.repair import RepairOptions, repair
from gesso.latent.trajectory import level_of, trajectory
from gesso.runtime import Runtime
from gesso.space import PIXELS, Space


class Gaussian:
    """The exact denoiser of latents drawn from N(0, spread^2)."""

    device = torch.device("cpu")

    def __init__(self, spread: float = 1.0, grid: int = 1, space: Space = PIXELS) -> None:
        self.spread, self.grid, self.space = spread, grid, space
        self.seen: list[tuple[tuple[int, ...], float]] = []

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.seen.append((tuple(x.shape), float(sigma[0])))
        return self.spread**2 / (self.spread**2 + sigma[:, None, None, None] ** 2) * x


class Eighths(Space):
    """Latents of 8 x 8 pixels."""

    factor, channels = 8, 4


@pytest.fixture
def network() -> EDMDenoiser:
    return EDMDenoiser(tiny_network(in_channels=4, patch=1).eval())


@given(
    height=st.integers(1, 11),
    width=st.integers(1, 11),
    start=st.sampled_from([0.0, 0.05]),
    strength=st.sampled_from([0.0, 0.1, 1.0]),
)
@settings(max_examples=30, deadline=None)
def test_any_size_is_mirrored_to_the_grid(
    height: int, width: int, start: float, strength: float
) -> None:
    prior = Gaussian(grid=32, space=Eighths())
    latents = torch.randn(2, 4, height, width, generator=torch.Generator().manual_seed(height))
    found = repair(prior, latents, RepairOptions(3, strength, start))
    assert found.shape == latents.shape and found.dtype == torch.float32
    assert bool(found.isfinite().all())
    if strength == start == 0:
        assert found is latents and not prior.seen
    else:
        shapes = {shape for shape, _ in prior.seen}
        assert shapes == {(2, 4, -(-height // 4) * 4, -(-width // 4) * 4)}


def test_beyond_the_border_lies_the_mirrored_picture(network: EDMDenoiser) -> None:
    assert network.grid == 8
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    folded = torch.cat([latents[:, :, :13], latents[:, :, 10:13].flip(2)], 2)
    options = RepairOptions(2, 0.5)
    part, whole = (repair(network, x, options) for x in (latents[:, :, :13], folded))
    assert torch.equal(part, whole[:, :, :13])


@pytest.mark.parametrize(("tile", "overlap"), [(64, 32), (128, 64), (96, 0)])
def test_tiles_are_blended(tile: int, overlap: int) -> None:
    """A prior that sees one latent at a time sees no tiles."""
    calls = list[tuple[int, int]]()
    prior = Gaussian(grid=32, space=Eighths())
    latents = torch.randn(2, 4, 30, 21, generator=torch.Generator().manual_seed(0))
    runtime = Runtime(
        tile=tile, overlap=overlap, progress=lambda done, total: calls.append((done, total))
    )
    options = RepairOptions(2, 0.3)
    found = repair(prior, latents, options, runtime=runtime)
    assert {max(shape[2:]) for shape, _ in prior.seen} == {tile // 8}
    assert calls[-1][0] == calls[-1][1] == len(calls) and len(calls) > 8
    torch.testing.assert_close(found, repair(prior, latents, options))


def test_tiles_of_a_network_differ_little(network: EDMDenoiser) -> None:
    coarse = torch.randn(1, 4, 7, 5, generator=torch.Generator().manual_seed(0))
    latents = torch.nn.functional.interpolate(coarse, (52, 44), mode="bicubic")
    options = RepairOptions(3, 0.2)
    whole = repair(network, latents, options)
    tiles = repair(network, latents, options, runtime=Runtime(tile=32, overlap=16))
    moved = float((whole - latents).abs().mean())
    assert 0 < float((tiles - whole).abs().mean()) < 0.1 * moved


def test_nothing_is_random_and_a_batch_is_its_pictures(network: EDMDenoiser) -> None:
    latents = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    options = RepairOptions(3, 0.3)
    found = repair(network, latents, options)
    assert torch.equal(found, repair(network, latents, options))
    assert not torch.equal(found, latents)
    alone = torch.cat([repair(network, x[None], options) for x in latents])
    torch.testing.assert_close(alone, found, rtol=1e-4, atol=1e-5)


def test_plain_inversion_comes_back() -> None:
    """The more steps, the nearer."""
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    errors = [
        float((repair(Gaussian(), latents, RepairOptions(n, 0.5)) - latents).abs().max())
        for n in (5, 20, 80)
    ]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]
    assert errors[2] < 0.1


@pytest.mark.parametrize("strength", [0.0, 0.02, 0.2])
def test_a_start_takes_off_its_noise(strength: float) -> None:
    """Whatever the way up, the way down ends at the level 0 of the flow through the start."""
    generator = torch.Generator().manual_seed(0)
    spread, start = 0.7, 0.4
    clean = spread * torch.randn(1, 4, 64, 64, generator=generator)
    noisy = clean + start * torch.randn(clean.shape, generator=generator)
    found = repair(Gaussian(spread), noisy, RepairOptions(60, strength, start))
    exact = noisy * spread / math.hypot(spread, start)
    assert float((found - exact).abs().max()) < 0.08
    errors = [float((x - clean).square().mean()) for x in (found, noisy)]
    assert errors[0] < 0.85 * errors[1]
    assert float(found.std()) == pytest.approx(spread, rel=0.03)


def test_each_evaluation_is_counted() -> None:
    prior, calls = Gaussian(), list[tuple[int, int]]()
    latents = torch.zeros(1, 4, 4, 4)
    options = RepairOptions(4, 0.5)
    runtime = Runtime(progress=lambda done, total: calls.append((done, total)))
    repair(prior, latents, options, runtime=runtime)
    # A level of 0 is not the prior's: the first is told twice on the way up.
    assert calls == [(n, 8) for n in range(1, 9)] and len(prior.seen) == 8
    levels = [level for _, level in prior.seen]
    assert levels[:2] == levels[-1:] * 2 and levels[4] == max(levels)
    assert levels[4] == pytest.approx(level_of(0.5))


def test_levels_of_a_way() -> None:
    prior = Gaussian()
    plain = trajectory(prior, 4, 0.3, 0.0)
    assert plain.clean == 0 and len(plain.up) == 5
    assert torch.equal(plain.up.flip(0), plain.down)
    above = trajectory(prior, 4, 0.3, 0.2)
    assert above.up[0] == 0.2 and bool((above.up.diff() > 0).all())
    assert torch.equal(above.down, plain.down) and above.up[-1] == above.down[0]
    # Nothing to climb: from the start down.
    for strength in (0.0, 0.01):
        below = trajectory(prior, 4, strength, 0.5)
        assert below.up.tolist() == [0.5] and below.down[0] == 0.5 and below.down[-1] == 0
        assert len(below.down) == 5 and bool((below.down.diff() < 0).all())


def test_strength_is_a_share_of_stable_diffusions_schedule() -> None:
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
    )
    sigma = (1 / scheduler.alphas_cumprod.double() - 1).sqrt()
    assert level_of(0.0) == 0
    for share in (0.04, 0.2, 0.5, 0.8, 1.0):
        assert level_of(share) == pytest.approx(float(sigma[int(share * 1000) - 1]), rel=0.06)


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"steps": 0}, "steps must be"),
        ({"steps": 1001}, "steps must be"),
        ({"steps": True}, "steps must be"),
        ({"strength": 1.1}, "strength must be"),
        ({"strength": math.nan}, "strength must be"),
        ({"start": -0.1}, "start must be"),
        ({"start": math.inf}, "start must be"),
        ({"edges": 2}, "edges must be"),
    ],
)
def test_a_wish_out_of_range_is_named(wish: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        RepairOptions(**wish)


def test_latents_of_another_autoencoder_are_named() -> None:
    with pytest.raises(InputError, match=r"prior wants \(B, 4, h, w\)"):
        repair(Gaussian(space=Eighths()), torch.zeros(1, 3, 8, 8))
