"""An ordinary codec (JPEG, WebP, AVIF, HEVC, VVC) with CompressAI's interface, between gesso."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import gesso_hooks
from compressai_gesso.sides import Sides, checked
from gesso.codec import Codec, DifferentiableCodec, get_codec
from gesso.errors import InputError
from gesso.jpeg import JpegCoefficients, coefficients_for
from gesso.target import Target

__all__ = ["FileModel", "image_of", "tensor_of"]


class FileModel(Sides):
    """A codec whose strings are whole files, as any decoder of that kind reads them.

    Pictures are rounded to 8 bits first. A picture is never padded, whatever its size.

    Args:
        codec: name of a registered codec.
        quality: on that codec's own scale, a whole number.
        sides: see :class:`compressai_gesso.sides.Sides`.

    Raises:
        InputError: no such codec or quality, or an option out of its range.
    """

    def __init__(self, codec: str, quality: int, **sides: Any) -> None:
        gesso_hooks.load()
        _ = Target(codec, quality)
        super().__init__(quality=quality, **sides)
        self.codec_name = codec
        # CompressAI's tools ask a model's parameters where it is.
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)

    @property
    def codec(self) -> Codec:
        """The codec itself."""
        return get_codec(self.codec_name)

    @property
    def target(self) -> Target:
        """What pictures are coded with."""
        return Target(self.codec_name, int(self._quality))

    @property
    def downsampling_factor(self) -> int:
        """1: a picture of any size is coded as it is."""
        return 1

    def forward(self, x: Tensor) -> dict[str, Any]:
        """``x_hat`` and ``likelihoods`` for pictures (B, 3, H, W) on [0, 1].

        The likelihoods (B, 1, H, W) are equal within a picture; their -log2 add up to the
        bits of its file. Training, coding is differentiable and nothing is enhanced.

        Raises:
            InputError: a gradient is asked of a codec that has none.
        """
        if self.training:
            return self._differentiable(checked(x))
        coded = self.compress(x)
        x_hat = self.decompress(coded["strings"], coded["shape"])["x_hat"]
        return {"x_hat": x_hat, "likelihoods": {"file": _spread(_bits(coded, x), x)}}

    def compress(self, x: Tensor) -> dict[str, Any]:
        """``strings``, one list of B files, and ``shape``, (H, W)."""
        pixels = self._input(x)
        files = [self.codec.encode(image_of(each), int(self._quality)) for each in pixels]
        return {"strings": [files], "shape": pixels.shape[2:]}

    def decompress(
        self, strings: Sequence[Sequence[bytes]], shape: Sequence[int]
    ) -> dict[str, Any]:
        """``x_hat`` (B, 3, H, W) on [0, 1], enhanced.

        Raises:
            InputError: strings that are no such files, or whose pictures are of other sizes.
        """
        if len(strings) != 1 or not strings[0]:
            raise InputError(
                f"{self.codec_name} has one list of files, [[file, ...]]; got {len(strings)} lists"
            )
        pictures = []
        for data in strings[0]:
            image = self.codec.decode(data)
            if image.size != (shape[1], shape[0]):
                raise InputError(
                    f"a file holds {image.width} x {image.height} pixels, but shape says "
                    f"{shape[1]} x {shape[0]}; pass the shape that compress gave"
                )
            pictures.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
        decoded = torch.stack(pictures)
        shown = self.finished(decoded, [self._target_of(data) for data in strings[0]])
        return {"x_hat": (shown.float() / 255).to(self.place)}

    def update(self, *_: Any, **__: Any) -> bool:
        """There is nothing to update: False."""
        return False

    def aux_loss(self) -> Tensor:
        """There is nothing to fit: 0."""
        return torch.zeros((), device=self.device)

    def _input(self, x: Tensor) -> Tensor:
        """Prepared pictures of 8 bits."""
        checked(x)
        if self.preprocessor is not None:
            with torch.no_grad():
                return _rounded(self.prepared(x, lambda: self.target))
        return self.prepared(_rounded(x), lambda: self.target)

    def _target_of(self, data: bytes) -> Target:
        """What a file states of itself, and the model where that is nothing."""
        options = self.enhance_options
        if self.codec_name != "jpeg" or options is None:
            return self.target
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            target = Target.of_jpeg_tables(image.quantization)  # type: ignore[attr-defined]  # a JPEG's
        jpeg = coefficients_for(options, lambda: JpegCoefficients.of_file(data), target.quality)
        return replace(target, jpeg=jpeg)

    def _differentiable(self, x: Tensor) -> dict[str, Any]:
        codec = self.codec
        if not isinstance(codec, DifferentiableCodec):
            raise InputError(
                f"{self.codec_name} has no gradient to train with; train through gesso-jpeg or "
                "gesso-hevc, or call eval() first"
            )
        prepared = self.prepared(x, lambda: self.target)
        found = codec.surrogate(float(self._quality))(prepared.float())
        pixels = _rounded(prepared.detach())
        files = [self.codec.encode(image_of(each), int(self._quality)) for each in pixels]
        bits = x.new_tensor([8.0 * len(data) for data in files], dtype=torch.float32)
        # How many bits a unit of the surrogate's rate is, the real files tell.
        bits = bits * found.nats / found.nats.detach().clamp_min(1e-6)
        return {
            "x_hat": found.decoded.to(x.dtype),
            "likelihoods": {"file": _spread(bits, x)},
        }


def _bits(coded: Mapping[str, Any], x: Tensor) -> Tensor:
    """Of each file, (B,)."""
    return torch.tensor([8.0 * len(data) for data in coded["strings"][0]], device=x.device)


def _spread(bits: Tensor, x: Tensor) -> Tensor:
    """Likelihoods (B, 1, H, W) whose -log2 add up to ``bits``."""
    height, width = x.shape[2:]
    each = torch.exp(bits * (-math.log(2) / (height * width)))
    return each[:, None, None, None].expand(-1, 1, height, width)


def tensor_of(image: Image.Image) -> Tensor:
    """An RGB picture as (1, 3, H, W) float32 on [0, 1]."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255


def image_of(pixels: Tensor) -> Image.Image:
    """Pixels (3, H, W) on [0, 1], or of 8 bits, as an RGB picture."""
    whole = _rounded(pixels) if pixels.is_floating_point() else pixels
    return Image.fromarray(whole.permute(1, 2, 0).cpu().numpy())


def _rounded(x: Tensor) -> Tensor:
    return (x.clamp(0, 1) * 255).round().to(torch.uint8)
