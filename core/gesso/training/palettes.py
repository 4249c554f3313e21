"""Palettes of latents that an autoencoder learns while it is trained, of several sizes at once."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from gesso.latent.vectors import nearest_entry, quantised, rows

__all__ = ["LearnedPalettes"]

DECAY = 0.99
# An entry that is used less than this often in a batch, on average, is put elsewhere.
RARE = 0.05


class LearnedPalettes(nn.Module):
    """Vector quantisation by running means (van den Oord et al. 2017, Appendix A.1).

    Every size sees every batch, whichever the decoder is given.

    Args:
        sizes: numbers of entries.
        channels: of the latents.
        magnitude: latents are meant to lie in [-magnitude, magnitude].
    """

    def __init__(self, sizes: Sequence[int], channels: int, magnitude: float) -> None:
        super().__init__()
        self.sizes, self.magnitude = tuple(sizes), magnitude
        for size in self.sizes:
            self.register_buffer(f"sums_{size}", torch.zeros(size, channels))
            self.register_buffer(f"counts_{size}", torch.zeros(size))

    def entries(self, size: int) -> Tensor:
        """The palette of that size, (size, C)."""
        sums, counts = self.get_buffer(f"sums_{size}"), self.get_buffer(f"counts_{size}")
        return sums / counts.clamp_min(1e-6)[:, None]

    @property
    def begun(self) -> bool:
        """Whether the palettes have seen latents yet."""
        return bool(self.get_buffer(f"counts_{self.sizes[0]}").sum() > 0)

    @torch.no_grad()
    def follow(self, latents: Tensor, generator: torch.Generator) -> None:
        """Move every palette towards the means of what is nearest to its entries.

        Args:
            latents: (B, C, h, w).
            generator: of where rare entries go.
        """
        values = rows(latents.detach().float())
        for size in self.sizes:
            sums, counts = self.get_buffer(f"sums_{size}"), self.get_buffer(f"counts_{size}")
            if not self.begun or not counts.any():
                sums.copy_(_some(values, size, generator))
                counts.fill_(1.0)
            # the mean count of an entry is the same whatever the batch
            share = size / len(values)
            found = nearest_entry(values, self.entries(size))
            seen = torch.zeros_like(counts).index_add_(0, found, torch.ones_like(values[:, 0]))
            total = torch.zeros_like(sums).index_add_(0, found, values)
            counts.lerp_(seen * share, 1 - DECAY)
            sums.lerp_(total * share, 1 - DECAY)
            rare = counts < RARE
            if rare.any():
                counts[rare] = 2 * RARE
                sums[rare] = 2 * RARE * _some(values, int(rare.sum()), generator)

    def quantised(self, latents: Tensor, size: int) -> Tensor:
        """Each latent's nearest entry, (B, C, h, w); without gradient."""
        return quantised(latents, self.entries(size))

    def encoded(self) -> Mapping[str, str]:
        """The palettes as 8-bit values in base64, by size: what a card's settings hold."""
        return {
            str(size): base64.b64encode(
                self.bytes8(self.entries(size)).cpu().numpy().tobytes()
            ).decode()
            for size in self.sizes
        }

    def resume(self, state: Mapping[str, str]) -> None:
        """Go on from :meth:`encoded`; sizes that it lacks begin anew."""
        for size in self.sizes:
            if str(size) not in state:
                continue
            content = torch.frombuffer(
                bytearray(base64.b64decode(state[str(size)])), dtype=torch.uint8
            )
            values = (content.float() / 255 - 0.5) * 2 * self.magnitude
            self.get_buffer(f"sums_{size}").copy_(values.view(size, -1))
            self.get_buffer(f"counts_{size}").fill_(1.0)

    def bytes8(self, values: Tensor) -> Tensor:
        """On the latent codec's 8-bit scale, uint8, in order of the first channels."""
        scaled = (values / (2 * self.magnitude) + 0.5).clamp(0, 1)
        whole = (255 * scaled + 0.5).to(torch.uint8)
        order = sorted(range(len(whole)), key=lambda row: whole[row].tolist())
        return whole[order]


def _some(values: Tensor, count: int, generator: torch.Generator) -> Tensor:
    index = torch.randint(len(values), (count,), generator=generator)
    return values[index.to(values.device)]
