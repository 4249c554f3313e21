"""What a caller may ask of a save or an open, and what `using` asks for around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError
from gesso.options import PreprocessOptions

if TYPE_CHECKING:
    from pillow_gesso.filtering import Enhance

__all__ = [
    "ambient_enhance",
    "ambient_preprocess",
    "as_enhance",
    "as_preprocess",
    "asked",
    "suspended",
]

# Each thread and each asyncio task sees its own.
ambient_preprocess: ContextVar[PreprocessOptions | None] = ContextVar("preprocess", default=None)
ambient_enhance: ContextVar[Enhance | None] = ContextVar("enhance", default=None)


def as_preprocess(value: object) -> PreprocessOptions | None:
    """What ``preprocess=value`` asks for; None is nothing."""
    if isinstance(value, PreprocessOptions):
        return value
    if isinstance(value, bool):
        return PreprocessOptions() if value else None
    if isinstance(value, str):
        return PreprocessOptions(model=value)
    raise InputError(
        f"preprocess must be True, False, a model's name or a Preprocess, got {value!r}"
    )


def as_enhance(value: object) -> Enhance | None:
    """What ``enhance=value`` asks for; None is nothing."""
    from pillow_gesso.filtering import Enhance

    if isinstance(value, Enhance):
        return value
    if isinstance(value, bool):
        return Enhance() if value else None
    if isinstance(value, str):
        return Enhance(preset=value)  # type: ignore[arg-type]  # checked there
    raise InputError(f"enhance must be True, False, a preset's name or an Enhance, got {value!r}")


@contextmanager
def suspended() -> Iterator[None]:
    """Within the block `using` asks for nothing."""
    with _set(ambient_preprocess, None), _set(ambient_enhance, None):
        yield


@contextmanager
def asked(preprocess: object, enhance: object) -> Iterator[None]:
    """Within the block `using` asks for these; None is what was asked for outside."""
    wish = ambient_preprocess.get() if preprocess is None else as_preprocess(preprocess)
    look = ambient_enhance.get() if enhance is None else as_enhance(enhance)
    with _set(ambient_preprocess, wish), _set(ambient_enhance, look):
        yield


@contextmanager
def _set(variable: ContextVar[Any], value: object) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)
