"""Plug-ins for gesso: the hooks, and the functions that hosts call."""

from __future__ import annotations

from gesso_hooks.host import Host
from gesso_hooks.manager import (
    PluginWarning,
    add_commands,
    after_decode,
    before_encode,
    hosts,
    load,
    peers,
)
from gesso_hooks.specs import hookimpl

__all__ = [
    "Host",
    "PluginWarning",
    "add_commands",
    "after_decode",
    "before_encode",
    "hookimpl",
    "hosts",
    "load",
    "peers",
]
