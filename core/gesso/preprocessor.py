"""System P at inference time: prepare a picture for a codec that stays as it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from gesso.cards import DEFAULTS, ModelCard, get_model, load, models
from gesso.frame import Frame, Picture
from gesso.generator import knows
from gesso.optimiser import Descent, can_descend, descent_for, optimise
from gesso.options import Effort, PreprocessOptions
from gesso.runtime import Runtime
from gesso.target import Target

__all__ = ["plan", "preprocess", "preprocess_frame"]


def preprocess(
    image: Picture,
    codec: str,
    quality: float,
    strength: float = 1.0,
    guard: bool = True,
    seed: int = 0,
    *,
    model: str | None = None,
    effort: Effort | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    runtime: Runtime | None = None,
) -> Picture:
    """Prepare a picture so that ``codec`` at ``quality`` writes fewer bits for the same look.

    Args:
        image: as in :func:`gesso.enhance`.
        codec: the codec the picture is about to meet, such as ``jpeg``.
        quality: on the codec's own scale.
        strength: in [0, 1]; 0 returns the picture bit for bit.
        guard: keep the result only where a trial encode shows that it helps, and leave the
            decode of a JPEG of quality 30 or less as it is.
        seed: in [0, 2**64).
        model: name of a preprocessor, which ``medium`` and ``max`` then start from; None is
            the default, and the picture itself.
        effort: ``fast`` is one evaluation of a model; ``medium`` and ``max`` improve this one
            picture by gradient descent through the codec, in 12 and in 50 steps. None is
            ``fast`` for a model that is named, and where ``medium`` cannot be had: without the
            weights of LPIPS and DISTS, or for a codec without a gradient; else ``medium``.
        steps: another number of steps of that descent.
        seconds: when that descent must end.
        runtime: device, dtype, tiles, progress.

    Returns:
        The same type, size, mode and dtype; alpha untouched.

    Raises:
        InputError: a codec that efforts ``medium`` and ``max`` have no gradient for.
        ModelError: no such preprocessor. Or an effort lacks the networks it looks through.
    """
    options = PreprocessOptions(model, strength, guard, seed, effort, steps, seconds)
    target = Target(codec, quality)
    return cast(Picture, preprocess_frame(Frame.of(image), target, options, runtime).restore())


def preprocess_frame(
    frame: Frame,
    target: Target,
    options: PreprocessOptions | None = None,
    runtime: Runtime | None = None,
) -> Frame:
    """:func:`preprocess` on a :class:`Frame`; hosts call it through ``gesso_before_encode``.

    A preprocessor is what its card's factory returns: a function
    ``(frame, target, options, runtime) -> Frame`` that prepares at full strength; strength and
    guard are applied here.
    """
    options, runtime = options or PreprocessOptions(), runtime or Runtime()
    card, descent = plan(options, target.codec)
    if options.strength == 0:
        return frame
    if options.guard:
        from gesso.guard import guarded, heavily_coded

        if all(heavily_coded(frame)):
            return frame
    found = frame
    if card is not None:
        model: Any = load(card.name, "preprocessor", runtime)
        found = cast(Frame, model(frame, target, options, runtime))
    if descent:
        found = optimise(frame, target, descent, options.seconds, runtime, found)
    if options.strength < 1:
        found = frame.with_rgb(frame.rgb.lerp(found.rgb, options.strength))
    return guarded(frame, found, target, runtime) if options.guard else found


def plan(options: PreprocessOptions, codec: str) -> tuple[ModelCard | None, Descent | None]:
    """The model to begin with, and the descent after it, for a codec; one of them may be None.

    Raises:
        ModelError: the model that was named, or that effort ``fast`` needs, is not here.
    """
    effort = options.effort or _effort(options.model, codec)
    descent = descent_for(effort, codec)
    if descent and options.steps is not None:
        descent = replace(descent, steps=options.steps)
    asked = options.model is not None or not descent
    return get_model(options.model, "preprocessor") if asked else None, descent


def _effort(model: str | None, codec: str) -> Effort:
    """``medium`` where it can be had, since it gains most, unless a model is named."""
    if model is not None:
        return "fast"
    default = models("preprocessor").get(DEFAULTS["preprocessor"])
    return "fast" if default and knows(default, codec) and not can_descend(codec) else "medium"
