"""The U-Net that gesso trains: no statistics over space, so a tile sees what the picture sees.

GroupNorm and global attention would make each output pixel depend on the whole tile.
Here normalisation runs over channels at one pixel, and attention runs inside windows
fixed to the absolute pixel grid (multiples of :attr:`WindowUNet.grid`).
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["WindowUNet"]

# Sines and cosines of the level.
FEATURES = 64


class ChannelNorm(nn.Module):
    """RMS normalisation over the channels of each pixel; (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.rsqrt(x.float().square().mean(1, keepdim=True) + 1e-6).to(x.dtype)
        return x * scale * self.weight.to(x.dtype)[:, None, None]


class ResBlock(nn.Module):
    """Two 3x3 convolutions, modulated between them by the noise level (FiLM)."""

    def __init__(self, channels: int, embedding: int, norm: bool) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels) if norm else nn.Identity()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(cast(Tensor, self.conv2.bias))

    def forward(self, x: Tensor, emb: Tensor) -> Tensor:
        scale, shift = self.modulation(emb)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm(x)))
        h = torch.addcmul(shift, h, 1 + scale)
        return x + cast(Tensor, self.conv2(F.silu(h)))


class WindowAttention(nn.Module):
    """Self-attention in fixed windows; names follow diffusers' ``Attention``.

    With ``codecs``, what it sees is modulated by the level and by a codec, of so many. With
    ``hint``, it also sees a second picture of so many channels.
    """

    def __init__(
        self, channels: int, heads: int, window: int, codecs: int = 0, hint: int = 0
    ) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.norm = ChannelNorm(channels)
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(channels, channels, bias=False)
        self.to_v = nn.Linear(channels, channels, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])
        self.position = nn.Parameter(torch.zeros(channels, window, window))
        self.modulation = nn.Linear(FEATURES, 2 * channels) if codecs else None
        self.codec = nn.Embedding(codecs, 2 * channels) if codecs else None
        self.hint = nn.Conv2d(hint, channels, 1, bias=False) if hint else None
        new = (self.to_out[0], self.modulation, self.codec)
        for parameter in (p for part in new if part is not None for p in part.parameters()):
            nn.init.zeros_(parameter)

    def forward(
        self, x: Tensor, features: Tensor, label: Tensor, hint: Tensor | None = None
    ) -> Tensor:
        b, c, height, width = x.shape
        w, rows, cols = self.window, height // self.window, width // self.window
        h = self.norm(x) + self.position.to(x.dtype).repeat(1, rows, cols)
        if self.modulation is not None and self.codec is not None:
            wish = self.modulation(features) + self.codec(label).to(features.dtype)
            scale, shift = wish[:, :, None, None].chunk(2, dim=1)
            h = torch.addcmul(shift, h, 1 + scale)
        if self.hint is not None and hint is not None:
            h = h + self.hint(hint)
        h = h.view(b, c, rows, w, cols, w).permute(0, 2, 4, 3, 5, 1).reshape(-1, w * w, c)
        q, k, v = (
            p(h).view(-1, w * w, self.heads, c // self.heads).transpose(1, 2)
            for p in (self.to_q, self.to_k, self.to_v)
        )
        h = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(-1, w * w, c)
        h = self.to_out[0](h).view(b, rows, cols, w, w, c)
        return x + cast(Tensor, h).permute(0, 5, 1, 3, 2, 4).reshape(b, c, height, width)


class Stage(nn.Module):
    """The residual blocks of one resolution, with attention after each where it has heads."""

    def __init__(
        self,
        channels: int,
        embedding: int,
        blocks: int,
        heads: int,
        window: int,
        norm: bool,
        codecs: int,
        hint: int,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResBlock(channels, embedding, norm) for _ in range(blocks))
        self.attentions = nn.ModuleList(
            WindowAttention(channels, heads, window, codecs, hint)
            for _ in range(blocks if heads else 0)
        )

    def forward(
        self, x: Tensor, emb: Tensor, features: Tensor, label: Tensor, hint: Tensor | None
    ) -> Tensor:
        for index, block in enumerate(self.blocks):
            x = block(x, emb)
            if len(self.attentions):
                x = self.attentions[index](x, features, label, hint)
        return x


class WindowUNet(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers has no types
    """Raw network F of EDM (Karras et al. 2022, Eq. 7) on pixel-unshuffled pictures.

    Args:
        in_channels: channels of the picture.
        patch: factor of the pixel-unshuffle at the entrance.
        channels: width per resolution, finest first; each further one halves the size.
        blocks: residual blocks per stage.
        embedding: width of the noise-level embedding.
        heads: attention heads at the coarsest stage; 0 leaves attention out.
        window: side of an attention window, in coarsest pixels.
        norm: normalise each pixel over its channels before every block.
        sigma_data: standard deviation of the data that the preconditioning assumes.
        num_class_embeds: classes that an input may be labelled with; 0 for none.
        num_codec_embeds: codecs that attention tells apart, which is then in every stage; 0 for
            none. Inputs are labelled with one or the other.
        num_hint_channels: channels of a second picture, which attention alone sees; 0 for none.
    """

    _supports_gradient_checkpointing = False

    @register_to_config  # type: ignore[untyped-decorator]  # as above
    def __init__(
        self,
        in_channels: int = 3,
        patch: int = 2,
        channels: tuple[int, ...] = (64, 128, 256),
        blocks: int = 2,
        embedding: int = 256,
        heads: int = 4,
        window: int = 8,
        norm: bool = False,
        sigma_data: float = 0.5,
        num_class_embeds: int = 0,
        num_codec_embeds: int = 0,
        num_hint_channels: int = 0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.patch, self.sigma_data = patch, sigma_data
        self.noise_embedding = nn.Sequential(
            nn.Linear(FEATURES, embedding), nn.SiLU(), nn.Linear(embedding, embedding), nn.SiLU()
        )
        self.class_embedding = (
            nn.Embedding(num_class_embeds, embedding) if num_class_embeds else None
        )
        if self.class_embedding is not None:
            nn.init.zeros_(self.class_embedding.weight)
        last = len(channels) - 1
        self.entrance = nn.Conv2d(in_channels * patch**2, channels[0], 3, padding=1)
        self.down = nn.ModuleList()
        self.up = nn.ModuleList()
        self.shrink = nn.ModuleList()
        self.grow = nn.ModuleList()
        for level, width in enumerate(channels):
            here = heads if level == last else 0
            if num_codec_embeds and heads:
                # As wide as those of the coarsest.
                here = max(1, heads * width // channels[-1])
            hint = num_hint_channels * (patch << level) ** 2
            stage = (width, embedding, blocks, here, window, norm, num_codec_embeds, hint)
            self.down.append(Stage(*stage))
            if level < last:
                wider = channels[level + 1]
                self.up.append(Stage(*stage))
                self.shrink.append(nn.Conv2d(width, wider, 2, stride=2))
                self.grow.append(nn.Conv2d(wider, 4 * width, 1))
        self.exit = nn.Conv2d(channels[0], in_channels * patch**2, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(cast(Tensor, self.exit.bias))

    @property
    def grid(self) -> int:
        """Height, width and offset of every input must be multiples of this many pixels."""
        config = cast(Any, self.config)
        coarsest = int(config.patch) << (len(config.channels) - 1)
        return coarsest * int(config.window) if config.heads else coarsest

    def forward(
        self,
        sample: Tensor,
        noise_level: Tensor,
        class_labels: Tensor | None = None,
        hint: Tensor | None = None,
    ) -> Tensor:
        """(B, C, H, W) scaled by c_in and (B,) c_noise = ln(sigma)/4 to (B, C, H, W).

        ``class_labels`` (B,) is for networks that have classes or codecs; without it an input
        is of class 0. ``hint`` (B, num_hint_channels, H, W) may be left out, too.
        """
        frequencies = torch.exp(
            torch.linspace(
                0.0, math.log(16.0), FEATURES // 2, device=sample.device, dtype=torch.float32
            )
        )
        phase = noise_level.float()[:, None] * frequencies * math.pi
        features = torch.cat([phase.sin(), phase.cos()], dim=1).to(self.dtype)
        emb = self.noise_embedding(features)
        if class_labels is None:
            class_labels = torch.zeros(len(sample), dtype=torch.long, device=sample.device)
        if self.class_embedding is not None:
            emb = emb + self.class_embedding(class_labels).to(emb.dtype)
        hints = [
            None if hint is None else F.pixel_unshuffle(hint, self.patch << level)
            for level in range(len(self.down))
        ]
        x = self.entrance(F.pixel_unshuffle(sample, self.patch))
        skips: list[Tensor] = []
        for level, stage in enumerate(self.down):
            x = stage(x, emb, features, class_labels, hints[level])
            if level < len(self.shrink):
                skips.append(x)
                x = self.shrink[level](x)
        for level in reversed(range(len(self.up))):
            x = F.pixel_shuffle(self.grow[level](x), 2) + skips[level]
            x = self.up[level](x, emb, features, class_labels, hints[level])
        return F.pixel_shuffle(self.exit(x), self.patch)
