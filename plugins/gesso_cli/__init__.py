"""The `gesso` command: the terminal is a host like any other."""

from __future__ import annotations

__all__: list[str] = []
