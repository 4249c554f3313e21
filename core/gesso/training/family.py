"""What a preprocessor is tuned in: the protocol that both stages speak, and our own U-Net."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from gesso.cards import ModelCard, get_model, models
from gesso.denoiser import EDMDenoiser, load_network
from gesso.errors import InputError
from gesso.generator import Generator, OneStep, is_tuned, read_network, write_tuned
from gesso.runtime import Runtime
from gesso.space import PIXELS, Space
from gesso.training.loop import load_weights
from gesso.unet import WindowUNet

__all__ = ["Family", "PixelFamily", "Score", "check_codecs", "karras_level"]


class Score(Protocol):
    """D(x, sigma) -> x0 in a family's space; see :class:`gesso.denoiser.Denoiser`."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor: ...


class Family(Protocol):
    """A kind of model that a one-step generator can be made of.

    Attributes:
        factory: of the card of what is trained.
        settings: of that card, as far as they are known before anything is begun from.
        space: where generator and scores work.
        sigma_data: standard deviation of clean data there.
    """

    factory: str
    settings: Mapping[str, Any]
    space: Space
    sigma_data: float

    def build(self) -> Any:
        """The network to be trained."""

    def trains(self, key: str) -> bool:
        """Whether the tensor of that name in it is trained."""

    def generator(self, network: Any) -> OneStep:
        """What turns pictures into those that are to be coded, by that network."""

    def computing(self) -> AbstractContextManager[None]:
        """In which the generator is evaluated; the backward pass may come after it."""

    def begin(self, network: Any, folder: str | Path) -> Mapping[str, Any]:
        """Load a model or a preprocessor into ``network``; what the card must say of its base."""

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raise InputError where a checkpoint of these settings is of another base."""

    def write(self, network: Any, folder: Path) -> str:
        """Write what was trained; the weights' file."""

    def teacher(self, name: str) -> nn.Module:
        """The prior's network, frozen."""

    def score(self, network: nn.Module) -> Score:
        """The denoiser by that network, of the teacher's kind."""

    def levels(self, bounds: tuple[float, float], count: int, noise: torch.Generator) -> Tensor:
        """Noise levels at which the generator's scores are compared, (count,)."""

    def fake_levels(
        self, bounds: tuple[float, float], count: int, noise: torch.Generator
    ) -> Tensor:
        """Noise levels at which the fake score learns, (count,)."""


def karras_level(u: Tensor, low: float, high: float) -> Tensor:
    """Noise level at u in [0, 1], from ``high`` to ``low`` (Karras et al. 2022, Eq. 5, rho 7)."""
    top, bottom = high ** (1 / 7), low ** (1 / 7)
    level: Tensor = (top + u * (bottom - top)) ** 7
    return level


def check_codecs(card: ModelCard, codecs: Sequence[str], folder: str | Path) -> None:
    """Raise InputError where a preprocessor has other classes than ``codecs``."""
    known = list(card.settings["codecs"])
    if known != list(codecs):
        raise InputError(
            f"{folder} knows the codecs {', '.join(known)}; "
            f"pass --codecs {','.join(known)}, or begin from its base"
        )


class PixelFamily:
    """A consistency model of ours, whose attention is modulated by codec and rate.

    Args:
        network: arguments of :class:`gesso.unet.WindowUNet`.
        codecs: a class each, and one for any other.
        runtime: device of the teacher and of what is computed.
    """

    factory = "gesso.generator:load_preprocessor"
    settings: Mapping[str, Any] = {}
    space = PIXELS
    new = ".attentions."

    def __init__(self, network: Mapping[str, Any], codecs: Sequence[str], runtime: Runtime) -> None:
        self.network, self.codecs, self.runtime = network, list(codecs), runtime
        self.sigma_data = float(network.get("sigma_data", 0.5))

    def build(self) -> Any:
        """See :class:`Family`."""
        conditions = {"num_codec_embeds": len(self.codecs) + 1, "num_hint_channels": 3}
        return WindowUNet(**{**self.network, **conditions})

    def trains(self, key: str) -> bool:
        """See :class:`Family`: the attention modules, whatever their names end in."""
        return is_tuned(key)

    def generator(self, network: Any) -> OneStep:
        """See :class:`Family`."""
        return Generator(network, self.codecs)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """See :class:`Family`."""
        # Of windows this small, torch's fused attention is slow to differentiate on a CPU.
        kind = self.runtime.device.type
        with torch.autocast(kind, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            yield

    def begin(self, network: Any, folder: str | Path) -> Mapping[str, Any]:
        """See :class:`Family`."""
        card = ModelCard.read(folder)
        if card.role == "preprocessor":
            check_codecs(card, self.codecs, folder)
            network.load_state_dict(read_network(card).state_dict())
            return {key: card.settings[key] for key in ("base", "base_sha256")}
        load_weights(network, folder, self.new)
        known = models("prior").get(card.name)
        same = known is not None and known.sha256 == card.sha256
        name = card.name if same else str(Path(folder).resolve())
        return {"base": name, "base_sha256": card.sha256}

    def check(self, settings: Mapping[str, Any]) -> None:
        """See :class:`Family`; a checkpoint holds all of the network."""

    def write(self, network: Any, folder: Path) -> str:
        """See :class:`Family`."""
        return write_tuned(network, folder)

    def teacher(self, name: str) -> nn.Module:
        """See :class:`Family`."""
        return load_network(get_model(name, "prior"), Runtime(self.runtime.device_name, "fp32"))

    def score(self, network: nn.Module) -> Score:
        """See :class:`Family`."""
        return EDMDenoiser(network)

    def levels(self, bounds: tuple[float, float], count: int, noise: torch.Generator) -> Tensor:
        """See :class:`Family`; SiD's u in [0, 0.8] of Karras' grid."""
        return karras_level(0.8 * torch.rand(count, generator=noise), *bounds)

    def fake_levels(
        self, bounds: tuple[float, float], count: int, noise: torch.Generator
    ) -> Tensor:
        """See :class:`Family`; lognormal."""
        # EDM's own levels (P_mean -1.2, P_std 1.2 in SiD) are those of the prior here.
        return (torch.randn(count, generator=noise) * 0.9 - 2.1).exp().clamp(*bounds)
