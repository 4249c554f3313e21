"""What gesso raises. Every message names the input that is wrong and the mend."""

from __future__ import annotations

__all__ = ["GessoError", "InputError", "ModelError"]


class GessoError(Exception):
    """Base of everything gesso raises on purpose."""


class InputError(GessoError, ValueError):
    """A picture, an option or a file that cannot be used as it is."""


class ModelError(GessoError, RuntimeError):
    """A model that is unknown, missing, damaged or of the wrong kind."""
