"""The adversary: it learns to tell sources from what was made, and then dislikes the latter."""

from __future__ import annotations

import torch

from gesso.training.adversary import Adversary


def test_it_learns_to_tell_noise_from_flat_pictures() -> None:
    torch.manual_seed(0)
    adversary = Adversary(1e-3, torch.device("cpu"), width=8)
    generator = torch.Generator().manual_seed(0)

    def pair() -> tuple[torch.Tensor, torch.Tensor]:
        level = torch.rand(4, 3, 1, 1, generator=generator) * 2 - 1
        flat = level.expand(4, 3, 32, 32)
        return flat + 0.3 * torch.randn(4, 3, 32, 32, generator=generator), flat

    losses = [adversary.learn(*pair()) for _ in range(60)]
    assert losses[0] > 1.8  # ignorance is 2
    assert sum(losses[-5:]) / 5 < 1.0
    clean, made = pair()
    assert float(adversary.dislike(made).mean()) > float(adversary.dislike(clean).mean())


def test_what_is_disliked_has_a_gradient_and_the_adversary_none() -> None:
    adversary = Adversary(1e-3, torch.device("cpu"), width=8)
    made = torch.zeros(2, 3, 32, 32, requires_grad=True)
    found = adversary.dislike(made)
    assert found.shape == (2,)
    found.sum().backward()
    assert made.grad is not None and bool(made.grad.abs().sum() > 0)
    assert all(p.grad is None for p in adversary.network.parameters())
    assert all(p.requires_grad for p in adversary.network.parameters())
