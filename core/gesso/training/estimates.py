"""What an estimator makes of real decodes: where the sampler begins when pictures are enhanced."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from gesso.codec import get_codec
from gesso.estimator import Estimator, nominal_error
from gesso.training.data import CropSampler, picture_files
from gesso.training.decoded import DecodedSampler, decodes_of, targets_of

__all__ = ["EstimateSampler"]

# Low rates, where there is most to do.
VALIDATION_QPS = (44.4,)
FEW = 8


class Recipe(Protocol):
    """What a training run says of its decodes."""

    @property
    def data(self) -> str: ...
    @property
    def codecs(self) -> Sequence[str]: ...
    @property
    def crop(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def enlarged(self) -> float: ...


class EstimateSampler:
    """Pairs of a source and the posterior mean of its decode.

    Args:
        recipe: folder of pictures, codecs, side of a crop, seed, share to enlarge.
        estimator: makes the posterior means; a codec that it does not know is any other to it.
    """

    def __init__(self, recipe: Recipe, estimator: Estimator) -> None:
        self.recipe, self.estimator = recipe, estimator
        files = picture_files(recipe.data)
        sources = CropSampler.from_files(files, 2 * recipe.crop, enlarged=recipe.enlarged)
        chosen = [get_codec(name) for name in recipe.codecs]
        self.sampler = DecodedSampler(sources, chosen, recipe.crop, recipe.seed)

    def draw(self, batch: int, step: int) -> tuple[Tensor, Tensor]:
        """Sources and estimates, (batch, 3, crop, crop) on [-1, 1]; the same for a step."""
        sources, decodes, codecs, qps = self.sampler.draw(batch, step)
        names = self.recipe.codecs
        labels = [self.estimator.labels.get(names[index], 0) for index in codecs]
        return sources, self._estimate(decodes, [nominal_error(qp) for qp in qps], labels)

    def held_out(self, crops: Tensor) -> dict[str, Tensor]:
        """Estimates of pictures of one size from their decodes, by codec and quality."""
        found = {}
        for target in targets_of(dict.fromkeys(self.recipe.codecs), VALIDATION_QPS):
            decodes = decodes_of(crops, target)
            label = self.estimator.labels.get(target.codec, 0)
            each = [
                self._estimate(few, [nominal_error(target.qp)] * len(few), [label] * len(few))
                for few in torch.split(decodes, FEW)
            ]
            found[f"{target.codec} {target.quality:g}"] = torch.cat(each)
        return found

    @torch.no_grad()
    def _estimate(self, decodes: Tensor, levels: list[float], labels: list[int]) -> Tensor:
        device = self.estimator.device
        made = self.estimator(
            decodes.to(device),
            torch.tensor(levels, device=device),
            torch.tensor(labels, device=device),
        )
        return made.float().clamp(-1, 1).cpu()
