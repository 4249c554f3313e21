"""Host: a library that gesso can be plugged into."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

__all__ = ["Host"]


@dataclass(frozen=True, slots=True)
class Host:
    """The adapter of one host library.

    Attributes:
        name: as users know the host, such as ``pillow``.
        register: plugs gesso in; safe to call twice.
        unregister: takes it out again; the host is as if gesso had never been there.
        needs: import name of the host.
        extra: the extra of ``gesso`` that installs it.
    """

    name: str
    register: Callable[[], None]
    unregister: Callable[[], None]
    needs: str
    extra: str

    @property
    def installed(self) -> bool:
        """Whether the host is there; found without importing it."""
        return find_spec(self.needs) is not None
