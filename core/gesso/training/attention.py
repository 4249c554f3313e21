"""What both stages of a preprocessor share: attention alone is trained, on top of a model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from gesso.cards import ModelCard, models
from gesso.errors import InputError
from gesso.estimator import labels_of
from gesso.generator import QPS, Generator, is_tuned, read_network, write_tuned
from gesso.runtime import Runtime
from gesso.training.data import CropSampler, picture_files, validation_crops
from gesso.training.loop import Trainer, TrainingConfig
from gesso.unet import WindowUNet

__all__ = ["AttentionConfig", "AttentionTrainer"]

VALIDATION_SIDE = 256
# A codec that no class was made for must be met in training, too.
UNNAMED = 0.1


@dataclass(frozen=True)
class AttentionConfig(TrainingConfig):
    """A run of ``gesso train distill`` or ``gesso train preprocess``.

    Attributes:
        codecs: a class of attention's modulation each; those of ``preprocess`` must have a
            surrogate.
    """

    options: ClassVar[tuple[str, ...]] = (*TrainingConfig.options, "codecs")

    codecs: tuple[str, ...] = ("jpeg", "hevc")


class AttentionTrainer(Trainer):
    """A one-step generator inside a consistency model whose other weights stay as they are."""

    role = "preprocessor"
    factory = "gesso.generator:load_preprocessor"
    new = ".attentions."
    config: AttentionConfig

    def __init__(self, config: AttentionConfig, runtime: Runtime) -> None:
        self.labels = labels_of(config.codecs)
        self.settings = {"codecs": list(self.labels), "qps": list(QPS)}
        super().__init__(config, runtime)

    def shape(self) -> dict[str, Any]:
        """See :class:`Trainer`; one class for each codec and one for any other."""
        return {**self.config.network, "num_codec_embeds": len(self.labels) + 1}

    def trains(self, key: str) -> bool:
        """See :class:`Trainer`: the attention modules, whatever their names end in."""
        return is_tuned(key)

    def generated(self, network: WindowUNet, source: Tensor, qp: Tensor, label: Tensor) -> Tensor:
        """What ``network`` makes of sources (B, 3, H, W) on [-1, 1]; see :class:`Generator`."""
        # Of windows this small, torch's fused attention is slow to differentiate on a CPU.
        with torch.autocast(source.device.type, torch.bfloat16), sdpa_kernel(SDPBackend.MATH):
            return Generator(network, list(self.labels))(source, qp, label)

    def start_from(self, folder: str | Path) -> None:
        """Begin from a consistency model, or from another preprocessor."""
        card = ModelCard.read(folder)
        if card.role == "preprocessor":
            if list(card.settings["codecs"]) != list(self.labels):
                raise InputError(
                    f"{folder} knows the codecs {', '.join(card.settings['codecs'])}; "
                    f"pass --codecs {','.join(card.settings['codecs'])}, or begin from its base"
                )
            self.network.load_state_dict(read_network(card).state_dict())
            kept = {key: card.settings[key] for key in ("base", "base_sha256")}
        else:
            super().start_from(folder)
            known = models("prior").get(card.name)
            same = known is not None and known.sha256 == card.sha256
            name = card.name if same else str(Path(folder).resolve())
            kept = {"base": name, "base_sha256": card.sha256}
        self.settings = {**self.settings, **kept}
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def read(self) -> None:
        """See :class:`Trainer`."""
        if "base" not in self.settings:
            raise InputError(
                f"gesso train {self.config.verb} tunes a model; name a consistency model "
                "or a preprocessor with --from"
            )
        self.sampler = CropSampler.from_files(picture_files(self.config.data), self.config.crop)
        val = self.config.val
        self.crops = validation_crops(picture_files(val), VALIDATION_SIDE) if val else None

    def write(self, network: WindowUNet, folder: Path) -> str:
        """See :class:`Trainer`; of the network, only what was trained."""
        with torch.no_grad():
            return write_tuned(network, folder)
