"""The adversary of a picture generator: a patch discriminator and its own optimiser."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from gesso.training.checkpoint import load_checkpoint, save_checkpoint

__all__ = ["Adversary"]


class Adversary:
    """A PatchGAN (Isola et al. 2017) with spectral normalisation, trained by the hinge loss.

    Args:
        lr: of its Adam.
        device: where it runs.
        width: of its first layer.
    """

    def __init__(self, lr: float, device: torch.device, width: int = 48) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inner, outer, stride in ((1, 2, 2), (2, 4, 2), (4, 4, 1)):
            layers += [
                spectral_norm(nn.Conv2d(inner * width, outer * width, 4, stride, 1)),
                nn.LeakyReLU(0.2),
            ]
        layers.append(spectral_norm(nn.Conv2d(4 * width, 1, 3, 1, 1)))
        self._seen: tuple[Tensor, Tensor] | None = None
        self.network = nn.Sequential(*layers).to(device)
        self.network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr, betas=(0.5, 0.9), weight_decay=0.0
        )

    def dislike(self, made: Tensor) -> Tensor:
        """The generator's loss for pictures (B, 3, H, W) on [-1, 1], (B,); lower is better."""
        self.network.requires_grad_(False)
        try:
            return -self._judge(made)
        finally:
            self.network.requires_grad_(True)

    def pull(self, clean: Tensor, made: Tensor, slope: Tensor, share: float) -> Tensor:
        """``slope``, that of the other losses at ``made``, with the adversary's own added.

        Its own is scaled to ``share`` of theirs, as Esser et al. 2021 weigh it (Eq. 7), here
        at the picture instead of the last layer. The pair is kept for :meth:`catch_up`.

        Args:
            clean: the sources, of the same shape.
            made: a leaf that asks for its gradient, (B, 3, H, W) on [-1, 1].
            slope: of its shape.
            share: how strong the adversary may be beside the others.
        """
        self._seen = clean, made.detach()
        (push,) = torch.autograd.grad(self.dislike(made).mean(), made)
        pulled: Tensor = slope + share * slope.norm() / push.norm().clamp_min(1e-8) * push
        return pulled

    def learn(self, clean: Tensor, made: Tensor) -> float:
        """One step on sources and what was made of them; its hinge loss (2 is ignorance)."""
        verdict = self._patches(torch.cat([clean, made.detach()]))
        real, fake = verdict.chunk(2)
        loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch states no types here
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        return float(loss.detach())

    def catch_up(self) -> None:
        """One step on the pair that it last pulled at, if it did since the one before."""
        if self._seen is not None:
            self.learn(*self._seen)
            self._seen = None

    def save(self, folder: Path, **others: Mapping[str, Tensor]) -> None:
        """Checkpoint it into ``folder``, with the tensors of others that are trained along."""
        tensors = {"adversary": self.network.state_dict(), **others}
        save_checkpoint(folder, tensors, self.optimizer, torch.Generator(), {})

    def restore(self, folder: Path) -> dict[str, dict[str, Tensor]]:
        """Go on from what :meth:`save` wrote; the tensors of the others."""
        tensors, _ = load_checkpoint(folder, self.optimizer, torch.Generator())
        self.network.load_state_dict(tensors.pop("adversary"))
        return tensors

    def _judge(self, pictures: Tensor) -> Tensor:
        return self._patches(pictures).mean((1, 2, 3))

    def _patches(self, pictures: Tensor) -> Tensor:
        with torch.autocast(pictures.device.type, torch.bfloat16):
            return cast(Tensor, self.network(pictures)).float()
