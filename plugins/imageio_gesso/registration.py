"""Where gesso takes its place among ImageIO's plug-ins, and gives it back."""

from __future__ import annotations

import threading
from typing import Any

import gesso_hooks
from gesso.errors import InputError

__all__ = ["NAME", "register", "unregister"]

NAME = "gesso"
_lock = threading.Lock()
_current: Any = None


def register() -> None:
    """Teach ImageIO ``plugin="gesso"``; without it nothing changes. Safe to call again.

    It stands last in ``imageio.config.known_plugins``, which is also the order in which
    ImageIO tries plug-ins on what no other can open, and no file extension leads to it.

    Raises:
        InputError: ImageIO is not installed, or has another plug-in of that name.
    """
    global _current
    known, configuration = _library()
    gesso_hooks.load()
    with _lock:
        there = known.get(NAME)
        if there is None:
            _current = configuration(
                name=NAME, class_name="GessoPlugin", module_name="imageio_gesso.host"
            )
            known[NAME] = _current
        elif there is not _current:
            raise InputError(
                f"ImageIO has another plug-in named {NAME!r} already; take it out of "
                "imageio.config.known_plugins first"
            )


def unregister() -> None:
    """Take the plug-in out again."""
    global _current
    with _lock:
        if _current is not None:
            known, _ = _library()
            if known.get(NAME) is _current:
                del known[NAME]
            _current = None


def _library() -> tuple[dict[str, Any], Any]:
    """ImageIO's plug-ins, and what describes one."""
    try:
        from imageio.config import known_plugins
        from imageio.config.plugins import PluginConfig
    except ImportError as error:
        raise InputError(
            f"this needs ImageIO ({error}); run: pip install 'gesso[imageio]'"
        ) from error
    return known_plugins, PluginConfig
