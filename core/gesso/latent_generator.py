"""The one-step preprocessor on Stable Diffusion: a U-Net tuned between a frozen autoencoder.

"Generative Preprocessing for Image Compression with Pre-trained Diffusion Models" on the model
that it names: the source's latents, without noise, go once through the U-Net at a fixed
timestep, abar 0.5 as in GenDR (2025), with one fixed prompt. What is trained and written is
``attn1/attn2.{to_q, to_k, to_v, to_out.0}`` and how the rate index enters; all else is the base's.
"""

from __future__ import annotations

import math
import re
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from gesso.cards import ModelCard
from gesso.checkpoints.denoisers import VPDenoiser
from gesso.checkpoints.latent import LatentSpace
from gesso.checkpoints.loading import load_checkpoint
from gesso.errors import ModelError
from gesso.estimator import labels_of
from gesso.generator import QPS, OneStep, Preprocessor, base_of, save_attention
from gesso.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "LatentGenerator",
    "RateCondition",
    "TunedUNet",
    "is_projection",
    "load_latent_preprocessor",
    "read_base",
    "read_tuned",
    "write_projections",
]

# sqrt((1 - abar) / abar) at abar 0.5.
LEVEL = 1.0
HARMONICS = 8
PROJECTION = re.compile(r"\.attn[12]\.to_(?:q|k|v|out\.0)\.(?:weight|bias)$")


def is_projection(key: str) -> bool:
    """Whether a tensor of diffusers' ``UNet2DConditionModel`` is one of those that are tuned."""
    return PROJECTION.search(key) is not None


class RateCondition(nn.Module):
    """What the time embedding is given beside the timestep: rate index and codec.

    It begins at zero, so that an untrained one leaves the base as it is. Through the time
    embedding it reaches every residual block, though these are frozen.

    Args:
        width: of the time embedding.
        codecs: classes besides that of any other codec.
    """

    def __init__(self, width: int, codecs: int) -> None:
        super().__init__()
        self.rate = nn.Linear(2 * HARMONICS, width)
        self.codec = nn.Embedding(codecs + 1, width)
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, wish: Tensor) -> Tensor:
        """(B, 2) float32, rate index and class, to (B, width)."""
        best, worst = QPS
        harmonics = torch.arange(1, HARMONICS + 1, device=wish.device) * (math.pi / 2)
        phase = (wish[:, :1].float() - best) / (worst - best) * harmonics
        features = torch.cat([phase.sin(), phase.cos()], 1).to(self.rate.weight.dtype)
        return cast(Tensor, self.rate(features) + self.codec(wish[:, 1].long()))


class TunedUNet(nn.Module):
    """The tensors of a base's U-Net that are trained, under their own names, and no others.

    They are the U-Net's own parameters: whoever loads or steps these changes what it computes,
    while averages, checkpoints and files hold a fifth of it.

    Args:
        denoiser: of :func:`read_base`; its U-Net takes the condition in, and is this one's.
        codecs: see :class:`RateCondition`.
    """

    def __init__(self, denoiser: VPDenoiser, codecs: int) -> None:
        super().__init__()
        self.denoiser, self.grid = denoiser, denoiser.grid
        unet: Any = denoiser.network
        first = next(unet.parameters())
        condition = RateCondition(unet.time_embedding.linear_2.out_features, codecs)
        # Where diffusers adds the embedding of a class, which such a model has none of.
        unet.class_embedding = self.class_embedding = condition.to(first.device, first.dtype)
        for key, parameter in unet.named_parameters():
            if is_projection(key):
                *path, name = key.split(".")
                place: nn.Module = self
                for part in path:
                    if part not in place._modules:
                        place.add_module(part, nn.Module())
                    place = place.get_submodule(part)
                place.register_parameter(name, parameter)


class LatentGenerator(OneStep):
    """A :class:`gesso.generator.OneStep` on the latents of Stable Diffusion.

    Args:
        network: the U-Net with its condition.
        codecs: see :class:`gesso.generator.OneStep`.
        qps: see :class:`gesso.generator.OneStep`.
    """

    def __init__(
        self, network: TunedUNet, codecs: Sequence[str], qps: tuple[float, float] = QPS
    ) -> None:
        self.denoiser = denoiser = network.denoiser
        super().__init__(codecs, network.grid, denoiser.space, denoiser.tile, qps)

    @property
    def device(self) -> torch.device:
        """See :class:`gesso.generator.OneStep`."""
        return self.denoiser.device

    def step(self, x: Tensor, qp: Tensor, label: Tensor) -> Tensor:
        """See :class:`gesso.generator.OneStep`; latents times their scaling factor."""
        wish = torch.stack([qp.float().to(x.device), label.float().to(x.device)], 1)
        denoiser = copy(self.denoiser)
        condition = {**denoiser.layout.condition, "class_labels": wish}
        denoiser.layout = replace(denoiser.layout, condition=condition)
        return denoiser(x, x.new_full((len(x),), LEVEL))


def read_base(card: ModelCard, runtime: Runtime) -> VPDenoiser:
    """The networks of a Stable Diffusion folder, all of them frozen.

    Raises:
        ModelError: no autoencoder or prompt, another family, or a U-Net without what is tuned.
    """
    denoiser = load_checkpoint(card, runtime)
    latent, condition = isinstance(denoiser.space, LatentSpace), set(denoiser.layout.condition)
    if (
        not latent
        or not isinstance(denoiser, VPDenoiser)
        or "encoder_hidden_states" not in condition
    ):
        raise ModelError(
            f"{card.folder} is no Stable Diffusion: a preprocessor wants a UNet2DConditionModel, "
            "its autoencoder and a scheduler of DDPM's family"
        )
    if "class_labels" in condition:
        raise ModelError(f"{card.folder} is class-conditional; the rate index has no place in it")
    if not any(is_projection(key) for key, _ in denoiser.network.named_parameters()):
        raise ModelError(f"{card.folder} has no attn1 or attn2, which are what is tuned")
    return denoiser


def load_latent_preprocessor(card: ModelCard, runtime: Runtime) -> Preprocessor:
    """The factory of preprocessors on Stable Diffusion."""
    qps = tuple(card.settings.get("qps", QPS))
    network = read_tuned(card, runtime).eval().requires_grad_(False)
    return Preprocessor(LatentGenerator(network, card.settings["codecs"], qps))


def read_tuned(card: ModelCard, runtime: Runtime) -> TunedUNet:
    """The network of a preprocessor's card.

    Raises:
        ModelError: the weights, or those of the base, are not what the card says.
    """
    base = base_of(card)
    network = TunedUNet(read_base(base, runtime), len(labels_of(card.settings["codecs"])))
    load_projections(network, card)
    return network


def load_projections(network: TunedUNet, card: ModelCard) -> None:
    """Load what a card's file holds; raises ModelError where it does not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        network.load_state_dict(load_file(card.verify()))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"weights of {card.name!r} do not fit their base: {error}") from error


def write_projections(network: TunedUNet, folder: Path) -> str:
    """Write what is tuned, fp16; returns the file's name."""
    return save_attention(network.state_dict(), folder)
