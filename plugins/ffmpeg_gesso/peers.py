"""Tunings of x265 and x264 for the eye, as alternatives to HEVC stills tuned for no metric."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ffmpeg_gesso.heif import HEVC_ITEM
from ffmpeg_gesso.nal import Syntax
from ffmpeg_gesso.stills import HEVC, StillCodec
from gesso.errors import InputError
from gesso.evaluation.peers.encoders import Encoder
from gesso.evaluation.pipeline import Peer
from gesso.programs import ffmpeg

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["PEERS"]


@dataclass(frozen=True)
class AvcCodec(StillCodec):
    """One intra picture of H.264, whose cropping knows even sides only."""

    def encode(self, image: Image.Image, quality: float) -> bytes:
        """See :class:`StillCodec`; raises InputError for a side that is odd."""
        if image.width % 2 or image.height % 2:
            raise InputError(
                f"{image.width} x {image.height} pixels: H.264 codes even sides only; crop the "
                "picture, or leave x264 out with --only"
            )
        return super().encode(image, quality)


def _x265(*, tune: str = "", params: str) -> StillCodec:
    """HEVC with other decisions. At a constant QP x265 ignores adaptive quantisation, so the
    quality is its constant rate factor, of which about the same QP comes out."""
    settings = (
        f"crf={{qp}}:ipratio=1:keyint=1:total-frames=1:{params}"
        "info=0:vui-timing-info=0:wpp=0:pools=none:frame-threads=1:log-level=error"
    )
    tuned = ("-tune", tune) if tune else ()
    return replace(HEVC, options=("-preset", "veryslow", *tuned, "-x265-params", settings))


PSY = _x265(params="aq-mode=2:psy-rd=2:psy-rdoq=1:")  # x265's defaults for slow presets
GRAIN = _x265(tune="grain", params="")
# Types of the parameter sets, and the end of the stream, of ITU-T H.264, Table 7-1.
AVC_ITEM = replace(HEVC_ITEM, syntax=Syntax((0, 0), (7, 8), bytes([11])))
AVC = AvcCodec(
    "h264",
    ".h264",
    (51.0, 0.0),
    "libx264",
    # the supplemental information, 600 bytes, only tells the settings
    (
        *("-preset", "veryslow", "-tune", "stillimage", "-crf", "{qp}"),
        *("-x264-params", "keyint=1:ipratio=1", "-bsf:v", "filter_units=remove_types=6"),
    ),
    "yuv420p",
    16,
    AVC_ITEM,
)


def _peer(name: str, about: str, codec: StillCodec) -> Peer:
    coder = Encoder(name, codec, codec.encode)
    needs = partial(ffmpeg, codec.encoder, "zscale")
    return Peer(name, "preprocess", about, ("hevc",), coder, needs=needs)


PEERS: tuple[Peer, ...] = (
    _peer("x265-psy", "x265 as it comes: psycho-visual decisions, adaptive quantisation", PSY),
    _peer("x265-grain", "x265, tuned for grain", GRAIN),
    _peer("x264-stillimage", "x264, tuned for still pictures: H.264 in place of HEVC", AVC),
)
