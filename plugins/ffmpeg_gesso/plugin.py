"""What the ffmpeg plug-in answers to gesso's hooks; looks for ffmpeg on first use only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffmpeg_gesso.stills import STILLS
from gesso.codec import Codec
from gesso_hooks import hookimpl

if TYPE_CHECKING:
    from gesso.evaluation.pipeline import Peer

__all__ = ["gesso_codecs", "gesso_peers"]


@hookimpl
def gesso_codecs() -> list[Codec]:
    """HEVC and VVC stills."""
    return list(STILLS)


@hookimpl
def gesso_peers() -> list[Peer]:
    """x265 and x264 tuned for the eye."""
    from ffmpeg_gesso.peers import PEERS

    return list(PEERS)
