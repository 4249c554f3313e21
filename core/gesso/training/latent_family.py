"""Both stages of a preprocessor in Stable Diffusion; see :mod:`gesso.latent_generator`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from gesso.cards import ModelCard, get_model
from gesso.checkpoints.latent import LatentSpace
from gesso.errors import InputError
from gesso.generator import OneStep, base_of
from gesso.latent_generator import (
    LatentGenerator,
    TunedUNet,
    load_projections,
    read_base,
    write_projections,
)
from gesso.runtime import Runtime
from gesso.space import Space
from gesso.training.family import Score, check_codecs

__all__ = ["LatentFamily", "base_folder"]

FACTORY = "gesso.latent_generator:load_latent_preprocessor"
# Of the timesteps; SiD-LSG's 20 to 980 of 1000.
SHARES = (0.02, 0.98)


def base_folder(start: str | Path | None) -> str:
    """The Stable Diffusion folder that a run from ``start`` is in; empty for our own U-Net."""
    if start is None:
        return ""
    folder = Path(start).expanduser()
    if (folder / "card.json").is_file():
        card = ModelCard.read(folder)
        return str(card.settings["base"]) if card.factory == FACTORY else ""
    return str(folder.resolve()) if (folder / "model_index.json").is_file() else ""


class LatentFamily:
    """A Stable Diffusion whose attention projections are trained, and its rate condition.

    The autoencoder and the prompt's embedding are frozen. Activations between blocks of the
    U-Net and of the decoder alone are kept for the backward pass; the rest is computed again.
    The score's guidance is 1, for there is one prompt.

    Args:
        base: folder in diffusers' format.
        codecs: a class each, and one for any other.
        runtime: device; weights are float32 under bf16 autocast.

    Raises:
        ModelError: no such model there; see :func:`gesso.latent_generator.read_base`.
    """

    factory = FACTORY
    # Latents are scaled to unit variance.
    sigma_data = 1.0

    def __init__(self, base: str, codecs: Sequence[str], runtime: Runtime) -> None:
        self.codecs, self.runtime = list(codecs), runtime
        self.card = get_model(base, "prior")
        self.denoiser = read_base(self.card, Runtime(runtime.device_name, "fp32"))
        self.space: Space = self.denoiser.space
        self.settings: Mapping[str, Any] = {"base": self.card.name, "base_sha256": self.card.sha256}
        cast(Any, self.denoiser.network).enable_gradient_checkpointing()
        cast(LatentSpace, self.space).autoencoder.checkpoint_gradients()

    def build(self) -> Any:
        """See :class:`Family`."""
        return TunedUNet(self.denoiser, len(self.codecs))

    def trains(self, key: str) -> bool:
        """See :class:`Family`; a :class:`TunedUNet` holds nothing else."""
        return True

    def generator(self, network: Any) -> OneStep:
        """See :class:`Family`."""
        return LatentGenerator(network, self.codecs)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """See :class:`Family`."""
        with torch.autocast(self.runtime.device.type, torch.bfloat16):
            yield

    def begin(self, network: Any, folder: str | Path) -> Mapping[str, Any]:
        """See :class:`Family`; the base itself is in place already."""
        if not (Path(folder) / "card.json").is_file():
            self._same(base_folder(folder), folder)
            return self.settings
        card = ModelCard.read(folder)
        if card.factory != FACTORY:
            raise InputError(f"{folder} is not of {self.card.name}; begin from that, or anew")
        check_codecs(card, self.codecs, folder)
        self._same(base_of(card).name, folder)
        load_projections(network, card)
        return self.settings

    def _same(self, base: str, folder: str | Path) -> None:
        if not base or get_model(base, "prior").sha256 != self.card.sha256:
            raise InputError(f"{folder} is not of {self.card.name}; begin from that, or anew")

    def check(self, settings: Mapping[str, Any]) -> None:
        """See :class:`Family`."""
        if settings.get("base_sha256") != self.card.sha256:
            raise InputError(
                f"the checkpoint was begun with other weights than {self.card.name} has now; "
                "bring these back, or give another --out"
            )

    def write(self, network: Any, folder: Path) -> str:
        """See :class:`Family`."""
        return write_projections(network, folder)

    def teacher(self, name: str) -> nn.Module:
        """See :class:`Family`: the base as it was."""
        if name != "prior":
            raise InputError(f"{self.card.name} is distilled by itself; leave out --teacher {name}")
        # Read again, for the generator's own is being trained.
        network = read_base(self.card, Runtime(self.runtime.device_name, "fp32")).network
        cast(Any, network).enable_gradient_checkpointing()
        return network

    def score(self, network: nn.Module) -> Score:
        """See :class:`Family`."""
        denoiser = copy(self.denoiser)
        denoiser.network = network
        return denoiser

    def levels(self, bounds: tuple[float, float], count: int, noise: torch.Generator) -> Tensor:
        """See :class:`Family`; even in timesteps, and ``bounds`` are the schedule's."""
        low, high = SHARES
        share = low + (high - low) * torch.rand(count, generator=noise)
        levels = self.denoiser.levels
        return levels[(share * (len(levels) - 1)).round().long()].exp().float()

    def fake_levels(
        self, bounds: tuple[float, float], count: int, noise: torch.Generator
    ) -> Tensor:
        """See :class:`Family`."""
        return self.levels(bounds, count, noise)
