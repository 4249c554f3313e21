"""System E at inference time: add a little noise to a decoded picture, then denoise it.

"Fast Training-free Perceptual Image Compression": the decoded picture is moved forward
to noise level sigma and back by an unconditional diffusion prior. The bitstream, the
codec and the prior stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor

from gesso.cards import ModelCard, default_prior, get_model, load, models
from gesso.codec import get_codec
from gesso.denoiser import Denoiser
from gesso.errors import InputError
from gesso.estimator import Estimator, estimate
from gesso.frame import Frame, Picture
from gesso.jpeg import JpegCoefficients, coefficients_for
from gesso.noise import NoiseMode, Table, jpeg_quality_of_pixels, sigma_for, softened
from gesso.options import EnhanceOptions, Preset, Sampler
from gesso.projection import project
from gesso.runtime import Runtime
from gesso.target import Target
from gesso.trajectory import STEP_SIZE, Degrade, Plan, sampler_of, travel

__all__ = ["enhance", "enhance_frame", "error_table", "sampler_for", "target_of"]


def enhance(
    image: Picture,
    codec: str | None = None,
    quality: float | None = None,
    preset: Preset = "fast",
    tradeoff: float = 1.0,
    seed: int = 0,
    *,
    model: str | None = None,
    posterior_mean: bool = True,
    faithful: bool | None = None,
    sigma: float | None = None,
    steps: int | None = None,
    step_size: float | None = None,
    sampler: Sampler | None = None,
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
        posterior_mean: estimate the picture of least square error first and add the noise to
            that (PMRF's order); False adds it to the decoded picture: no part of the system
            was then trained on decodes. Needs codec and quality.
        faithful: put every coefficient of the result into the quantisation cell that the
            JPEG file states, so that coding it again gives the same file; for a PIL image
            that was opened from one. None does so wherever that file is within reach and
            is what ``codec`` and ``quality`` say, if they say anything.
        sigma: explicit noise level on [-1, 1] pixels instead of codec and quality.
        steps: explicit number of model evaluations instead of the preset's.
        step_size: of the constraint of sampler ``dps``.
        sampler: ``one-step``, ``multistep``, ``ode``, ``sde`` or ``dps`` instead of the
            preset's.
        runtime: device, dtype, tiles, progress.

    Returns:
        The same type, size, mode and dtype; alpha untouched. Deterministic for a seed on one
        kind of device. Tiled and untiled results differ by less than 0.05/255 in the mean at
        sigma 0.2, and by less than 1.5/255 anywhere after one evaluation; some pixels by up to
        3.5/255 after eight.

    Raises:
        InputError: a picture, codec or option that cannot be used.
        ModelError: an unknown or damaged model.
    """
    options = EnhanceOptions(
        model, preset, tradeoff, seed, sigma, steps, posterior_mean, faithful, step_size, sampler
    )
    if (codec is None) != (quality is None):
        raise InputError("codec and quality go together; pass both or neither")
    target = None
    if codec is not None and quality is not None:
        target = Target(codec, quality)
    elif (sigma is None or faithful) and tradeoff > 0:
        target = target_of(image)
    if target and target.codec == "jpeg":
        jpeg = coefficients_for(options, lambda: JpegCoefficients.of_image(image), quality)
        target = replace(target, jpeg=jpeg)
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
        InputError: neither a target nor a sigma, a preset that the model has not, or
            ``faithful`` without a JPEG file's coefficients.
    """
    options, runtime = options or EnhanceOptions(), runtime or Runtime()
    if options.tradeoff == 0 or options.sigma == 0:
        return frame
    if options.faithful and (target is None or target.jpeg is None):
        raise InputError(
            "faithful needs the coefficients of a JPEG file; pass the opened file itself, "
            "or leave faithful out"
        )
    card = _prior(options)
    denoiser = cast(Denoiser, load(card.name, runtime=runtime))
    estimator = _estimator(target, options, runtime)
    preset = _preset(card, options)  # what is wrong is said before anything takes long
    start = frame
    if estimator and target:
        start = estimate(frame, target, estimator, replace(runtime, progress=None))
    plan = _plan(card, preset, frame, start, target, options)
    natural = travel(start, plan, denoiser, runtime)
    if options.faithful is not False and target and target.jpeg:
        return project(natural, target.jpeg)
    return natural


def sampler_for(options: EnhanceOptions) -> Sampler:
    """The sampler that a preset stands for, with the model that it takes.

    Raises:
        InputError: a preset that the model has not.
    """
    card = _prior(options)
    return _sampler(_preset(card, options), options)[1]


def _prior(options: EnhanceOptions) -> ModelCard:
    default = default_prior(options.sampler, options.posterior_mean)
    return get_model(options.model or default, "prior")


def _sampler(preset: Mapping[str, Any], options: EnhanceOptions) -> tuple[int, Sampler]:
    """Number of evaluations, and what spends them."""
    steps = options.steps or int(preset["steps"])
    return steps, options.sampler or sampler_of(preset, steps)


def _estimator(
    target: Target | None, options: EnhanceOptions, runtime: Runtime
) -> Estimator | None:
    """The embedded estimator, where it was asked for; it must know what coded the picture."""
    if not options.posterior_mean or target is None or not models("estimator"):
        return None
    return cast(Estimator, load(None, "estimator", runtime))


def _plan(
    card: ModelCard,
    preset: Mapping[str, Any],
    frame: Frame,
    start: Frame,
    target: Target | None,
    options: EnhanceOptions,
) -> Plan:
    steps, sampler = _sampler(preset, options)
    if options.sigma is not None:
        sigmas = torch.full((frame.batch,), options.sigma)
    elif target is None:
        raise InputError("nothing says how strong the noise may be; pass a target or sigma=")
    else:
        sigmas = _sigmas(card, preset, target, frame, start) * options.tradeoff
    return Plan(
        sigmas,
        sampler,
        steps,
        options.seed,
        _degrade(target) if sampler == "dps" else None,
        frame,
        STEP_SIZE if options.step_size is None else options.step_size,
        float(preset.get("s_noise", 1.0)),
        float(preset.get("last_level", Plan.last_level)),
    )


def _preset(card: ModelCard, options: EnhanceOptions) -> Mapping[str, Any]:
    presets = cast(Mapping[str, Mapping[str, Any]], card.settings.get("presets", {}))
    if options.preset in presets:
        return presets[options.preset]
    # Whoever says how many evaluations needs no preset.
    if options.steps is None:
        raise InputError(
            f"model {card.name!r} has no preset {options.preset!r}, only "
            f"{', '.join(presets) or 'none'}; choose one of these or pass steps="
        )
    return {}


def _sigmas(
    card: ModelCard,
    preset: Mapping[str, Any],
    target: Target,
    frame: Frame,
    start: Frame,
) -> Tensor:
    """Noise levels at tradeoff 1: by the error of what the noise is added to, and its edges."""
    mode: NoiseMode = "decoded" if start is frame else "posterior_mean"
    scales = {**card.settings.get("noise_scale", {}), **preset.get("noise_scale", {})}
    sigmas = sigma_for(error_table(card, mode), scales.get(mode, 1.0), target, frame)
    softness = {**card.settings.get("softness", {}), **preset.get("softness", {})}
    return sigmas * softened(softness[mode], start) if mode in softness else sigmas


def error_table(card: ModelCard, mode: NoiseMode) -> Table:
    """What ``sigma_for`` estimates the error by: of the estimates, or of the decodes."""
    if mode == "posterior_mean":
        return cast(Table, get_model(None, "estimator").settings["noise"])
    # Decodes are what they are, whatever model comes after.
    own = card.settings.get("noise")
    return cast(Table, own or get_model(None, "prior").settings["noise"])


def _degrade(target: Target | None) -> Degrade | None:
    """The codec as a differentiable function; None for one that is not."""
    if target is None:
        return None
    if target.jpeg and target.jpeg.sampling:
        return target.jpeg.differentiable()
    differentiable = getattr(get_codec(target.codec), "differentiable", None)
    return differentiable(target.quality) if differentiable else None
