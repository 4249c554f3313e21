"""What the ffmpeg plug-in answers to gesso's hooks; looks for ffmpeg on first use only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffmpeg_gesso.stills import STILLS
from gesso.codec import Codec
from gesso_hooks import Host, hookimpl

if TYPE_CHECKING:
    import typer

    from gesso.evaluation.pipeline import Peer

__all__ = ["gesso_codecs", "gesso_commands", "gesso_hosts", "gesso_peers"]


@hookimpl
def gesso_codecs() -> list[Codec]:
    """HEVC and VVC stills."""
    return list(STILLS)


@hookimpl
def gesso_peers() -> list[Peer]:
    """x265 and x264 tuned for the eye."""
    from ffmpeg_gesso.peers import PEERS

    return list(PEERS)


@hookimpl
def gesso_commands(app: typer.Typer) -> None:
    """``gesso ffmpeg``, and ``gesso bench`` with ``ffmpeg``, ``flicker`` and ``video``."""
    from ffmpeg_gesso.command import add

    add(app)


@hookimpl
def gesso_hosts() -> list[Host]:
    """ffmpeg-python."""
    return [Host("ffmpeg", _register, _unregister, needs="ffmpeg", extra="ffmpeg")]


def _register() -> None:
    from ffmpeg_gesso.library import register

    register()


def _unregister() -> None:
    from ffmpeg_gesso.library import unregister

    unregister()
