"""What both stages of a preprocessor share: attention alone is trained, on top of a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from gesso.errors import InputError
from gesso.estimator import labels_of
from gesso.generator import QPS
from gesso.runtime import Runtime
from gesso.training.data import CropSampler, picture_files, validation_crops
from gesso.training.family import Family, PixelFamily
from gesso.training.latent_family import LatentFamily, base_folder
from gesso.training.loop import Trainer, TrainingConfig

__all__ = ["AttentionConfig", "AttentionTrainer", "based"]

VALIDATION_SIDE = 256
# A codec that no class was made for must be met in training, too.
UNNAMED = 0.1


@dataclass(frozen=True)
class AttentionConfig(TrainingConfig):
    """A run of ``gesso train distill`` or ``gesso train preprocess``.

    Attributes:
        codecs: a class of attention's modulation each; those of ``preprocess`` must have a
            surrogate.
        base: folder of the Stable Diffusion that is tuned; empty for a model of ours, whose
            shape is ``network``.
    """

    options: ClassVar[tuple[str, ...]] = (*TrainingConfig.options, "codecs")

    codecs: tuple[str, ...] = ("jpeg", "hevc")
    base: str = ""


C = TypeVar("C", bound=AttentionConfig)


def based(config: C, start: str | Path | None) -> C:
    """The configuration with the base that ``start`` is of, where it states none."""
    return config if config.base else replace(config, base=base_folder(start))


class AttentionTrainer(Trainer):
    """A one-step generator inside a model whose other weights stay as they are."""

    role = "preprocessor"
    config: AttentionConfig

    def __init__(self, config: AttentionConfig, runtime: Runtime) -> None:
        self.labels = labels_of(config.codecs)
        self.family: Family = (
            LatentFamily(config.base, list(self.labels), runtime)
            if config.base
            else PixelFamily(config.network, list(self.labels), runtime)
        )
        self.factory = self.family.factory
        self.settings = {"codecs": list(self.labels), "qps": list(QPS), **self.family.settings}
        super().__init__(config, runtime)

    def build(self) -> Any:
        """See :class:`Trainer`."""
        return self.family.build()

    def trains(self, key: str) -> bool:
        """See :class:`Trainer`."""
        return self.family.trains(key)

    def generated(
        self,
        network: Any,
        source: Tensor,
        qp: Tensor,
        label: Tensor,
        decoded: Tensor | None = None,
    ) -> Tensor:
        """What ``network`` makes of sources (B, 3, H, W) on [-1, 1]; see :class:`OneStep`."""
        with self.family.computing():
            return self.family.generator(network)(source, qp, label, decoded)

    def encoded(self, source: Tensor) -> Tensor:
        """Sources in the space of the family."""
        with torch.no_grad(), self.family.computing():
            return self.family.space.encode(source)

    def stepped(self, network: Any, x: Tensor, qp: Tensor, label: Tensor) -> Tensor:
        """:meth:`generated`, within the space of the family."""
        with self.family.computing():
            return self.family.generator(network).step(x, qp, label)

    def start_from(self, folder: str | Path) -> None:
        """Begin from a model, or from another preprocessor."""
        self.settings = {**self.settings, **self.family.begin(self.network, folder)}
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

    def restore(self, folder: Path) -> None:
        """See :class:`Trainer`."""
        super().restore(folder)
        self.family.check(self.settings)

    def read(self) -> None:
        """See :class:`Trainer`."""
        if "base" not in self.settings:
            raise InputError(
                f"gesso train {self.config.verb} tunes a model; name a consistency model, "
                "a Stable Diffusion or a preprocessor with --from"
            )
        self.sampler = CropSampler.from_files(picture_files(self.config.data), self.config.crop)
        val = self.config.val
        self.crops = validation_crops(picture_files(val), VALIDATION_SIDE) if val else None

    def write(self, network: Any, folder: Path) -> str:
        """See :class:`Trainer`; of the network, only what was trained."""
        with torch.no_grad():
            return self.family.write(network, folder)
