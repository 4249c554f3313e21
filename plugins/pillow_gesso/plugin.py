"""What the Pillow plug-in answers to gesso's hooks; imports Pillow on first use only."""

from __future__ import annotations

from gesso.codec import PILLOW_CODECS, Codec
from gesso_hooks import Host, hookimpl
from pillow_gesso.heic import HEIC

__all__ = ["gesso_codecs", "gesso_hosts"]


@hookimpl
def gesso_codecs() -> list[Codec]:
    """JPEG, WebP, AVIF and HEIC."""
    return [*PILLOW_CODECS, HEIC]


@hookimpl
def gesso_hosts() -> list[Host]:
    """Pillow itself."""
    return [Host("pillow", _register, _unregister, needs="PIL", extra="pillow")]


def _register() -> None:
    from pillow_gesso.registration import register

    register()


def _unregister() -> None:
    from pillow_gesso.registration import unregister

    unregister()
