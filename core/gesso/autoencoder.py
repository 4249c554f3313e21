"""Autoencoders: pictures to latents and back, in diffusers' format, ours and anybody's."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from gesso.errors import ModelError

if TYPE_CHECKING:
    from gesso.cards import ModelCard
    from gesso.runtime import Runtime

__all__ = ["Autoencoder", "load_autoencoder"]

# Half of the range that the original codec quantises, in scaled latents: its notebook's
# 255 * 0.18215 / 2 holds for unscaled ones of Stable Diffusion, whose factor is 0.18215.
SCALED_MAGNITUDE = 255 * 0.18215 / 2 * 0.18215


class Autoencoder:
    """Diffusers' ``AutoencoderTiny`` or ``AutoencoderKL``, the latter at its posterior's mode.

    Args:
        network: on its device, in ``dtype``.
        dtype: what the network computes in; pixels and latents are float32. AutoencoderKL
            normalises over the whole picture and attends to it: its rounding would be seen.

    Attributes:
        factor: pixels per latent sample along one axis.
        channels: of the latents.
        magnitude: raw latents lie about in [-magnitude, magnitude], the range to quantise.
        scale: what latents are multiplied with, to unit variance.
        shift: what is subtracted before.

    Raises:
        ModelError: a network that is no autoencoder of RGB pictures.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        self.network, self.dtype = network, dtype
        config = cast(Any, network).config
        kind, name = type(network).__name__, config.get("_name_or_path") or "the autoencoder"
        if kind not in ("AutoencoderKL", "AutoencoderTiny"):
            raise ModelError(f"{name} is a {kind}; gesso runs AutoencoderKL and AutoencoderTiny")
        if (config.in_channels, config.out_channels) != (3, 3):
            raise ModelError(
                f"{name} takes {config.in_channels} channels to {config.out_channels}; pictures "
                "have 3: use an autoencoder of RGB pictures"
            )
        # Configs older than the key are Stable Diffusion's, for which it became the default.
        self.scale = _positive(config.scaling_factor, "scaling_factor", name)
        self.shift = float(config.get("shift_factor") or 0.0)
        self.channels = int(config.latent_channels)
        if kind == "AutoencoderTiny":
            self.factor = 2 ** (len(config.num_encoder_blocks) - 1)
            back = config.upsampling_scaling_factor ** (len(config.num_decoder_blocks) - 1)
            if back != self.factor:
                raise ModelError(
                    f"{name} makes pictures {self.factor} times smaller and {back} times larger; "
                    "its config.json is damaged: download it anew"
                )
            self.magnitude = _positive(config.latent_magnitude, "latent_magnitude", name)
        else:
            given = [key for key in ("latents_mean", "latents_std") if config.get(key) is not None]
            if given:
                raise ModelError(f"{name} states {given[0]}, which gesso cannot use")
            self.factor = 2 ** (len(config.block_out_channels) - 1)
            self.magnitude = SCALED_MAGNITUDE / self.scale

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.network.parameters()).device

    def encode(self, pixels: Tensor) -> Tensor:
        """(B, 3, H, W) on [-1, 1], sides multiples of ``factor``, to raw latents.

        These are (B, C, H / factor, W / factor) float32.
        """
        found = cast(Any, self.network).encode(pixels.to(self.device, self.dtype))
        # Under autocast, as in training, the network's own dtype is a lower one.
        latents = found.latents if hasattr(found, "latents") else found.latent_dist.mode()
        return cast(Tensor, latents.float())

    def decode(self, latents: Tensor) -> Tensor:
        """Raw latents (B, C, h, w) to pixels (B, 3, h * factor, w * factor) about [-1, 1]."""
        found = cast(Any, self.network).decode(latents.to(self.device, self.dtype))
        return cast(Tensor, found.sample.float())

    def checkpoint_gradients(self) -> None:
        """Keep less for the backward pass, and compute it again.

        Nothing for AutoencoderTiny, which is small: with it diffusers' encoder forgets to move
        pixels to [0, 1].
        """
        if type(self.network).__name__ == "AutoencoderKL":
            cast(Any, self.network).enable_gradient_checkpointing()


def _positive(value: object, key: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ModelError(f"{name} states {key} {value!r}; it must be a positive number")
    return float(value)


def load_autoencoder(card: ModelCard, runtime: Runtime) -> Autoencoder:
    """The factory of our own autoencoders and of folders in diffusers' format.

    Args:
        card: of role ``autoencoder``.
        runtime: device and dtype; AutoencoderKL computes in float32 whatever the dtype.

    Raises:
        ModelError: damaged weights, or none that fit the config.
    """
    from gesso.checkpoints.autoencoders import build_autoencoder, read_autoencoder

    part = read_autoencoder(card.folder)
    if part.weights.files[-1] != card.weights:
        raise ModelError(
            f"{card.folder} holds {part.weights.files[-1]}, which its card does not name; remove "
            f"what is not {card.weights}"
        )
    card.verify()
    return build_autoencoder(part, runtime)
