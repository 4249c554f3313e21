"""System P at inference time: prepare a picture for a codec that stays as it is."""

from __future__ import annotations

from typing import Any, cast

from gesso.cards import get_model, load
from gesso.frame import Frame, Picture
from gesso.options import PreprocessOptions
from gesso.runtime import Runtime
from gesso.target import Target

__all__ = ["preprocess", "preprocess_frame"]


def preprocess(
    image: Picture,
    codec: str,
    quality: float,
    strength: float = 1.0,
    guard: bool = True,
    seed: int = 0,
    *,
    model: str | None = None,
    runtime: Runtime | None = None,
) -> Picture:
    """Prepare a picture so that ``codec`` at ``quality`` writes fewer bits for the same look.

    Args:
        image: as in :func:`gesso.enhance`.
        codec: the codec the picture is about to meet, such as ``jpeg``.
        quality: on the codec's own scale.
        strength: in [0, 1]; 0 returns the picture bit for bit.
        guard: keep the result only where a trial encode shows that it helps.
        seed: in [0, 2**64).
        model: name of a preprocessor; None is the default.
        runtime: device, dtype, tiles, progress.

    Returns:
        The same type, size, mode and dtype; alpha untouched.

    Raises:
        ModelError: no such preprocessor; this version ships none, plug-ins may bring one.
    """
    options = PreprocessOptions(model, strength, guard, seed)
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
    ``(frame, target, options, runtime) -> Frame``.
    """
    options, runtime = options or PreprocessOptions(), runtime or Runtime()
    card = get_model(options.model, "preprocessor")
    if options.strength == 0:
        return frame
    model: Any = load(card.name, "preprocessor", runtime)
    return cast(Frame, model(frame, target, options, runtime))
