"""gesso with ffmpeg: ``gesso=...`` in filtergraphs, and HEVC and VVC stills.

>>> import ffmpeg_gesso
>>> ffmpeg_gesso.register()  # teaches ffmpeg-python  # doctest: +SKIP
>>> data = ffmpeg_gesso.HEVC.encode(picture, 32)  # doctest: +SKIP
"""

from __future__ import annotations

from ffmpeg_gesso.library import RunError, register, run, unregister
from ffmpeg_gesso.stills import HEVC, STILLS, VVC, StillCodec

__all__ = [
    "HEVC",
    "STILLS",
    "VVC",
    "RunError",
    "StillCodec",
    "register",
    "run",
    "unregister",
]
