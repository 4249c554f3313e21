"""Frozen networks that metrics look through, built once for each device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["on_device"]

_building = threading.RLock()
_built: dict[tuple[Callable[[], nn.Module], torch.device], nn.Module] = {}


def on_device(build: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    """What ``build`` makes, without gradients of its own: one per device, whatever thread asks.

    Raises whatever ``build`` does, ModelError for weights that are not there; the next call
    tries again.
    """
    import torch

    with _building:
        if (build, device) not in _built:
            # Weights made in inference mode could never serve as a loss; and the random start
            # that is overwritten must not move the caller's random numbers.
            with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
                network = build().to(device).eval().requires_grad_(False)
            _built[build, device] = network
        return _built[build, device]
