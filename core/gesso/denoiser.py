"""``D(x, sigma) -> x0`` on [-1, 1]: the one shape in which the core knows a prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from gesso.errors import ModelError

if TYPE_CHECKING:
    from gesso.cards import ModelCard
    from gesso.runtime import Runtime
    from gesso.unet import WindowUNet

__all__ = ["Denoiser", "EDMDenoiser", "edm_scalings", "load_network", "load_prior"]


class Denoiser(Protocol):
    """Anything that can be a prior.

    ``__call__`` takes ``x`` (B, 3, H, W), a clean picture on [-1, 1] plus white noise of
    standard deviation ``sigma`` (B,), and returns the expected clean picture. H, W and
    the absolute offset of the crop are multiples of ``grid``.
    """

    @property
    def grid(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor: ...


def edm_scalings(sigma: Tensor, sigma_data: float) -> tuple[Tensor, Tensor, Tensor]:
    """(c_skip, c_out, c_in) of EDM (Karras et al. 2022, Table 1)."""
    total = sigma.square() + sigma_data**2
    return sigma_data**2 / total, sigma * sigma_data / total.sqrt(), total.rsqrt()


class EDMDenoiser:
    """EDM preconditioning (Karras et al. 2022, Eq. 7) around a raw network F.

    Args:
        network: ``F(c_in x, ln(sigma)/4)``, with ``sigma_data`` and ``grid``.
        dtype: what the network computes in; x, the skip and the result stay float32.
    """

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.float32) -> None:
        self.network = network
        self.dtype = dtype
        self.grid = int(cast(int, network.grid))
        self.sigma_data = float(cast(float, network.sigma_data))

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.network.parameters()).device

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        level = sigma.float()
        c_skip, c_out, c_in = (c[:, None, None, None] for c in edm_scalings(level, self.sigma_data))
        raw = self.network((c_in * x).to(self.dtype), level.log() / 4)
        return c_skip * x + c_out * cast(Tensor, raw).float()


def load_prior(card: ModelCard, runtime: Runtime) -> EDMDenoiser:
    """The factory of our own priors: a verified network in EDM form."""
    return EDMDenoiser(load_network(card, runtime), runtime.dtype)


def load_network(card: ModelCard, runtime: Runtime) -> WindowUNet:
    """A verified :class:`gesso.unet.WindowUNet` of ours, ready to be evaluated.

    Raises:
        ModelError: the weights are not the card's, or do not fit their config.
    """
    from safetensors import SafetensorError

    from gesso.storage import read_weights
    from gesso.unet import WindowUNet

    path = card.verify()
    try:
        network = WindowUNet.from_config(WindowUNet.load_config(str(card.folder)))
        network.load_state_dict(read_weights(path))
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"weights of {card.name!r} do not fit their config: {error}") from error
    # nn.Module's own: diffusers' to() warns about dtypes that this network does not mix.
    nn.Module.to(network, runtime.device, runtime.dtype)
    nn.Module.to(network, memory_format=torch.channels_last)
    return cast("WindowUNet", runtime.prepare(network.eval().requires_grad_(False)))
