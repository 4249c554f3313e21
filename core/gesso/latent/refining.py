"""Latents refined for one picture: a descent through palette and decoder, after the encoder.

The amortisation gap of an encoder, closed by optimising what it gave (Cremer, Li and Duvenaud,
"Inference Suboptimality in Variational Autoencoders", 2018; Campos et al., "Content Adaptive
Optimization for Neural Image Compression", 2019). The file is one like any other.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

from gesso.autoencoder import Autoencoder
from gesso.distance import perceptual_distance
from gesso.frame import mirror
from gesso.latent.palette import dequantise
from gesso.latent.tiles import tiles
from gesso.latent.vectors import quantised
from gesso.runtime import Runtime
from gesso.surrogates.rounding import straight_through

__all__ = ["refine"]

# Of Adam, in shares of the latents' magnitude, falling to a tenth along half a cosine.
RATE = 0.02
# The metrics' networks hold some hundred bytes for each pixel of a tile.
TILE = 512


def refine(
    autoencoder: Autoencoder,
    rgb: NDArray[np.uint8],
    latents: NDArray[np.float32],
    palette: NDArray[np.uint8],
    steps: int,
    runtime: Runtime,
) -> NDArray[np.float32]:
    """Latents whose nearest palette entries decode nearer to the picture than the encoder's do.

    Minimised are LPIPS (AlexNet), DISTS, SSIMULACRA 2 and the mean absolute error of the decode
    of the palette's entries themselves; the gradient passes the palette straight through.
    Tiles of 512 x 512 pixels are refined one after another, each with what is beside it.

    Args:
        autoencoder: that gave the latents.
        rgb: (H, W, 3), the picture.
        latents: (h, w, C), raw.
        palette: (K, C).
        steps: of the descent, for each tile; the best of them counts, the start among them.
        runtime: dtype of the metrics' networks; ``progress`` is called with (done, total) steps.

    Raises:
        ModelError: the weights of LPIPS or DISTS are not here.
    """
    distance = perceptual_distance(runtime.dtype)
    factor, (height, width, _) = autoencoder.factor, latents.shape
    device = autoencoder.device
    entries = torch.from_numpy(dequantise(palette, autoencoder.magnitude)).to(device)
    pixels = torch.from_numpy(np.array(rgb)).permute(2, 0, 1)[None]
    rows = mirror(0, height * factor, pixels.shape[2], pixels.device)
    columns = mirror(0, width * factor, pixels.shape[3], pixels.device)
    pixels = pixels.index_select(2, rows).index_select(3, columns)
    found = torch.from_numpy(np.array(latents)).permute(2, 0, 1)[None].to(device)
    parts = list(tiles(height, width, max(1, TILE // factor)))
    done, total = 0, steps * len(parts)
    for kept, seen in parts:
        whole = tuple(slice(s.start * factor, s.stop * factor) for s in seen)
        source = (pixels[:, :, *whole].float() / 255).to(device)
        inner = tuple(
            slice(k.start - s.start, k.stop - s.start) for k, s in zip(kept, seen, strict=True)
        )
        # Hosts that encode may call from inference mode, where nothing has a gradient.
        with torch.inference_mode(False), torch.enable_grad():
            compare = distance(source.clone())
            around = quantised(found[:, :, *seen].clone(), entries)
            free = found[:, :, *kept].clone().requires_grad_()
            adam = torch.optim.Adam([free], lr=RATE)
            best, least = free.detach().clone(), math.inf
            for step in range(steps + 1):
                coded = straight_through(free, quantised(free, entries))
                shown = around.clone()
                shown[:, :, *inner] = coded
                picture = ((autoencoder.decode(shown) + 1) / 2).clamp(0, 1)
                cost = compare(picture).sum() + (picture - source).abs().mean()
                if float(cost.detach()) < least:
                    best, least = free.detach().clone(), float(cost.detach())
                if step == steps:
                    break
                fall = 0.55 + 0.45 * math.cos(math.pi * step / steps)
                for group in adam.param_groups:
                    group["lr"] = RATE * autoencoder.magnitude * fall
                adam.zero_grad()
                cost.backward()  # type: ignore[no-untyped-call]  # torch states no types here
                adam.step()
                done += 1
                if runtime.progress:
                    runtime.progress(done, total)
        found[:, :, *kept] = best
    return np.ascontiguousarray(found[0].permute(1, 2, 0).cpu().numpy())
