"""What comes to each gesso node: asked of ffmpeg's own filter showinfo, on the first frames."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffmpeg_gesso.arguments import Word
from ffmpeg_gesso.layouts import FORMATS, HIGH, RGB, Layout, layout_of
from ffmpeg_gesso.selection import Refused, rehearse
from gesso.errors import InputError

__all__ = ["Shown", "probe", "question"]

FRAME = re.compile(r"^\[\S*gesso(\d+) @ \S+ n: *\d+ .*?\bfmt:(\S+).*?\bs:(\d+)x(\d+)", re.M)
COLOUR = re.compile(
    r"^\[\S*gesso(\d+) @ \S+ color_range:(\S+) color_space:(\S+) color_primaries:(\S+) "
    r"color_trc:(\S+)",
    re.M,
)
MEND = "take the exact route, which keeps them: leave --route frei0r out"
HDR = ("smpte2084", "arib-std-b67")
# As showinfo and setparams have them, and as scale has them.
MATRICES = {
    "bt709": "bt709",
    "fcc": "fcc",
    "bt470bg": "bt470",
    "smpte170m": "smpte170m",
    "smpte240m": "smpte240m",
}
# Chroma is interpolated where there is less of it, and luma comes back as it was wherever
# the colour is one of RGB.
SCALER = "flags=bicubic+accurate_rnd+full_chroma_int:interl=-1"


@dataclass(frozen=True)
class Shown:
    """The frames at a node, as ffmpeg names these things.

    Attributes:
        pixels: their format.
        width, height: in pixels.
        span: range of the samples, ``tv``, ``pc`` or ``unknown``.
        matrix, primaries, transfer: ``unknown`` where nothing says.
    """

    pixels: str
    width: int
    height: int
    span: str = "unknown"
    matrix: str = "unknown"
    primaries: str = "unknown"
    transfer: str = "unknown"

    @property
    def layout(self) -> Layout:
        """Of the samples."""
        return layout_of(self.pixels)

    def check(self) -> None:
        """InputError for frames that 8-bit RGBA would ruin, or that cannot be RGB."""
        if self.layout.depth > 8:
            raise InputError(
                f"--route frei0r has 8 bits, and the frames at gesso have {self.layout.depth} "
                f"({self.pixels}); {MEND}"
            )
        wide = self.matrix.startswith("bt2020") or self.primaries == "bt2020"
        if wide or self.transfer in HDR:
            told = "/".join((self.matrix, self.primaries, self.transfer))
            raise InputError(
                f"--route frei0r has no HDR and no wide gamut, and the frames at gesso are {told}; "
                f"{MEND}"
            )
        known = (*MATRICES, "unknown", "reserved")
        if self.layout.family == "yuv" and self.matrix not in known:
            raise InputError(
                f"colour matrix {self.matrix} cannot be treated; convert before gesso, as by "
                "scale=out_color_matrix=bt709"
            )

    def through(self, filters: str) -> str:
        """The chain that brings the frames as RGBA to ``filters``, and back to what they were."""
        if self.layout.family in RGB:
            return f"format={self.pixels},format=rgba,{filters},format={self.pixels}"
        matrix = MATRICES.get(self.matrix, "bt709" if self.height >= HIGH else "bt601")
        span = "pc" if self.span == "pc" or self.pixels.startswith("yuvj") else "tv"
        there = f"scale=in_color_matrix={matrix}:in_range={span}:{SCALER}"
        back = f"scale=out_color_matrix={matrix}:out_range={span}:{SCALER}"
        said = f"setparams=range={self.span}:colorspace={self.matrix}"
        return (
            f"format={self.pixels},{there},format=rgba,{filters},{back},format={self.pixels},{said}"
        )


def question(number: int) -> str:
    """The filters that stand in the place of a node while ffmpeg is asked."""
    # The last lets the frames come as they are, whatever the filters behind it want.
    return f"format={'|'.join(FORMATS)},showinfo@gesso{number},scale"


def probe(
    binary: str, words: Sequence[Word], count: int, stdin: int = subprocess.DEVNULL
) -> dict[int, Shown]:
    """What comes to each node.

    Args:
        binary: ffmpeg.
        words: the command, with :func:`question` in the place of its nodes.
        count: of these.
        stdin: what an input that is standard input is read from.

    Raises:
        Refused: ffmpeg fails before.
        InputError: no frame came to a node.
    """
    code, said = rehearse(binary, words, stdin)
    found = read(said)
    if len(found) < count:
        if code:
            raise Refused(code, said)
        raise InputError("no frame came to gesso; look at the input and the filters before it")
    return found


def read(said: str) -> dict[int, Shown]:
    """What showinfo said of the first frame of each node."""
    colours: Mapping[str, tuple[str, ...]] = {
        number: rest for number, *rest in reversed(COLOUR.findall(said))
    }
    return {
        int(number): Shown(pixels, int(width), int(height), *colours.get(number, ()))
        for number, pixels, width, height in reversed(FRAME.findall(said))
    }
