"""What a step in Stable Diffusion takes, counted without its weights on torch's meta device."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from gesso.checkpoints.folder import read
from gesso.errors import ModelError
from gesso.latent_generator import is_projection

if TYPE_CHECKING:
    from gesso.training.attention import AttentionConfig

__all__ = ["Footprint", "footprint", "footprint_of"]

Config = Mapping[str, Any]
# Of CLIP, in the prompt's embedding.
TOKENS = 77


@dataclass(frozen=True)
class Footprint:
    """Of one step of either stage, without codec and metrics.

    Attributes:
        parameters: of the U-Net.
        tuned: of these, those that are trained.
        weights: bytes of all networks, float32.
        optimiser: bytes of gradients, moments and averages.
        activations: bytes at the peak, in bf16 with gradient checkpointing. Attention is
            written out here, which fused kernels save; autocast has norms in float32, which
            takes more.
        operations: floating-point, forward, again and backward.
    """

    parameters: int
    tuned: int
    weights: int
    optimiser: int
    activations: int
    operations: int

    @property
    def memory(self) -> int:
        """Bytes in all."""
        return self.weights + self.optimiser + self.activations

    def describe(self, speed: float = 200e12) -> str:
        """One line for people; ``speed`` is what a device sustains, in operations per second."""
        return (
            f"a U-Net of {self.parameters:,} parameters, {self.tuned:,} of them tuned; a step "
            f"takes about {self.memory / 2**30:.1f} GiB ({self.weights / 2**30:.1f} weights, "
            f"{self.optimiser / 2**30:.1f} optimiser, {self.activations / 2**30:.1f} activations) "
            f"and {self.operations / 1e12:.1f} TFLOP, {self.operations / speed:.2g} s at "
            f"{speed / 1e12:.0f} TFLOP/s"
        )


def footprint(unet: Config, vae: Config, batch: int, side: int, distill: bool = False) -> Footprint:
    """Count a step: encode without gradient, one evaluation, decode or score, and the way back.

    Args:
        unet, vae: configs of diffusers' ``UNet2DConditionModel`` and of an autoencoder.
        batch, side: pictures and their size in pixels.
        distill: stage 1, with a teacher and a fake score of the U-Net's size in the decoder's
            place, and the fake score's own step.
    """
    import diffusers

    kinds: Any = diffusers
    with torch.device("meta"):
        network: Any = kinds.UNet2DConditionModel.from_config(dict(unet))
        scores: Any = kinds.UNet2DConditionModel.from_config(dict(unet))
        kind = getattr(kinds, vae.get("_class_name", "AutoencoderKL"))
        autoencoder: Any = kind.from_config(dict(vae))
        pictures = torch.zeros(batch, 3, side, side, dtype=torch.bfloat16)
        prompt = torch.zeros(batch, TOKENS, unet["cross_attention_dim"], dtype=torch.bfloat16)
        step = torch.zeros(batch)
    for part in (network, scores, autoencoder):
        # nn.Module's own: diffusers' to() warns about dtypes that are not mixed here.
        nn.Module.to(part, torch.bfloat16).requires_grad_(False)
        part.enable_gradient_checkpointing()
    for key, parameter in network.named_parameters():
        parameter.requires_grad_(is_projection(key))
    with FlopCounterMode(display=False) as counter, _Meter() as meter:
        with torch.no_grad():
            found = autoencoder.encode(pictures)
            latents = found.latents if hasattr(found, "latents") else found.latent_dist.mode()
        if distill:
            with torch.no_grad():
                made = network(latents, step, prompt).sample
            scores.requires_grad_(True)(made, step, prompt).sample.sum().backward()
            scores.requires_grad_(False).zero_grad()
        made = network(latents, step, prompt).sample
        if distill:
            seen = sum(scores(made, step, prompt).sample for _ in range(2))
        else:
            seen = autoencoder.decode(made).sample
        seen.sum().backward()
    whole, tuned = _count(network), _count(network, only=True)
    return Footprint(
        parameters=whole,
        tuned=tuned,
        weights=4 * (whole * (3 if distill else 1) + _count(autoencoder)),
        optimiser=4 * (4 * tuned + (3 * whole if distill else 0)),
        activations=meter.peak,
        operations=counter.get_total_flops(),
    )


def footprint_of(config: AttentionConfig) -> Footprint:
    """:func:`footprint` of a run in Stable Diffusion."""
    base = read(Path(config.base))
    if base.vae is None:
        raise ModelError(f"{config.base} has no vae; complete the download")
    distill = config.verb == "distill"
    return footprint(base.unet.config, base.vae.config, config.batch, config.crop, distill)


def _count(network: nn.Module, only: bool = False) -> int:
    return sum(p.numel() for p in network.parameters() if p.requires_grad or not only)


class _Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch states no types here
    """Bytes of the tensors that were made inside and are alive: now, and at most."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.now = self.peak = 0
        self.seen: dict[int, Any] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if _is(t)}
        for tensor in filter(_is, tree_leaves(out)):
            storage = tensor.untyped_storage()
            if id(storage) not in self.seen and id(storage) not in given:
                self._add(storage)
        return out

    def _add(self, storage: Any) -> None:
        key, size = id(storage), storage.nbytes()

        def gone() -> None:
            self.now -= size
            self.seen.pop(key, None)

        self.seen[key] = weakref.finalize(storage, gone)
        self.now += size
        self.peak = max(self.peak, self.now)


def _is(value: object) -> bool:
    return isinstance(value, Tensor)
