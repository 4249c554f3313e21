"""What a caller may ask of the two sides of a model, and what `using` asks for around it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError
from gesso.options import EnhanceOptions, PreprocessOptions

if TYPE_CHECKING:
    from torch import nn

__all__ = ["KEYWORDS", "ambient", "as_enhance", "as_preprocess", "using"]

KEYWORDS = ("preprocess", "enhance", "preset", "tradeoff", "seed", "runtime")
# Each thread and each asyncio task sees its own.
_ambient: ContextVar[dict[str, Any] | None] = ContextVar("compressai_gesso", default=None)


def ambient() -> dict[str, Any]:
    """The keywords that `using` holds ready for models that do not name them."""
    return dict(_ambient.get() or {})


@contextmanager
def using(**keywords: Any) -> Iterator[None]:
    """For code that one cannot edit: ``with using(preset="medium"): legacy_code()``.

    Inside, every model that the zoo's ``gesso-...`` entries build, or that comes from a state
    dict, has these keywords, unless it names them itself. It counts for the running thread or
    asyncio task alone.

    Args:
        keywords: ``preprocess``, ``enhance``, ``preset``, ``tradeoff``, ``seed``, ``runtime``,
            as of :class:`compressai_gesso.Sandwich`.

    Raises:
        InputError: another keyword.
    """
    if odd := set(keywords) - set(KEYWORDS):
        raise InputError(f"no keyword {', '.join(sorted(odd))}; there are {', '.join(KEYWORDS)}")
    token = _ambient.set(ambient() | keywords)
    try:
        yield
    finally:
        _ambient.reset(token)


def as_preprocess(value: object) -> PreprocessOptions | nn.Module | None:
    """What ``preprocess=value`` asks for; None is nothing."""
    if isinstance(value, PreprocessOptions):
        return value
    if value is None or isinstance(value, bool):
        return PreprocessOptions() if value else None
    if isinstance(value, str):
        return PreprocessOptions(model=value)
    from torch import nn

    if isinstance(value, nn.Module):
        return value
    raise InputError(
        "preprocess must be True, False, a model's name, a gesso.PreprocessOptions or a "
        f"torch module, got {value!r}"
    )


def as_enhance(
    value: object, preset: str | None, tradeoff: float | None, seed: int | None
) -> EnhanceOptions | None:
    """What ``enhance=value`` asks for, with what is given beside it; None is nothing."""
    if value is None or value is False:
        return None
    if value is True:
        options = EnhanceOptions()
    elif isinstance(value, str):
        options = EnhanceOptions(preset=value)  # type: ignore[arg-type]  # checked there
    elif isinstance(value, EnhanceOptions):
        options = value
    else:
        raise InputError(
            f"enhance must be True, False, a preset's name or a gesso.EnhanceOptions, got {value!r}"
        )
    said: dict[str, Any] = {"preset": preset, "tradeoff": tradeoff, "seed": seed}
    return replace(options, **{name: each for name, each in said.items() if each is not None})
