"""Metrics that look through networks: LPIPS (AlexNet, VGG16), DISTS, and TOPIQ where it is.

The ``..._against`` functions look at a reference once and compare many pictures with it;
the ``missing_...`` functions say why a metric cannot run here, with the mend, or None.
"""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gesso.errors import ModelError
from gesso.evaluation.networks import on_device
from gesso.evaluation.trunks import missing_trunk, read_checked, trunk

if TYPE_CHECKING:
    from torch import Tensor, nn

    from gesso.evaluation.dists import Dists

__all__ = [
    "dists",
    "dists_against",
    "lpips_alex",
    "lpips_alex_against",
    "lpips_vgg",
    "lpips_vgg_against",
    "missing_dists",
    "missing_lpips_alex",
    "missing_lpips_vgg",
    "missing_topiq_fr",
    "topiq_fr",
]

LPIPS_MEND = "run: pip install 'gesso[evaluate]'"
# pyiqa's name of the weights trained on KADID-10k; ends in the beginning of their SHA-256
TOPIQ_FILE = "cfanet_fr_kadid_res50-2c4cc61d.pth"


def lpips_alex(reference: Tensor, picture: Tensor) -> Tensor:
    """LPIPS 0.1, AlexNet (Zhang et al., "The Unreasonable Effectiveness of Deep Features
    as a Perceptual Metric", CVPR 2018), by the authors' package."""
    return _lpips(_build_lpips_alex, reference, picture)


def lpips_vgg(reference: Tensor, picture: Tensor) -> Tensor:
    """LPIPS 0.1, VGG16: the variant that serves as a loss and is closer to SSIM."""
    return _lpips(_build_lpips_vgg, reference, picture)


def lpips_alex_against(reference: Tensor) -> Callable[[Tensor], Tensor]:
    return _lpips_against(_build_lpips_alex, reference)


def lpips_vgg_against(reference: Tensor) -> Callable[[Tensor], Tensor]:
    return _lpips_against(_build_lpips_vgg, reference)


def missing_lpips_alex() -> str | None:
    return _missing_lpips() or missing_trunk("alexnet")


def missing_lpips_vgg() -> str | None:
    return _missing_lpips() or missing_trunk("vgg16")


def dists(reference: Tensor, picture: Tensor) -> Tensor:
    """DISTS (Ding et al., TPAMI 2022) at the pictures' own size."""
    return cast("Tensor", on_device(_build_dists, reference.device)(reference, picture))


def dists_against(reference: Tensor) -> Callable[[Tensor], Tensor]:
    network = cast("Dists", on_device(_build_dists, reference.device))
    kept = list(network.stages(reference))
    return lambda picture: network.distance(kept, network.stages(picture))


def missing_dists() -> str | None:
    from gesso.evaluation.dists import missing_weights

    return missing_weights() or missing_trunk("vgg16")


def topiq_fr(reference: Tensor, picture: Tensor) -> Tensor:
    """TOPIQ, full reference (Chen et al., IEEE TIP 33, 2024), by the authors' package pyiqa.

    About 0 to 1, higher is better. Its weights are looked for where pyiqa keeps them, and
    never downloaded.
    """
    network = on_device(_build_topiq, reference.device)
    return cast("Tensor", network(picture, reference)).flatten()


def missing_topiq_fr() -> str | None:
    if importlib.util.find_spec("pyiqa") is None:
        return "TOPIQ needs the package pyiqa; run: pip install pyiqa"
    if not (file := _topiq_file()).is_file():
        return f"the weights of TOPIQ are not here; put pyiqa's {TOPIQ_FILE} into {file.parent}"
    return None


def _lpips(build: Callable[[], nn.Module], reference: Tensor, picture: Tensor) -> Tensor:
    network = on_device(build, reference.device)
    return _lpips_distance(network, _lpips_maps(network, reference), _lpips_maps(network, picture))


def _lpips_against(build: Callable[[], nn.Module], reference: Tensor) -> Callable[[Tensor], Tensor]:
    network = on_device(build, reference.device)
    kept = list(_lpips_maps(network, reference))
    return lambda picture: _lpips_distance(network, kept, _lpips_maps(network, picture))


def _lpips_maps(network: Any, x: Tensor) -> Iterator[Tensor]:
    """The first half of the package's ``forward``: feature maps of unit length."""
    import lpips

    return map(lpips.normalize_tensor, network.net(network.scaling_layer(2 * x - 1)))


def _lpips_distance(network: Any, one: Iterable[Tensor], two: Iterable[Tensor]) -> Tensor:
    """The second half: weighted squared differences, averaged over each map and summed."""
    means = [
        weigh((a - b) ** 2).mean((1, 2, 3))
        for weigh, a, b in zip(network.lins, one, two, strict=True)
    ]
    return cast("Tensor", sum(means))


def _missing_lpips() -> str | None:
    if importlib.util.find_spec("lpips") is None:
        return f"LPIPS needs the package lpips; {LPIPS_MEND}"
    return None


def _build_lpips(net: str, features: str) -> nn.Module:
    import torch

    try:
        import lpips
    except ImportError as error:
        raise ModelError(_missing_lpips() or str(error)) from error
    with warnings.catch_warnings():
        # the package still passes torchvision's old arguments
        for message in ("The parameter 'pretrained'", "Arguments other than a weight enum"):
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        network = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    layers = [m for m in network.net.modules() if isinstance(m, torch.nn.Conv2d)]
    for layer, (weight, bias) in zip(layers, trunk(features), strict=True):
        layer.load_state_dict({"weight": weight, "bias": bias})
    return cast("nn.Module", network)


_build_lpips_alex = partial(_build_lpips, "alex", "alexnet")
_build_lpips_vgg = partial(_build_lpips, "vgg", "vgg16")


def _build_dists() -> nn.Module:
    from gesso.evaluation.dists import Dists

    return Dists.pretrained()


def _build_topiq() -> nn.Module:
    import torch

    if reason := missing_topiq_fr():
        raise ModelError(reason)
    try:
        from pyiqa.archs.topiq_arch import CFANet
    except ImportError as error:
        raise ModelError(f"pyiqa cannot be imported ({error}); run: pip install pyiqa") from error
    # both switches off, or it would fetch its own weights and those of its backbone
    network = CFANet(use_ref=True, backbone_pretrain=False, pretrained=False)
    file = _topiq_file()
    data = read_checked(file, file.stem.rsplit("-", 1)[1], "fetch it anew from pyiqa's authors")
    state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)["params"]
    network.load_state_dict({key.removeprefix("module."): state[key] for key in state})
    return cast("nn.Module", network)


def _topiq_file() -> Path:
    import torch

    return Path(torch.hub.get_dir()) / "pyiqa" / TOPIQ_FILE
