"""``D(x, sigma)`` around diffusers' U-Nets: each family's own input, timestep and output."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn

from gesso.checkpoints.ddim import ddim_levels
from gesso.denoiser import edm_scalings
from gesso.space import PIXELS, Space

__all__ = [
    "ConsistencyDenoiser",
    "ForeignDenoiser",
    "ForeignEDM",
    "Layout",
    "VPDenoiser",
    "signal_of",
]

Control = Callable[[Tensor, Tensor, Mapping[str, Tensor]], Mapping[str, Any]]


@dataclass(frozen=True)
class Layout:
    """How a network wants to be run.

    Attributes:
        grid: pixels; sizes and offsets of tiles are multiples of it.
        tile: side in pixels that it was trained at; None if it does not say.
        space: where it works.
        dtype: what it computes in; everything around it is float32.
        condition: what else it is always given, for one picture: ``class_labels`` (1,) or
            ``encoder_hidden_states`` (1, tokens, width).
    """

    grid: int
    tile: int | None = None
    space: Space = PIXELS
    dtype: torch.dtype = torch.float32
    condition: Mapping[str, Tensor] = field(default_factory=dict)


class ForeignDenoiser(ABC):
    """What all families share; see :class:`gesso.denoiser.Denoiser`.

    Beside ``grid`` and ``device`` it states its ``space`` and ``tile``, which the enhancer
    follows: see :func:`gesso.space.fitted`.

    Args:
        network: diffusers' U-Net.
        layout: how to run it.
    """

    def __init__(self, network: nn.Module, layout: Layout) -> None:
        self.network, self.layout = network, layout
        self.grid, self.tile, self.space = layout.grid, layout.tile, layout.space
        # What else the network is given for what it sees, such as a ControlNet's residuals.
        self.control: Control | None = None

    @property
    def device(self) -> torch.device:
        """Where the network's weights are."""
        return next(self.network.parameters()).device

    def raw(self, x: Tensor, timestep: Tensor) -> Tensor:
        """The network's output, float32, without a learned variance (ADM's second half)."""
        condition = {
            name: value.expand(len(x), *value.shape[1:])
            for name, value in self.layout.condition.items()
        }
        inner = x.to(self.layout.dtype)
        more = self.control(inner, timestep, condition) if self.control else {}
        out = cast(Any, self.network)(inner, timestep, return_dict=False, **condition, **more)[0]
        return cast(Tensor, out)[:, : x.shape[1]].float()

    @abstractmethod
    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """See :class:`gesso.denoiser.Denoiser`."""


class VPDenoiser(ForeignDenoiser):
    """Variance-preserving models: DDPM, ADM, Stable Diffusion.

    With abar the product of (1 - beta), sigma = sqrt((1 - abar) / abar), the network sees
    sqrt(abar) (x + sigma n), and D = x - sigma eps (Song et al. 2021, DDIM; Karras et al.
    2022, Appendix C.3). Between two timesteps t is linear in ln sigma; beyond the first and
    the last it is held.

    Args:
        network: see :class:`ForeignDenoiser`.
        layout: see :class:`ForeignDenoiser`.
        alphas_cumprod: abar for each training timestep, falling.
        prediction: ``epsilon``, ``v_prediction`` (Salimans and Ho 2022) or ``sample``.
        whole_steps: the network knows whole timesteps only.
        scheduler: the scheduler's config, for :meth:`rising`.
    """

    def __init__(
        self,
        network: nn.Module,
        layout: Layout,
        alphas_cumprod: Tensor,
        prediction: str = "epsilon",
        whole_steps: bool = False,
        scheduler: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(network, layout)
        self.prediction, self.whole_steps = prediction, whole_steps
        self.scheduler = scheduler or {}
        bars = alphas_cumprod.double().cpu()
        # A schedule of zero terminal signal ends at abar 0, where sigma is infinite.
        bars = bars[bars > 0]
        self.levels = ((1 - bars).log() - bars.log()) / 2

    def timestep(self, sigma: Tensor) -> Tensor:
        """The training timestep of a noise level, with its fraction; (B,) float32."""
        levels = self.levels.to(sigma.device, torch.float32)
        wanted = sigma.float().log().contiguous()
        above = torch.searchsorted(levels, wanted).clamp(1, len(levels) - 1)
        low, high = levels[above - 1], levels[above]
        step = above - 1 + ((wanted - low) / (high - low)).clamp(0, 1)
        return step.round() if self.whole_steps else step

    def rising(self, steps: int, share: float) -> Tensor:
        """Levels of the checkpoint's own DDIM: see :func:`gesso.checkpoints.ddim.ddim_levels`."""
        return ddim_levels(self.scheduler, steps, share)

    def share(self, sigma: float) -> float:
        """The part of the schedule that lies below a level, in [0, 1]."""
        below = torch.searchsorted(self.levels, torch.tensor(sigma).double().log())
        return float(below) / len(self.levels)

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        level = sigma.float()[:, None, None, None]
        # sqrt(abar), for the level itself rather than for the nearest timestep
        alpha = (1 + level.square()).rsqrt()
        timestep = self.timestep(sigma)
        out = self.raw(alpha * x, timestep.long() if self.whole_steps else timestep)
        if self.prediction == "sample":
            return out
        if self.prediction == "v_prediction":
            return alpha.square() * x - alpha * level * out
        return x - level * out


class ForeignEDM(ForeignDenoiser):
    """EDM preconditioning (Karras et al. 2022, Eq. 7), as diffusers' EDM schedulers have it.

    Args:
        network: F(c_in x, ln(sigma) / 4).
        layout: see :class:`ForeignDenoiser`.
        sigma_data: of the training data.
        prediction: ``epsilon``, or ``v_prediction``, which turns the sign of c_out.
    """

    def __init__(
        self, network: nn.Module, layout: Layout, sigma_data: float, prediction: str = "epsilon"
    ) -> None:
        super().__init__(network, layout)
        self.sigma_data, self.sign = sigma_data, -1 if prediction == "v_prediction" else 1

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        level = sigma.float()
        c_skip, c_out, c_in = (c[:, None, None, None] for c in edm_scalings(level, self.sigma_data))
        return c_skip * x + self.sign * c_out * self.raw(c_in * x, level.log() / 4)


class ConsistencyDenoiser(ForeignDenoiser):
    """Consistency models (Song et al. 2023, Appendix C), as CMStochasticIterativeScheduler.

    Args:
        network: F(c_in x, 250 ln sigma).
        layout: see :class:`ForeignDenoiser`.
        sigma_data: of the training data.
        sigma_min: where D is the identity; lower levels are taken for it.
    """

    def __init__(
        self, network: nn.Module, layout: Layout, sigma_data: float, sigma_min: float
    ) -> None:
        super().__init__(network, layout)
        self.sigma_data, self.sigma_min = sigma_data, sigma_min

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        level = sigma.float().clamp_min(self.sigma_min)
        over, data = (level - self.sigma_min)[:, None, None, None], self.sigma_data
        c_in = (level.square() + data**2).rsqrt()[:, None, None, None]
        c_skip = data**2 / (over.square() + data**2)
        return c_skip * x + over * data * c_in * self.raw(c_in * x, 250 * level.log())


def signal_of(scheduler: Mapping[str, Any]) -> Tensor:
    """abar for each training timestep of a scheduler's config, through diffusers' own code."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    stated = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas")
    names = (*stated, "rescale_betas_zero_snr")
    return cast(
        Tensor, DDPMScheduler(**{n: scheduler[n] for n in names if n in scheduler}).alphas_cumprod
    )
