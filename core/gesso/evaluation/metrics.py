"""Full-reference metrics on (B, 3, H, W) pictures in [0, 1]: PSNR, LPIPS and DISTS."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, cast

from gesso.errors import InputError, ModelError
from gesso.evaluation.trunks import trunk

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["METRICS", "Metric", "get_metrics"]

_building = threading.RLock()


@dataclass(frozen=True)
class Metric:
    """One way to compare pictures with their references.

    Attributes:
        name: key in JSON and on the command line.
        label: as printed in tables and on sheets.
        lower_is_better: False for similarities such as PSNR.
        digits: decimals worth printing.
        function: (reference, picture), both (B, 3, H, W) float in [0, 1] on one device,
            -> (B,) float32. Differentiable in both; built on first use.
        smallest: the shortest side in pixels that the metric is defined on.
    """

    name: str
    label: str
    lower_is_better: bool
    digits: int
    function: Callable[[Tensor, Tensor], Tensor]
    smallest: int = 1

    def __call__(self, reference: Tensor, picture: Tensor) -> Tensor:
        """The metric's value for every picture; raises InputError for shapes that do not fit."""
        import torch

        if reference.shape != picture.shape or picture.ndim != 4 or picture.shape[1] != 3:
            raise InputError(
                f"{self.label} needs two (B, 3, H, W) tensors of one shape, got "
                f"{tuple(reference.shape)} and {tuple(picture.shape)}"
            )
        if min(picture.shape[2:]) < self.smallest:
            height, width = picture.shape[2:]
            raise InputError(
                f"{self.label} needs {self.smallest} x {self.smallest} pixels or more, "
                f"got {width} x {height}; leave the picture or the metric out"
            )
        # half precision would move the third digit
        with torch.autocast(picture.device.type, enabled=False):
            return self.function(reference.float(), picture.float())


def _psnr(reference: Tensor, picture: Tensor) -> Tensor:
    """10 log10(1 / MSE) in dB over all channels; infinite for equal pictures."""
    error = (reference - picture).square().mean((1, 2, 3))
    return -10 * error.log10()


def _lpips(reference: Tensor, picture: Tensor) -> Tensor:
    """LPIPS 0.1, AlexNet (Zhang et al., "The Unreasonable Effectiveness of Deep Features
    as a Perceptual Metric", CVPR 2018), by the authors' package."""
    network = _on_device(_build_lpips, reference.device)
    return cast("Tensor", network(reference, picture, normalize=True)).flatten()


def _dists(reference: Tensor, picture: Tensor) -> Tensor:
    """DISTS (Ding et al., TPAMI 2022) at the pictures' own size."""
    return cast("Tensor", _on_device(_build_dists, reference.device)(reference, picture))


def _on_device(build: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    """One frozen network per device, built once whatever thread asks first."""
    with _building:
        return _built(build, device)


@cache
def _built(build: Callable[[], nn.Module], device: torch.device) -> nn.Module:
    import torch

    # Weights made in inference mode could never serve as a loss; and the random start that
    # is overwritten must not move the caller's random numbers.
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        return build().to(device).eval().requires_grad_(False)


def _build_lpips() -> nn.Module:
    import torch

    try:
        import lpips
    except ImportError as error:
        raise ModelError(
            "LPIPS needs the package lpips; run: pip install 'gesso[evaluate]'"
        ) from error
    with warnings.catch_warnings():
        # the package still passes torchvision's old arguments
        for message in ("The parameter 'pretrained'", "Arguments other than a weight enum"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        network = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    layers = [m for m in network.net.modules() if isinstance(m, torch.nn.Conv2d)]
    for layer, (weight, bias) in zip(layers, trunk("alexnet"), strict=True):
        layer.load_state_dict({"weight": weight, "bias": bias})
    return cast("nn.Module", network)


def _build_dists() -> nn.Module:
    from gesso.evaluation.dists import Dists

    return Dists.pretrained()


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR", False, 2, _psnr),
        # below 31 pixels AlexNet's second pooling has nothing to pool
        Metric("lpips", "LPIPS", True, 4, _lpips, smallest=31),
        Metric("dists", "DISTS", True, 4, _dists),
    )
}


def get_metrics(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names, in the order given, each once; InputError for unknown ones."""
    chosen: dict[str, Metric] = {}
    for name in names:
        if name not in METRICS:
            raise InputError(f"no metric {name!r}; there are {', '.join(METRICS)}")
        chosen[name] = METRICS[name]
    if not chosen:
        raise InputError(f"no metric asked for; there are {', '.join(METRICS)}")
    return list(chosen.values())
