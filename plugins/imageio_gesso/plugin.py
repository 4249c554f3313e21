"""What the ImageIO plug-in answers to gesso's hooks; imports ImageIO on first use only."""

from __future__ import annotations

from gesso_hooks import Host, hookimpl

__all__ = ["gesso_hosts"]


@hookimpl
def gesso_hosts() -> list[Host]:
    """ImageIO."""
    return [Host("imageio", _register, _unregister, needs="imageio", extra="imageio")]


def _register() -> None:
    from imageio_gesso.registration import register

    register()


def _unregister() -> None:
    from imageio_gesso.registration import unregister

    unregister()
