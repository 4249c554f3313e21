"""Train the posterior mean: from real decodes to the pictures they came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from gesso.codec import get_codec
from gesso.estimator import Estimator, labels_of, nominal_error
from gesso.runtime import Runtime
from gesso.target import Target
from gesso.training.data import CropSampler, picture_files, validation_crops
from gesso.training.decoded import DecodedSampler, decodes_of, targets_of
from gesso.training.loop import Batch, Log, Trainer, TrainingConfig, train
from gesso.training.prior import edm_weight, mean_square, tamed

__all__ = ["PosteriorMeanConfig", "PosteriorMeanTrainer", "train_posterior_mean"]

VALIDATION_SIDE = 256
VALIDATION_QPS = (44.4, 34.9)
# A decode of an unnamed codec must be met in training, too.
UNNAMED = 0.1


@dataclass(frozen=True)
class PosteriorMeanConfig(TrainingConfig):
    """A run of ``gesso train posterior-mean``.

    Attributes:
        codecs: what codes the pictures; one that is named twice is drawn twice as often.
        enlarged: share of the pictures that are enlarged by 1.2 to 2.5 before they are coded.
    """

    verb: ClassVar[str] = "posterior-mean"
    options: ClassVar[tuple[str, ...]] = (*TrainingConfig.options, "codecs", "enlarged")

    codecs: tuple[str, ...] = ("jpeg", "webp", "avif")
    enlarged: float = 0.0


class PosteriorMeanTrainer(Trainer):
    """Least squares from decodes to sources; the codec is a class, the rate index the level."""

    config_type = PosteriorMeanConfig
    role = "estimator"
    factory = "gesso.estimator:load_estimator"
    summary = "posterior mean of decoded pictures by codec and rate index"
    measured = "gain in PSNR in dB over the decode of"
    config: PosteriorMeanConfig

    def __init__(self, config: PosteriorMeanConfig, runtime: Runtime) -> None:
        self.labels = labels_of(config.codecs)
        self.settings = {"codecs": list(self.labels)}
        super().__init__(config, runtime)

    def shape(self) -> dict[str, Any]:
        """See :class:`Trainer`; one class for each codec and one for any other."""
        return {**self.config.network, "num_class_embeds": len(self.labels) + 1}

    def read(self) -> None:
        """See :class:`Trainer`; an entry of the pool holds four crops."""
        config = self.config
        files = picture_files(config.data)
        sources = CropSampler.from_files(files, 2 * config.crop, enlarged=config.enlarged)
        chosen = [get_codec(name) for name in config.codecs]
        self.sampler = DecodedSampler(sources, chosen, config.crop, config.seed)
        self.held_out: list[tuple[Target, Tensor, Tensor]] = []
        if config.val:
            crops = validation_crops(picture_files(config.val), VALIDATION_SIDE)
            self.held_out = [
                (target, crops, decodes_of(crops, target))
                for target in targets_of(list(self.labels), VALIDATION_QPS)
            ]

    def draw(self) -> Batch:
        """Sources, decodes, labels, levels."""
        config = self.config
        sources, decodes, codecs, qps = self.sampler.draw(config.batch, self.step)
        labels = torch.tensor([self.labels[config.codecs[index]] for index in codecs])
        labels[torch.rand(len(labels), generator=self.noise) < UNNAMED] = 0
        return sources, decodes, labels, torch.tensor([nominal_error(qp) for qp in qps])

    def loss(self, *batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Square error by the prior's weight, so that every rate index counts alike."""
        source, decoded, label, level = batch
        with torch.autocast(source.device.type, torch.bfloat16):
            estimate = Estimator(self.network, list(self.labels))(decoded, level, label)
        each = edm_weight(level, self.network.sigma_data) * mean_square(estimate - source)
        return tamed(each).mean(), each.detach(), level

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Gain in PSNR over the decode, in dB, by codec and quality."""
        result = {}
        with self.averaged() as network, torch.autocast(self.runtime.device.type, torch.bfloat16):
            model = Estimator(network, list(self.labels))
            for target, sources, decodes in self.held_out:
                gains = []
                for clean, decoded in zip(
                    torch.split(sources, 8), torch.split(decodes, 8), strict=True
                ):
                    out = model.of(self.to_device(decoded), target).cpu().clamp(-1, 1)
                    ratio = mean_square(decoded - clean) / mean_square(out - clean)
                    gains.append(10 * ratio.log10())
                key = f"{target.codec} {target.quality:g}"
                result[key] = round(float(torch.cat(gains).mean()), 4)
        return result


def train_posterior_mean(
    config: PosteriorMeanConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Train an estimator; see :func:`gesso.training.loop.train`."""
    return train(PosteriorMeanTrainer(config, runtime or Runtime()), start, log, stop)
