"""Palettes that follow latents: they find clusters, revive dead entries, and come back."""

from __future__ import annotations

import torch

from gesso.latent.vectors import nearest_entry
from gesso.training.palettes import LearnedPalettes


def _clusters(seed: int) -> torch.Tensor:
    """(4, 2, 8, 8): latents around four corners."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.tensor([[-2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [2.0, 2.0]])
    chosen = corners[torch.randint(4, (4, 8, 8), generator=generator)]
    noise = 0.1 * torch.randn(4, 8, 8, 2, generator=generator)
    return (chosen + noise).permute(0, 3, 1, 2)


def _followed() -> LearnedPalettes:
    palettes = LearnedPalettes((4, 16), 2, 3.0)
    generator = torch.Generator().manual_seed(0)
    for step in range(1200):
        palettes.follow(_clusters(step), generator)
    return palettes


def test_the_smallest_finds_the_clusters() -> None:
    palettes = _followed()
    entries = palettes.entries(4)
    corners = torch.tensor([[-2.0, -2.0], [-2.0, 2.0], [2.0, -2.0], [2.0, 2.0]])
    found = entries[nearest_entry(corners, entries)]
    assert float((found - corners).abs().max()) < 0.1


def test_more_entries_err_less() -> None:
    palettes, latents = _followed(), _clusters(1000)
    errors = [float((palettes.quantised(latents, k) - latents).square().mean()) for k in (4, 16)]
    assert errors[1] < errors[0] < 0.02


def test_no_entry_stays_where_nothing_is() -> None:
    palettes = LearnedPalettes((4,), 2, 3.0)
    palettes.get_buffer("sums_4").copy_(torch.tensor([[50.0, 50.0]] * 3 + [[0.0, 0.0]]))
    palettes.get_buffer("counts_4").fill_(1.0)
    generator = torch.Generator().manual_seed(0)
    for step in range(500):
        palettes.follow(_clusters(step), generator)
    assert float(palettes.entries(4).abs().max()) < 3


def test_they_come_back_from_a_card_to_eight_bits() -> None:
    palettes = _followed()
    assert palettes.begun
    again = LearnedPalettes((4, 16), 2, 3.0)
    assert not again.begun
    again.resume(palettes.encoded())
    assert again.encoded() == palettes.encoded()
    latents = _clusters(5)
    apart = palettes.quantised(latents, 4) - again.quantised(latents, 4)
    assert float(apart.abs().max()) < 0.5 * 6 / 255 + 1e-6


def test_nearest_is_the_nearest() -> None:
    values, palette = torch.randn(50, 4), torch.randn(9, 4)
    expected = torch.cdist(values, palette).argmin(1)
    assert torch.equal(nearest_entry(values, palette), expected)
