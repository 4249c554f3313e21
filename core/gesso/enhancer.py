"""System E at inference time: add a little noise to a decoded picture, then denoise it.

"Fast Training-free Perceptual Image Compression": the decoded picture is moved forward
to noise level sigma and back by an unconditional diffusion prior. The bitstream, the
codec and the prior stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from gesso.cards import get_model, load
from gesso.denoiser import Denoiser
from gesso.errors import InputError
from gesso.field import noise_field
from gesso.frame import Frame, Picture
from gesso.noise import jpeg_quality_of_pixels, sigma_for
from gesso.options import EnhanceOptions, Preset
from gesso.runtime import Progress, Runtime
from gesso.sampling import dpm_solver, euler_sde, karras_sigmas
from gesso.target import Target
from gesso.tiling import Box, run_tiled, tile_starts

__all__ = ["enhance", "enhance_frame", "target_of"]

# Up to this many evaluations the ODE is the better sampler, beyond it the SDE
# (the paper's finding; `gesso calibrate` prints ours).
ODE_STEPS = 15


def enhance(
    image: Picture,
    codec: str | None = None,
    quality: float | None = None,
    preset: Preset = "medium",
    tradeoff: float = 1.0,
    seed: int = 0,
    *,
    model: str | None = None,
    sigma: float | None = None,
    steps: int | None = None,
    runtime: Runtime | None = None,
) -> Picture:
    """Make a decoded picture look natural again.

    Args:
        image: PIL image (RGB, RGBA, L, LA), numpy array (H, W), (H, W, C), (B, H, W, C) or
            torch tensor (C, H, W), (B, C, H, W); uint8, uint16 or float in [0, 1].
        codec: what coded it, such as ``jpeg``; with ``quality`` it decides the noise level.
            Without both, a PIL image that came from a JPEG file states its tables, and any
            other picture is searched for the traces of a JPEG.
        quality: on the codec's own scale.
        preset: time traded for quality.
        tradeoff: in [0, 1]; 0 returns the picture bit for bit, 1 adds the full noise level.
        seed: of the noise field, in [0, 2**64).
        model: name of the prior; None is the default.
        sigma: explicit noise level on [-1, 1] pixels instead of codec and quality.
        steps: explicit number of model evaluations instead of the preset's.
        runtime: device, dtype, tiles, progress.

    Returns:
        The same type, size, mode and dtype; alpha untouched. Deterministic for a seed on one
        kind of device. Tiled and untiled results differ by less than 1.5/255 anywhere and
        0.05/255 in the mean at sigma 0.2.

    Raises:
        InputError: a picture, codec or option that cannot be used.
        ModelError: an unknown or damaged model.
    """
    options = EnhanceOptions(model, preset, tradeoff, seed, sigma, steps)
    if (codec is None) != (quality is None):
        raise InputError("codec and quality go together; pass both or neither")
    target = None
    if codec is not None and quality is not None:
        target = Target(codec, quality)
    elif sigma is None and tradeoff > 0:
        target = target_of(image)
    return cast(Picture, enhance_frame(Frame.of(image), target, options, runtime).restore())


def target_of(image: object) -> Target:
    """What a decoded picture was coded with, from its file's tables or its pixels.

    Raises:
        InputError: it cannot be told.
    """
    tables = getattr(image, "quantization", None)
    if isinstance(tables, dict) and tables:
        return Target.of_jpeg_tables(tables)
    quality = jpeg_quality_of_pixels(Frame.of(image))
    if quality is None:
        raise InputError(
            "cannot tell what this picture was coded with; pass codec= and quality=, or sigma="
        )
    return Target("jpeg", quality)


def enhance_frame(
    frame: Frame,
    target: Target | None,
    options: EnhanceOptions | None = None,
    runtime: Runtime | None = None,
) -> Frame:
    """:func:`enhance` on a :class:`Frame`; hosts call it through ``gesso_after_decode``.

    Args:
        frame: B pictures of one size.
        target: what they were coded with; may be None where ``options.sigma`` is given.
        options: see :class:`gesso.EnhanceOptions`.
        runtime: see :class:`gesso.Runtime`.

    Raises:
        InputError: neither a target nor a sigma, or a preset that the model has not.
    """
    options, runtime = options or EnhanceOptions(), runtime or Runtime()
    if options.tradeoff == 0 or options.sigma == 0:
        return frame
    card = get_model(options.model, "prior")
    steps = options.steps or _preset_steps(card.name, card.settings, options.preset)
    if options.sigma is not None:
        sigmas = torch.full((frame.batch,), options.sigma)
    elif target is None:
        raise InputError("nothing says how strong the noise may be; pass a target or sigma=")
    else:
        sigmas = sigma_for(card.settings, target, frame, options.tradeoff)
    denoiser = cast(Denoiser, load(card.name, runtime=runtime))
    return _run(frame, sigmas, steps, options.seed, denoiser, runtime)


def _preset_steps(name: str, settings: Mapping[str, Any], preset: str) -> int:
    presets = cast(Mapping[str, Mapping[str, int]], settings.get("presets", {}))
    if preset not in presets:
        raise InputError(
            f"model {name!r} has no preset {preset!r}, only {', '.join(presets) or 'none'}; "
            "choose one of these or pass steps="
        )
    return int(presets[preset]["steps"])


def _run(
    frame: Frame, sigmas: Tensor, steps: int, seed: int, denoiser: Denoiser, runtime: Runtime
) -> Frame:
    """The whole trajectory tile by tile; noise depends on absolute position alone."""
    if not all(math.isfinite(s) and s > 0 for s in sigmas.tolist()):
        raise InputError(f"noise levels {sigmas.tolist()} must be positive and finite; pass sigma=")
    tiles = frame.batch
    for length in (frame.height, frame.width):
        tiles *= len(tile_starts(length, runtime.tile, runtime.overlap))
    model = _Counting(denoiser, tiles * steps, runtime.progress)

    def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
        def draw(step: int) -> Tensor:
            return torch.cat(
                [
                    noise_field(
                        b.top, b.left, b.height, b.width, seed=seed, draw=step, device=model.device
                    )
                    for b in boxes
                ]
            )

        sigma = float(sigmas[index])
        x = (pixels * 2 - 1).to(model.device) + sigma * draw(0)
        x = x.contiguous(memory_format=torch.channels_last)
        if steps <= ODE_STEPS:
            x = dpm_solver(model, x, sigma, steps)
        else:
            x = euler_sde(model, x, karras_sigmas(steps, sigma), draw)
        return (x + 1) / 2

    with torch.inference_mode():
        return run_tiled(frame, process, denoiser.grid, runtime)


class _Counting:
    """A denoiser of pictures that reports each tile's evaluation."""

    def __init__(self, denoiser: Denoiser, total: int, progress: Progress | None) -> None:
        self.denoiser, self.total, self.progress, self.done = denoiser, total, progress, 0
        self.grid, self.device = denoiser.grid, denoiser.device

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        # The source lies in [-1, 1]: its estimate can only come nearer by being put there.
        clean = self.denoiser(x, sigma).clamp(-1, 1)
        self.done += len(x)
        if self.progress:
            self.progress(self.done, self.total)
        return clean
