"""The noise field: Philox's published vectors, and independence of the window."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesso.field import noise_at, noise_field, philox

FULL = 0xFFFFFFFF


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # Random123's kat_vectors, philox4x32 with 10 rounds
        ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((FULL,) * 4, (FULL, FULL), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_words(
    counter: tuple[int, ...], key: tuple[int, int], words: tuple[int, ...]
) -> None:
    c0, c1, c2, c3 = (torch.tensor([c]) for c in counter)
    assert tuple(int(w) for w in philox((c0, c1, c2, c3), key)) == words


@settings(deadline=None, max_examples=25)
@given(
    st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 30), st.integers(1, 30),
    st.integers(0, 2**64 - 1), st.integers(0, 100),
)  # fmt: skip
def test_a_window_is_a_cut_of_any_larger_one(
    top: int, left: int, height: int, width: int, seed: int, draw: int
) -> None:
    whole = noise_field(top, left, height + 5, width + 7, seed=seed, draw=draw)
    part = noise_field(top + 5, left + 7, height, width, seed=seed, draw=draw)
    assert torch.equal(whole[:, :, 5:, 7:], part)


def test_the_band_size_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    before = noise_field(3, 4, 50, 60, seed=9)
    monkeypatch.setattr("gesso.field.BAND", 100)
    assert torch.equal(before, noise_field(3, 4, 50, 60, seed=9))


def test_it_is_white_and_standard_normal() -> None:
    noise = noise_field(0, 0, 512, 512, seed=1)[0]
    assert noise.mean().abs() < 0.005
    assert (noise.std() - 1).abs() < 0.005
    kurtosis = noise.pow(4).mean() / noise.var().square()
    assert (kurtosis - 3).abs() < 0.05
    flat = noise.reshape(3, -1)
    cross = torch.corrcoef(flat) - torch.eye(3)
    assert cross.abs().max() < 0.01
    for shift in ((0, 1), (1, 0), (1, 1)):
        product = noise * noise.roll(shift, (1, 2))
        assert product.mean().abs() < 0.005


@pytest.mark.parametrize("change", [{"seed": 2}, {"draw": 1}, {"seed": 1 + 2**32}])
def test_seed_and_draw_give_independent_fields(change: dict[str, int]) -> None:
    a = noise_field(0, 0, 128, 128, seed=1).flatten()
    b = noise_field(0, 0, 128, 128, **{"seed": 1, **change}).flatten()
    assert torch.corrcoef(torch.stack([a, b]))[0, 1].abs() < 0.02


def test_noise_at_places_is_that_of_the_field() -> None:
    field = noise_field(3, 5, 40, 50, seed=4, draw=2)[0]
    torch.manual_seed(0)
    rows, columns = torch.randint(40, (30, 20)), torch.randint(50, (30, 20))
    found = noise_at(rows + 3, columns + 5, seed=4, draw=2)[0]
    assert torch.equal(found, field[:, rows, columns])


def test_places_before_the_field_have_noise_too() -> None:
    found = noise_at(torch.full((64, 64), -5), torch.arange(-64, 0), seed=1)
    assert found.isfinite().all()
    assert (found.std() - 1).abs() < 0.1
