"""gesso with ffmpeg: HEVC and VVC stills, coded by x265 and VVenC.

>>> from ffmpeg_gesso import HEVC
>>> data = HEVC.encode(picture, 32)  # doctest: +SKIP
"""

from __future__ import annotations

from ffmpeg_gesso.stills import HEVC, STILLS, VVC, StillCodec

__all__ = ["HEVC", "STILLS", "VVC", "StillCodec"]
