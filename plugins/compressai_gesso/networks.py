"""The small scale hyperprior: its network, built from safetensors that a card vouches for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from compressai_gesso.library import library
from gesso.cards import ModelCard
from gesso.errors import ModelError
from gesso.runtime import Runtime

if TYPE_CHECKING:
    from compressai.models import ScaleHyperprior

__all__ = ["fill", "load_hyperprior", "new_hyperprior", "rescale", "widths_of"]


def new_hyperprior(channels: int, latents: int) -> ScaleHyperprior:
    """Untrained network of Balle et al. 2018 with N ``channels`` and M ``latents``.

    Raises:
        InputError: CompressAI, whose class it is, is not installed.
    """
    return library("models").ScaleHyperprior(channels, latents)


def load_hyperprior(card: ModelCard, runtime: Runtime | None = None) -> ScaleHyperprior:
    """The network of ``card``, ready to code: on the CPU, in fp32, its tables built.

    ``runtime`` is what every factory is given; it is not followed, because the encoder's
    and the decoder's arithmetic must agree.

    Raises:
        ModelError: the weights are damaged, or of another network.
        InputError: CompressAI is not installed.
    """
    path = card.verify()
    try:
        weights = load_file(path)
        network = new_hyperprior(*_widths(weights))
        fill(network, weights)
    except (SafetensorError, KeyError, IndexError, RuntimeError) as error:
        raise ModelError(
            f"{path} holds no scale hyperprior ({error}); reinstall, or train it anew"
        ) from error
    network.update(force=True)
    return network.eval().requires_grad_(False)


def _widths(weights: Mapping[str, Tensor]) -> tuple[int, int]:
    """(N, M) of a scale hyperprior, from its encoder's first and last convolution."""
    return weights["g_a.0.weight"].shape[0], weights["g_a.6.weight"].shape[0]


def widths_of(folder: str | Path) -> tuple[int, int]:
    """(N, M) of the model in ``folder``; raises ModelError when there is none."""
    path = ModelCard.read(folder).path
    try:
        with safe_open(path, "pt") as file:
            first, last = (file.get_slice(f"g_a.{place}.weight").get_shape() for place in (0, 6))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} holds no scale hyperprior ({error})") from error
    return int(first[0]), int(last[0])


def fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy ``weights`` of any float type into the parameters; RuntimeError if they differ."""
    parameters = dict(network.named_parameters())
    if odd := set(parameters) ^ set(weights):
        raise RuntimeError(f"tensors that are not in both: {', '.join(sorted(odd)[:3])}")
    with torch.no_grad():
        for name, parameter in parameters.items():
            if weights[name].shape != parameter.shape:
                raise RuntimeError(f"{name} has shape {tuple(weights[name].shape)}")
            parameter.copy_(weights[name])


def rescale(network: ScaleHyperprior, gain: float) -> None:
    """Make every latent ``gain`` times as large, and all that reads it by as much smaller.

    What the network computes stays the same but for the size of a rounding step, which
    becomes ``1 / gain`` of what it was: a model of one rate turns into one of another.
    """
    with torch.no_grad():
        for name, factor in (
            ("g_a.6.weight", gain),
            ("g_a.6.bias", gain),
            ("g_s.0.weight", 1 / gain),
            ("h_a.0.weight", 1 / gain),
            ("h_s.4.weight", gain),
            ("h_s.4.bias", gain),
        ):
            network.get_parameter(name).mul_(factor)
