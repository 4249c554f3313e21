"""The noise levels that a checkpoint's own DDIM passes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from gesso.errors import ModelError

__all__ = ["ddim_levels"]


def ddim_levels(scheduler: Mapping[str, Any], steps: int, share: float) -> Tensor:
    """Rising levels sigma = sqrt(1 / abar - 1), the clean end first; (n + 1,) float64.

    The timesteps are those that diffusers' ``DDIMScheduler`` sets for steps / share steps; of
    these the lowest n, as its image-to-image pipelines take them. ``beta_schedule`` and
    ``rescale_betas_zero_snr``, ``timestep_spacing`` and ``steps_offset`` are the config's; the
    clean end is 0, or with ``set_alpha_to_one`` false the level of timestep 0.

    Args:
        scheduler: config of any scheduler of DDPM's family.
        steps: n, or fewer where the schedule has no more timesteps in that share.
        share: part of the schedule that is passed, in [0, 1].

    Raises:
        ModelError: a config that diffusers cannot use.
    """
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    known = set(inspect.signature(DDIMScheduler.__init__).parameters)
    try:
        ddim = DDIMScheduler(**{n: v for n, v in scheduler.items() if n in known})
        count = int(ddim.config.num_train_timesteps)
        # No part of a schedule is less than one timestep.
        share = max(share, 1 / count)
        total = min(count, max(1, round(steps / share)))
        ddim.set_timesteps(total)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ModelError(f"the checkpoint's schedule is damaged: {error}") from error
    used = min(steps, max(1, round(total * share)))
    # An offset may lead beyond the last timestep.
    timesteps = ddim.timesteps[-used:].flip(0).clamp(0, count - 1)
    bars = cast(Tensor, ddim.alphas_cumprod).double()
    # With zero terminal signal the last level is infinite; the one before it stands in.
    bars = bars.clamp_min(float(bars[bars > 0].min()))
    bars = torch.cat([cast(Tensor, ddim.final_alpha_cumprod).double().reshape(1), bars[timesteps]])
    levels = (1 / bars - 1).clamp_min(0).sqrt()
    # Timestep 0 may be the clean end itself.
    return torch.cat([levels[:1], levels[1:][levels[1:] > levels[0]]])
