"""Our own latent priors: a U-Net in EDM form over the latents of one autoencoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch

from gesso.autoencoder import Autoencoder
from gesso.cards import get_model, load
from gesso.checkpoints import CheckpointCard
from gesso.checkpoints.latent import LatentSpace
from gesso.denoiser import EDMDenoiser, load_network
from gesso.errors import ModelError

if TYPE_CHECKING:
    from gesso.cards import ModelCard
    from gesso.runtime import Runtime
    from gesso.unet import WindowUNet

__all__ = ["LatentPrior", "load_latent_prior", "modelled_autoencoder"]


class LatentPrior(EDMDenoiser):
    """A prior of scaled latents; see :class:`gesso.denoiser.EDMDenoiser`.

    Its ``grid`` is in pixels, and it may be run at any size: ``tile`` is None.

    Args:
        network: over the autoencoder's channels.
        autoencoder: whose latents it models.
        dtype: what the network computes in.

    Raises:
        ModelError: the network is for another number of channels.
    """

    tile: int | None = None

    def __init__(
        self,
        network: WindowUNet,
        autoencoder: Autoencoder,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__(network, dtype)
        channels = int(cast(Any, network).config.in_channels)
        if channels != autoencoder.channels:
            raise ModelError(
                f"the prior is of {channels} channels, its autoencoder's latents have "
                f"{autoencoder.channels}; train it anew"
            )
        self.space = LatentSpace(autoencoder)
        self.grid *= autoencoder.factor


def load_latent_prior(card: ModelCard, runtime: Runtime) -> LatentPrior:
    """The factory of our own latent priors.

    Args:
        card: ``settings["autoencoder"]`` holds the ``name`` and ``sha256`` of an autoencoder.
        runtime: where both run.

    Raises:
        ModelError: damaged weights, or the autoencoder is another one or not here.
    """
    autoencoder = cast(Autoencoder, load(modelled_autoencoder(card).name, "autoencoder", runtime))
    return LatentPrior(load_network(card, runtime), autoencoder, runtime.dtype)


def modelled_autoencoder(card: ModelCard) -> ModelCard:
    """The autoencoder whose latents a prior models: its card's, or of a pipeline the ``vae``.

    Raises:
        ModelError: it models pixels, or its autoencoder is not stated, another one or not here.
    """
    if isinstance(card, CheckpointCard):
        if not card.latent:
            raise ModelError(
                f"{card.name!r} models pixels, not the latents of an autoencoder; use one that "
                "has a vae, such as a Stable Diffusion folder"
            )
        return get_model(card.name, "autoencoder")
    stated = card.settings.get("autoencoder")
    if not isinstance(stated, Mapping) or not {"name", "sha256"} <= set(stated):
        raise ModelError(
            f"the card of {card.name!r} does not say whose latents it models, if any; "
            'its settings want "autoencoder": {"name", "sha256"}'
        )
    try:
        found = get_model(str(stated["name"]), "autoencoder")
    except ModelError as error:
        raise ModelError(
            f"{card.name!r} models the latents of {stated['name']!r}, which is not here ({error}); "
            "bring that back, or train the prior anew"
        ) from error
    if found.sha256 != stated["sha256"]:
        raise ModelError(
            f"{card.name!r} models the latents of {stated['name']!r} as it was with SHA-256 "
            f"{str(stated['sha256'])[:12]}..., it has {found.sha256[:12]}... now; bring that back, "
            "or train the prior anew"
        )
    return found
