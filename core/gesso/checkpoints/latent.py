"""Latent models: the autoencoder around a trajectory, its noise levels, the fixed prompt."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from gesso.autoencoder import Autoencoder
from gesso.checkpoints.folder import PROMPT, Checkpoint, Part
from gesso.codec import get_codec, interpolate_anchors
from gesso.errors import ModelError
from gesso.space import Space

if TYPE_CHECKING:
    from gesso.tiling import Box

__all__ = ["LatentSpace", "dead_leaves", "measured_levels", "prompt_embedding"]

QUALITIES = (5, 10, 20, 40, 70, 90)
PROBE = 32  # latent samples along the side of the synthetic picture
TINT = 0.1


class LatentSpace(Space):
    """The latents of an autoencoder, times its scaling factor.

    Latent noise of level s stands for pixel noise of level sigma where both equal the error
    that one and the same compression leaves. The two are measured when they are first asked
    for, with the autoencoder itself, on a synthetic picture coded as JPEG at six qualities: see
    :func:`measured_levels`. Between them ln(s / sigma) is linear in ln sigma; beyond, held.

    Args:
        autoencoder: its own ``scale`` and ``shift`` are applied here.
    """

    def __init__(self, autoencoder: Autoencoder) -> None:
        self.autoencoder = autoencoder
        self.factor, self.channels = autoencoder.factor, autoencoder.channels

    @cached_property
    def levels(self) -> list[tuple[float, float]]:
        """(pixel, latent) levels of the same compression, rising."""
        return measured_levels(self.encode, max(64, PROBE * self.factor))

    def scaled(self, latents: Tensor) -> Tensor:
        """Raw latents as a denoiser sees them."""
        return (latents - self.autoencoder.shift) * self.autoencoder.scale

    def raw(self, x: Tensor) -> Tensor:
        """What a denoiser sees as raw latents."""
        return x / self.autoencoder.scale + self.autoencoder.shift

    def encode(self, pixels: Tensor) -> Tensor:
        """See :class:`gesso.space.Space`."""
        return self.scaled(self.autoencoder.encode(pixels))

    def decode(self, x: Tensor) -> Tensor:
        """See :class:`gesso.space.Space`."""
        return self.autoencoder.decode(self.raw(x.float()))

    def level(self, sigma: float) -> float:
        """See :class:`gesso.space.Space`."""
        at = math.log(sigma)
        points = [(math.log(pixel), math.log(latent / pixel)) for pixel, latent in self.levels]
        return sigma * math.exp(interpolate_anchors(points, at))

    def bound(self, clean: Tensor) -> Tensor:
        """See :class:`gesso.space.Space`; latents have no bounds."""
        return clean

    def noise(
        self, box: Box, seed: int, draw: int, device: torch.device, places: Tensor | None = None
    ) -> Tensor:
        """See :class:`gesso.space.Space`."""
        # A field has three channels: as many fields as it takes, each its own draw.
        fields = -(-self.channels // 3)
        draws = range(draw * fields, (draw + 1) * fields)
        parts = [self._field(box, seed, each, device, places) for each in draws]
        return torch.cat(parts, 1)[:, : self.channels]


def measured_levels(encode: Callable[[Tensor], Tensor], side: int) -> list[tuple[float, float]]:
    """(pixel, latent) root mean square error of JPEG decodes, rising.

    Args:
        encode: (1, 3, side, side) on [-1, 1] to latents.
        side: of the picture, in pixels.
    """
    import numpy as np
    from PIL import Image

    source = dead_leaves(side)
    image = Image.fromarray(source.permute(1, 2, 0).numpy())
    jpeg, levels = get_codec("jpeg"), []
    with torch.inference_mode():
        pixels = source[None].float() / 127.5 - 1
        latents = encode(pixels)
        for quality in QUALITIES:
            array = np.asarray(jpeg.decode(jpeg.encode(image, quality)))
            decoded = torch.from_numpy(array.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
            errors = (decoded - pixels, encode(decoded) - latents)
            levels.append(tuple(max(float(e.square().mean().sqrt()), 1e-6) for e in errors))
    return sorted(cast(list[tuple[float, float]], levels))


def dead_leaves(size: int, leaves: int = 400, seed: int = 0) -> Tensor:
    """A picture with the statistics of natural ones, (3, size, size) uint8.

    Discs of random grey, a little tinted, cover one another, their radii of density r^-3:
    edges, occlusion and a spectrum like photographs' (Lee, Mumford and Huang 2001). A JPEG of it
    errs as JPEGs of the validation photographs do, by 0.12 at quality 5 and 0.03 at 90.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = torch.rand(leaves, 6, generator=generator).double()
    # the inverse of the distribution between 1/100 and 1/4 of the side
    low, high = (size / 100) ** -2, (size / 4) ** -2
    radii = (low + draws[:, 0] * (high - low)).rsqrt()
    line = torch.arange(size) + 0.5
    picture = torch.full((3, size, size), 0.5, dtype=torch.float64)
    for radius, leaf in zip(radii.sort(descending=True)[0], draws, strict=True):
        inside = (line[:, None] - leaf[1] * size) ** 2 + (line - leaf[2] * size) ** 2 < radius**2
        grey = leaf[3:].mean()
        picture[:, inside] = (grey + TINT * (leaf[3:] - grey))[:, None]
    return (picture * 255).round().to(torch.uint8)


