"""NAL units: what HEVC (ITU-T H.265) and VVC (H.266) streams are made of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["HEVC_SYNTAX", "VVC_SYNTAX", "Syntax"]

START = b"\0\0\0\1"


@dataclass(frozen=True)
class Syntax:
    """How one of the two standards writes the header of a unit.

    Attributes:
        at: byte of the header that holds ``nal_unit_type``, and its shift to the right.
        parameters: types of the parameter sets, in the order in which they are sent.
        end: the end-of-bitstream unit.
    """

    at: tuple[int, int]
    parameters: tuple[int, ...]
    end: bytes

    def kind(self, unit: bytes) -> int:
        """``nal_unit_type`` of a unit of two bytes or more."""
        byte, shift = self.at
        return unit[byte] >> shift & 63

    def units(self, stream: bytes) -> list[bytes]:
        """The units of an Annex B stream, the end-of-bitstream unit left out.

        What comes before the first start code is no part of it: VVenC prints warnings there.
        """
        found = (unit.rstrip(b"\0") for unit in re.split(b"\0\0\1", stream)[1:])
        return [unit for unit in found if unit and unit != self.end]

    def stream(self, units: Iterable[bytes], *, ended: bool) -> bytes:
        """The Annex B stream of units; ``ended`` appends the end-of-bitstream unit.

        Decoders conceal a stream that is cut short; that unit alone tells a whole one.
        """
        body = b"".join(START + unit for unit in units)
        return body + START[1:] + self.end if ended else body


# VPS, SPS, PPS; EOB_NUT is 37 (H.265, Table 7-1).
HEVC_SYNTAX = Syntax((0, 1), (32, 33, 34), bytes([37 << 1, 1]))
# VPS, SPS, PPS; EOB_NUT is 22 (H.266, Table 5). Adaptation sets stay with the picture.
VVC_SYNTAX = Syntax((1, 3), (14, 15, 16), bytes([0, 22 << 3 | 1]))
