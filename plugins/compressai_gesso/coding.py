"""From a picture to a learned codec's file and back, whatever the network.

Everything runs on the CPU in fp32. The decoder must find the very scales that the encoder
coded with, or what follows is noise; and arithmetic differs between kinds of device, a
little even between processors and thread counts. Where a network allows it, the part that
predicts the scales therefore computes in fp64, whose rounding practically never changes a
scale; see :func:`steady`. The tables of the entropy coder and, in autoregressive networks,
the scales stay fp32, as CompressAI has them: their files are for the kind of machine that
wrote them. Pixels may differ by one level between thread counts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from compressai_gesso.container import GRID, Packed, check_size
from gesso.errors import InputError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Coder", "steady"]

WORD = 4  # bytes that the entropy coder reads at once
LOWEST, BEYOND = 2**31, 2**63  # states that its decoder can be in


@dataclass(frozen=True, eq=False)
class Coder:
    """A network that is ready to code, and the mark of its weights."""

    network: Any
    weights: bytes

    @torch.inference_mode()
    def encode(self, image: Image.Image, architecture: str, quality: int) -> Packed:
        """Code a picture of any size; raises InputError for one with too many pixels."""
        check_size(*image.size)
        pixels = np.asarray(image.convert("RGB"))
        picture = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
        right, below = -image.width % GRID, -image.height % GRID
        picture = nn.functional.pad(picture, (0, right, 0, below), mode="replicate")
        coded = self.network.compress(picture)
        strings = tuple(part[0] for part in coded["strings"])
        return Packed(architecture, quality, self.weights, *image.size, strings)

    @torch.inference_mode()
    def decode(self, content: Packed) -> Image.Image:
        """The picture; raises InputError where the strings are none of this network's."""
        from PIL import Image

        if content.weights != self.weights:
            raise InputError(
                f"this file was coded with other weights of {content.architecture!r} than "
                "are here; decode it with those"
            )
        rows, columns = (-(-side // GRID) for side in (content.height, content.width))
        symbols = rows * columns * self._symbols_per_cell()
        strings = [[_fenced(string, symbols)] for string in content.strings]
        scale = GRID // self.network.downsampling_factor
        shape = torch.Size((rows * scale, columns * scale))
        picture = self.network.decompress(strings, shape)["x_hat"][0]
        picture = picture[:, : content.height, : content.width]
        if not bool(torch.isfinite(picture).all()):
            raise InputError("this file of a learned codec is damaged; get it anew")
        pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0)
        return Image.fromarray(pixels.numpy())

    def differentiable(self) -> Callable[[Tensor], Tensor]:
        """The network, encoder to decoder, as a function of RGB (B, 3, H, W) on [0, 1].

        Latents are rounded with gradient 1 (straight-through). Networks with a context model
        round them about 0 here and about their predicted means in a file, so that their
        decodes differ; all others give the file's.
        """
        from compressai.entropy_models import EntropyModel

        network = copy.deepcopy(self.network)
        for part in network.modules():
            if isinstance(part, EntropyModel):
                part.quantize = _straight_through

        def code(rgb: Tensor) -> Tensor:
            height, width = rgb.shape[2:]
            below, right = -height % GRID, -width % GRID
            picture = nn.functional.pad(rgb.float(), (0, right, 0, below), mode="replicate")
            found: Tensor = network.to(rgb.device)(picture)["x_hat"]
            return found[:, :, :height, :width].clamp(0, 1)

        return code

    def _symbols_per_cell(self) -> int:
        """Symbols for every 64 x 64 pixels: latents at 1/16, hyperlatents at 1/64."""
        return 16 * int(self.network.M) + int(self.network.N)


def _straight_through(values: Tensor, mode: str, means: Tensor | None = None) -> Tensor:
    """CompressAI's ``quantize`` of a forward pass, with gradient 1."""
    offset = (values if means is None else values - means).detach()
    return values + (offset.round() - offset)


def _fenced(string: bytes, symbols: int) -> bytes:
    """``string`` with zeros behind, more than the decoder can read of them.

    CompressAI's decoder checks no bounds: a string that is too short would make it read
    whatever lies behind. From a valid state, a symbol of at most 16 bits takes a word for
    every second symbol; one outside the tables is followed by up to 15 half-bytes for
    each half-byte that counts them.
    """
    start = int.from_bytes(string[: 2 * WORD], "little")
    if len(string) % WORD or len(string) < 2 * WORD or not LOWEST <= start < BEYOND:
        raise InputError("this file of a learned codec is damaged; get it anew")
    return string + bytes(WORD * (symbols + 16 * len(string) // WORD + 4096))


class InDouble(nn.Module):
    """A part of a network that computes in fp64 and answers in fp32."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part.double()

    def forward(self, values: Tensor) -> Tensor:
        """As the part itself."""
        return self.part(values.double()).float()  # type: ignore[no-any-return]  # CompressAI has no types


def steady(network: Any) -> Any:
    """The network, with its hyper-synthesis in fp64 where that alone predicts the scales."""
    if hasattr(network, "h_s") and not hasattr(network, "context_prediction"):
        network.h_s = InDouble(network.h_s)
    return network.eval().requires_grad_(False)