def prompt_embedding(checkpoint: Checkpoint) -> Tensor:
    """The one embedding that a text-conditional network is given, (1, tokens, width).

    Raises:
        ModelError: its file is damaged or does not fit; no transformers to compute it with.
    """
    width = checkpoint.unet.config.get("cross_attention_dim")
    if checkpoint.text is None:
        embedding = _stored(checkpoint)
    else:
        embedding = _computed(checkpoint, checkpoint.text)
    if embedding.ndim == 2:
        embedding = embedding[None]
    if embedding.ndim != 3 or len(embedding) != 1 or embedding.shape[2] != width:
        raise ModelError(
            f"{checkpoint.folder}: the prompt's embedding is {tuple(embedding.shape)}; its U-Net "
            f"wants (1, tokens, {width})"
        )
    return embedding.float()


def _stored(checkpoint: Checkpoint) -> Tensor:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = checkpoint.folder / PROMPT
    try:
        return load_file(path)["prompt_embeds"]
    except (OSError, KeyError, SafetensorError) as error:
        raise ModelError(f"{path} has no tensor prompt_embeds ({error}); write it anew") from error


def _computed(checkpoint: Checkpoint, text: Part) -> Tensor:
    """As diffusers' StableDiffusionPipeline.encode_prompt, for one prompt without guidance."""
    folder = checkpoint.folder
    try:
        library: Any = importlib.import_module("transformers")
    except ImportError as error:
        raise ModelError(
            f"{folder} has a text encoder, which needs transformers: pip install gesso[latent], "
            f"or put the prompt's embedding beside it as {PROMPT}"
        ) from error
    # Whatever a foreign loader raises, the folder does not fit it.
    try:
        tokenizer = library.CLIPTokenizer.from_pretrained(
            folder / "tokenizer", local_files_only=True
        )
        encoder = library.CLIPTextModel.from_pretrained(
            text.folder,
            local_files_only=True,
            use_safetensors=True,
            variant=text.weights.variant,
            torch_dtype=torch.float32,
        )
        tokens = tokenizer(
            checkpoint.wishes.prompt,
            padding="max_length",
            max_length=tokenizer.model_max_length,
            truncation=True,
            return_tensors="pt",
        )
        mask = tokens.attention_mask if text.config.get("use_attention_mask") else None
        with torch.no_grad():
            return cast(Tensor, encoder.eval()(tokens.input_ids, attention_mask=mask)[0])
    except Exception as error:
        raise ModelError(f"the text encoder of {folder} cannot be run: {error}") from error
