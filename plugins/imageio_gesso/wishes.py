"""What a caller asks of a read or a write, checked."""

from __future__ import annotations

from dataclasses import dataclass

from gesso.errors import InputError
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.target import Target

__all__ = ["Look", "as_look", "as_preprocess"]


@dataclass(frozen=True)
class Look:
    """How a picture that is read is enhanced.

    Attributes:
        options: as the hooks receive them.
        codec: what coded it; None is what the file tells.
        quality: on that codec's own scale; None is what the file tells.

    Raises:
        InputError: a codec without a quality.
    """

    options: EnhanceOptions
    codec: str | None = None
    quality: float | None = None

    def __post_init__(self) -> None:
        if self.codec is not None and self.quality is None:
            raise InputError("codec= needs quality=; pass both or neither")

    @property
    def needs_target(self) -> bool:
        """Whether the noise level depends on what the picture was coded with."""
        options = self.options
        return (options.sigma is None or options.faithful is True) and options.tradeoff > 0

    def target(self, codec: str | None, kind: str) -> Target | None:
        """What the caller states; None where that is nothing.

        Args:
            codec: what codes files of this kind; None for those that hold any picture.
            kind: of file, for the message.
        """
        if self.quality is None:
            return None
        name = self.codec or codec
        if name is None:
            raise InputError(f"{kind} does not say what coded its pixels; pass codec=, too")
        return Target(name, float(self.quality))


def as_look(enhance: object, codec: str | None, quality: float | None) -> Look | None:
    """What ``enhance=`` and what goes with it ask for; None is nothing.

    Raises:
        InputError: another value than the keyword takes, or ``codec`` or ``quality`` alone.
    """
    options = _options(enhance)
    if options is not None:
        if quality is not None and (isinstance(quality, bool) or not _is_number(quality)):
            raise InputError(f"quality must be a number, got {quality!r}")
        return Look(options, codec, quality)
    if codec is not None or quality is not None:
        raise InputError(
            "codec= and quality= tell what coded a picture that is to be enhanced; "
            "pass enhance=, too, or leave them out"
        )
    return None


def as_preprocess(value: object) -> PreprocessOptions | None:
    """What ``preprocess=value`` asks for; None is nothing."""
    if isinstance(value, PreprocessOptions):
        return value
    if value is None or isinstance(value, bool):
        return PreprocessOptions() if value else None
    if isinstance(value, str):
        return PreprocessOptions(model=value)
    raise InputError(
        f"preprocess must be True, False, a model's name or a Preprocess, got {value!r}"
    )


def _options(value: object) -> EnhanceOptions | None:
    if isinstance(value, EnhanceOptions):
        return value
    if value is None or isinstance(value, bool):
        return EnhanceOptions() if value else None
    if isinstance(value, str):
        return EnhanceOptions(preset=value)  # type: ignore[arg-type]  # checked there
    raise InputError(f"enhance must be True, False, a preset's name or an Enhance, got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
