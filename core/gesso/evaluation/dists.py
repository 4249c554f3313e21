"""DISTS: structure and texture similarity of VGG16 features, differentiable.

K. Ding, K. Ma, S. Wang, E. P. Simoncelli, "Image Quality Assessment: Unifying Structure
and Texture Similarity", IEEE TPAMI 44(5), 2022 (arXiv 2004.07728). The authors' class
downloads VGG16 when it is built, so the paper's equations are written out here; the
weights alpha and beta are the authors', from their package ``DISTS_pytorch``.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from gesso.errors import ModelError
from gesso.evaluation.moments import moments
from gesso.evaluation.trunks import Convolution, package_folder, read_checked, trunk

__all__ = ["Dists", "missing_weights"]

# VGG16's convolutions, grouped by the stage that ends in relu1_2, relu2_2, ... relu5_3
STAGES = ((0, 1), (2, 3), (4, 5, 6), (7, 8, 9), (10, 11, 12))
CHANNELS = (3, 64, 128, 256, 512, 512)
# keeps the similarity of two constant maps at one (c1 and c2 of the paper's code)
STABLE = 1e-6
# of weights.pt, and how to have it
SHA256 = "f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218"
MEND = "run: pip install --no-deps DISTS_pytorch==0.1"
ABSENT = f"the weights of DISTS are not installed; {MEND}"
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Dists(nn.Module):
    """The distance D of equation (6) of the paper; 0 for equal pictures, about 1 at most.

    The pictures are compared at the size they have; nothing is resized. Gradients flow to
    both pictures; the network itself is frozen.
    """

    alpha: Tensor
    beta: Tensor
    blur: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, convolutions: list[Convolution], alpha: Tensor, beta: Tensor) -> None:
        """``convolutions``: VGG16's thirteen. ``alpha``, ``beta``: (1475,), not negative."""
        super().__init__()
        total = alpha.sum() + beta.sum()
        self.register_buffer("alpha", alpha / total)
        self.register_buffer("beta", beta / total)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))
        for index, convolution in enumerate(convolutions):
            weight = convolution.weight.contiguous(memory_format=torch.channels_last)
            self.register_buffer(f"weight{index}", weight)
            self.register_buffer(f"bias{index}", convolution.bias)
        # Hann window of the L2 pooling, equation (4): no aliasing, unlike max pooling
        hann = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("blur", (hann[:, None] * hann[None, :]).view(1, 1, 3, 3))

    @classmethod
    def pretrained(cls) -> Dists:
        """The published metric, from installed packages; ModelError says what is missing."""
        file = _file()
        if file is None:
            raise ModelError(ABSENT)
        data = io.BytesIO(read_checked(file, SHA256, MEND))
        state = torch.load(data, map_location="cpu", weights_only=True)
        return cls(trunk("vgg16"), state["alpha"].flatten(), state["beta"].flatten())

    def forward(self, reference: Tensor, picture: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] twice -> (B,)."""
        return self.distance(self.stages(reference), self.stages(picture))

    def stages(self, x: Tensor) -> Iterator[Tensor]:
        """(B, 3, H, W) in [0, 1] -> the picture itself, then what each stage makes of it.

        Computed as they are asked for, so that few need to be held at a time.
        """
        yield x
        # What convolutions are fastest in, by half.
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        for stage in range(len(STAGES)):
            x = self._stage(stage, x)
            yield x

    def distance(self, one: Iterable[Tensor], two: Iterable[Tensor]) -> Tensor:
        """The stages of a reference and of a picture -> (B,)."""
        parts = [
            self._unlike(stage, first, second)
            for stage, (first, second) in enumerate(zip(one, two, strict=True))
        ]
        return torch.stack(parts).sum(0)

    def _stage(self, stage: int, x: Tensor) -> Tensor:
        if stage:
            channels = x.shape[1]
            power = functional.conv2d(
                x * x, self.blur.expand(channels, 1, 3, 3), stride=2, padding=1, groups=channels
            )
            x = (power + 1e-12).sqrt()
        for index in STAGES[stage]:
            weight, bias = self.get_buffer(f"weight{index}"), self.get_buffer(f"bias{index}")
            # In bf16 the pixels themselves would be rounded, which costs more digits than all
            # that follows.
            exact = torch.autocast(x.device.type, enabled=False) if not index else nullcontext()
            with exact:
                x = functional.conv2d(x, weight, bias, padding=1).relu_()
        return x

    def _unlike(self, stage: int, one: Tensor, two: Tensor) -> Tensor:
        """Weighted sum over one stage's channels of 1 - l and 1 - s, equations (5) and (6).

        Written as one minus each similarity, so that equal pictures give zero exactly and
        small distances keep their digits.
        """
        begin = sum(CHANNELS[:stage])
        channels = slice(begin, begin + CHANNELS[stage])
        mean1, mean2, var1, var2, gap = moments(one, two)
        texture = (mean1 - mean2).square() / (mean1.square() + mean2.square() + STABLE)
        structure = gap / (var1 + var2 + STABLE)
        return (self.alpha[channels] * texture + self.beta[channels] * structure).sum(1)


def missing_weights() -> str | None:
    """Why the authors' alpha and beta cannot be had here, with the mend; None when they can."""
    return None if _file() else ABSENT


def _file() -> Path | None:
    folder = package_folder("DISTS_pytorch")
    file = folder / "weights.pt" if folder else None
    return file if file is not None and file.is_file() else None
