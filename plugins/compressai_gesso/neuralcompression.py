"""Models of Meta's NeuralCompression, MS-ILLM among them, with CompressAI's interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Translated", "is_foreign"]


def is_foreign(model: nn.Module) -> bool:
    """Whether ``model`` has NeuralCompression's interface."""
    return hasattr(model, "update_tensor_devices")


class Translated(nn.Module):
    """A ``HyperpriorAutoencoderBase`` of NeuralCompression with CompressAI's methods.

    Its parts go to where they must be for what is asked next: entropy coding, and what it
    depends on, is on the CPU, and all else on the model's device.

    Args:
        model: its own ``compress`` gives an object with ``latent_strings`` and
            ``hyper_latent_strings``, its ``forward`` one with ``image`` and likelihoods.
    """

    model: Any  # of a class that may not be installed here

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @property
    def downsampling_factor(self) -> int:
        """Pixels per sample of the hyperlatent."""
        return int(self.model.factor)

    def forward(self, x: Tensor) -> dict[str, Any]:
        """``x_hat`` and ``likelihoods``."""
        self._ready("forward")
        out = self.model(x)
        likelihoods = {"y": out.latent_likelihoods, "z": out.hyper_latent_likelihoods}
        return {"x_hat": out.image, "likelihoods": likelihoods}

    def compress(self, x: Tensor) -> dict[str, Any]:
        """``strings``, of the latents and of the hyperlatents, and ``shape``, of the latter."""
        self._ready("compress")
        found = self.model.compress(x, force_cpu=False)
        shape = torch.Size(side // self.downsampling_factor for side in found.padded_size)
        return {"strings": [found.latent_strings, found.hyper_latent_strings], "shape": shape}

    def decompress(self, strings: Sequence[Any], shape: Sequence[int]) -> dict[str, Any]:
        """``x_hat``."""
        self._ready("compress")
        latents, hyperlatents = strings
        size = tuple(side * self.downsampling_factor for side in shape)
        # The attributes of its HyperpriorCompressedOutput, which may not be installed here.
        data = SimpleNamespace(
            latent_strings=latents,
            hyper_latent_strings=hyperlatents,
            image_size=size,
            padded_size=size,
        )
        return {"x_hat": self.model.decompress(data, force_cpu=False)}

    def update(self, *arguments: Any, **keywords: Any) -> bool:
        """The model's own, as CompressAI's."""
        return bool(self.model.update(*arguments, **keywords))

    def aux_loss(self) -> Tensor:
        """The model's own, as CompressAI's."""
        loss: Tensor = self.model.aux_loss()
        return loss

    def state_dict(self, *arguments: Any, **keywords: Any) -> Any:
        """The model's own, so that its checkpoints and ours have the same names."""
        return self.model.state_dict(*arguments, **keywords)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], *arguments: Any, **keywords: Any
    ) -> Any:
        """The model's own."""
        return self.model.load_state_dict(state_dict, *arguments, **keywords)

    def _ready(self, operation: str) -> None:
        if self.model.device_setting != operation:
            self.model.update_tensor_devices(operation)
