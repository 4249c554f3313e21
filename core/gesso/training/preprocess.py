"""Stage 2 of the preprocessor: rate and perception, through a differentiable codec.

"Generative Preprocessing for Image Compression with Pre-trained Diffusion Models" tunes the
attention modules of the distilled generator by L1 + perceptual + bitrate terms, with a schedule
by QP. The paper's surrogate is a differentiable BPG; here it is the codec's own, JPEG's or HEVC
intra's, and its schedule is what a bit is worth in plain coding at that QP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from gesso.codec import (
    Codec,
    DifferentiableCodec,
    JpegCodec,
    differentiable_codecs,
    get_codec,
)
from gesso.distance import perceptual_distance
from gesso.errors import InputError
from gesso.estimator import nominal_error
from gesso.generator import QPS
from gesso.runtime import Runtime
from gesso.surrogates.rounding import straight_through
from gesso.training.attention import UNNAMED, AttentionConfig, AttentionTrainer, based
from gesso.training.data import CropSampler, picture_files
from gesso.training.decoded import DecodedSampler
from gesso.training.loop import Batch, Log, train
from gesso.training.schedule import RateSchedule, level_near
from gesso.trial import Trial, through

__all__ = ["PreprocessConfig", "PreprocessTrainer", "train_preprocess"]

# Crops that a schedule is measured on.
MEASURED = 24
VALIDATION_QPS = (44.4, 34.9)
# Of the validation pictures, for a real coding of each takes its time.
VALIDATION_EVERY = 2
# Coded crops of each codec, which batches are drawn from.
POOL = 48


@dataclass(frozen=True)
class PreprocessConfig(AttentionConfig):
    """A run of ``gesso train preprocess``.

    Attributes:
        l1: weight of the mean absolute error on [0, 1], beside LPIPS + DISTS.
        fidelity: weight of SSIMULACRA 2 there.
        rate: factor on the measured price of a bit; the surrogates overstate what smoothing
            saves, 14 to 18 % of the bits where the real codecs saved 8 to 11 %.
        anneal: share of the steps over which the rate's weight rises from 0.
    """

    verb: ClassVar[str] = "preprocess"
    options: ClassVar[tuple[str, ...]] = (
        *AttentionConfig.options,
        "l1",
        "fidelity",
        "rate",
        "anneal",
    )

    lr: float = 1e-3
    warmup: int = 50
    batch: int = 6
    steps: int = 3000
    every: int = 300
    ema: float = 0.99
    l1: float = 1.0
    fidelity: float = 0.25
    rate: float = 0.6
    anneal: float = 0.1


class PreprocessTrainer(AttentionTrainer):
    """Sources through the generator and a codec; what comes out costs distance and bits."""

    config_type = PreprocessConfig
    summary = "one-step preprocessor, attention tuned for rate and perception"
    measured = "change in % through the real codec, of"
    then = "gesso evaluate VAL --side preprocess --model {model}"
    config: PreprocessConfig

    def read(self) -> None:
        """See :class:`AttentionTrainer`; the price of a bit is measured here."""
        super().read()
        self.distance = perceptual_distance(torch.bfloat16, self.config.fidelity)
        self.codecs = {name: _differentiable(name) for name in self.labels}
        # Of its own, so that a resumed run goes on with the crops of an unbroken one.
        drawn = self.sampler.draw(MEASURED, _rng(self.config.seed))
        pictures = self.to_device((drawn + 1) / 2)
        larger = CropSampler.from_files(picture_files(self.config.data), 2 * self.config.crop)
        self.pairs = {
            name: DecodedSampler(
                larger, [codec], self.config.crop, self.config.seed, pool=POOL, qps=QPS
            )
            for name, codec in self.codecs.items()
        }
        self.schedules = {
            name: RateSchedule.measured(codec, pictures, self.distance)
            for name, codec in self.codecs.items()
        }

    def draw(self) -> Batch:
        """Sources, their decodes, classes, rate indices; a batch is of one codec."""
        config = self.config
        name = config.codecs[int(self.rng.integers(len(config.codecs)))]
        sources, decodes, _, qps = self.pairs[name].draw(config.batch, self.step)
        labels = torch.full((config.batch,), self.labels[name])
        return sources, decodes, labels, torch.tensor(qps)

    def loss(self, *batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """L1 + distance + price x bits per pixel, of what the codec decodes."""
        source, decoded, label, qp = batch
        name = list(self.labels)[int(label[0]) - 1]
        codec, schedule = self.codecs[name], self.schedules[name]
        named = torch.rand(len(label), generator=self.noise) >= UNNAMED
        made = self.generated(self.network, source, qp, label * named.to(label), decoded)
        clean, picture = (source + 1) / 2, ((made + 1) / 2).clamp(0, 1)
        qualities = [level_near(codec, float(q)) for q in qp]
        # A straight-through gradient sees coefficients where the codec leaves none: a network
        # that follows it gets worse by the codec, though one picture's descent finds its way.
        coded = codec.surrogate(*qualities, rounding="soft")(picture)
        seen = coded.decoded
        if not isinstance(codec, JpegCodec):
            # A surrogate that is not the codec itself gives its slopes alone.
            seen = straight_through(seen, self._decodes(codec, picture, qualities))
        bpp = schedule.worth(qp) * coded.nats / (source.shape[2] * source.shape[3])
        error = (seen - clean).abs().mean((1, 2, 3))
        each = self.distance(clean)(seen) + self.config.l1 * error
        each = each + self.weight * schedule.price(qp) * bpp
        level = torch.tensor([nominal_error(float(q)) for q in qp])
        return each.mean(), each.detach(), level

    def _decodes(self, codec: Codec, pictures: Tensor, qualities: list[float]) -> Tensor:
        # Most of the time of some of them is another process's.
        with ThreadPoolExecutor(len(qualities)) as pool:
            tried = pool.map(partial(through, codec), torch.split(pictures, 1), qualities)
            return torch.cat([decoded for _, decoded in tried]).to(pictures)

    @property
    def weight(self) -> float:
        """Of the rate at this step."""
        rise = self.config.anneal * self.config.steps
        return self.config.rate * (min(1.0, self.step / rise) if rise else 1.0)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Change of bits, distance and cost by real codings of held-out pictures, in %."""
        if self.crops is None:
            return {}
        result = {}
        with self.averaged() as network:
            for name, codec in self.codecs.items():
                for wanted in VALIDATION_QPS:
                    quality = level_near(codec, wanted)
                    qp = torch.tensor([codec.qp(quality)])
                    price = float(self.schedules[name].price(qp))
                    sums = torch.zeros(2, 2)
                    for crop in torch.split(self.crops[::VALIDATION_EVERY], 1):
                        source = self.to_device(crop)
                        label = torch.tensor([self.labels[name]], device=source.device)
                        clean = (source + 1) / 2
                        trial = Trial(clean, codec, self.distance)
                        decoded = 2 * trial.through(clean, quality)[1] - 1
                        out = self.generated(network, source, qp, label, decoded)
                        for row, picture in enumerate((clean, (out.float() + 1) / 2)):
                            tried = trial.code(picture, quality)
                            sums[row] += torch.tensor([tried.bpp, tried.distance])
                    cost = sums @ torch.tensor([price, 1.0])
                    key = f"{name} {quality:g}"
                    change = 100 * (sums[1] / sums[0] - 1)
                    result[f"{key} bits"], result[f"{key} distance"] = change.tolist()
                    result[f"{key} cost"] = float(100 * (cost[1] / cost[0] - 1))
        return {key: round(value, 3) for key, value in result.items()}

    def score(self, figures: Mapping[str, float]) -> float:
        """The cost, of which less is better."""
        costs = [value for key, value in figures.items() if key.endswith("cost")]
        return -sum(costs) / len(costs)


def _differentiable(name: str) -> DifferentiableCodec:
    codec = get_codec(name)
    if not isinstance(codec, DifferentiableCodec):
        able = ", ".join(sorted(differentiable_codecs()))
        raise InputError(f"{name} has no gradient; --codecs takes {able}")
    return codec


def _rng(seed: int) -> Any:
    import numpy as np

    return np.random.default_rng((seed, 2))


def train_preprocess(
    config: PreprocessConfig,
    runtime: Runtime | None = None,
    start: str | Path | None = None,
    log: Log | None = None,
    stop: Callable[[], bool] | None = None,
) -> Path:
    """Tune a preprocessor; see :func:`gesso.training.loop.train`."""
    trainer = PreprocessTrainer(based(config, start), runtime or Runtime())
    return train(trainer, start, log, stop)
