"""How the samples of ffmpeg's planar pixel formats lie in memory."""

from __future__ import annotations

from dataclasses import dataclass

from gesso.errors import InputError

__all__ = ["FORMATS", "HIGH", "RGB", "Layout", "layout_of"]

RGB = ("gbr", "rgb", "bgr")  # families
HIGH = 720  # lines from which pictures that do not say are taken for BT.709


@dataclass(frozen=True)
class Layout:
    """How the samples of a pixel format lie in memory, planes one after another.

    Attributes:
        name: ffmpeg's.
        code: four characters that name it in a file.
        family: ``yuv``, ``gray``, ``gbr``, or ``rgb`` and ``bgr`` of one plane.
        depth: bits of a sample.
        across: log2 of the luma samples per chroma sample in a row.
        down: the same in a column.
        alpha: whether a plane of it follows.
    """

    name: str
    code: bytes
    family: str
    depth: int
    across: int = 0
    down: int = 0
    alpha: bool = False

    def planes(self, width: int, height: int) -> list[tuple[int, int]]:
        """(height, samples of a row) of each plane."""
        chroma = -(-height >> self.down), -(-width >> self.across)
        whole = (height, width)
        if self.family in ("rgb", "bgr"):
            return [(height, width * (3 + self.alpha))]
        colour = {"gray": [whole], "gbr": [whole] * 3, "yuv": [whole, chroma, chroma]}
        return colour[self.family] + [whole] * self.alpha

    def size(self, width: int, height: int) -> int:
        """Bytes of one picture."""
        return sum(h * w for h, w in self.planes(width, height)) * (1 + (self.depth > 8))


def _layouts() -> list[Layout]:
    found: list[Layout] = []
    chroma = {"420": (b"\x0b", 1, 1), "422": (b"\x0a", 1, 0), "444": (b"\0", 0, 0)}
    eight = {"420": b"I420", "422": b"Y42B", "444": b"444P"}
    for depth in (8, 9, 10, 12, 14, 16):
        tail = "" if depth == 8 else f"{depth}le"
        for name, (sign, across, down) in chroma.items():
            code = eight[name] if depth == 8 else b"Y3" + sign + bytes([depth])
            found.append(Layout(f"yuv{name}p{tail}", code, "yuv", depth, across, down))
            if depth in (8, 10, 16):
                code = b"Y4" + sign + bytes([depth])
                found.append(Layout(f"yuva{name}p{tail}", code, "yuv", depth, across, down, True))
        if depth in (8, 10, 12, 16):
            code = b"Y800" if depth == 8 else b"Y1\0" + bytes([depth])
            found.append(Layout(f"gray{tail}", code, "gray", depth))
        found.append(Layout(f"gbrp{tail}", b"G3\0" + bytes([depth]), "gbr", depth))
    found += [
        Layout("rgb24", b"RGB\x18", "rgb", 8),
        Layout("bgr24", b"BGR\x18", "bgr", 8),
        Layout("rgba", b"RGBA", "rgb", 8, alpha=True),
        Layout("bgra", b"BGRA", "bgr", 8, alpha=True),
    ]
    return found


FORMATS = {layout.name: layout for layout in _layouts()}
# ffmpeg's older names of full range; the range is stated beside them.
FORMATS |= {f"yuvj{name}p": FORMATS[f"yuv{name}p"] for name in ("420", "422", "444")}


def layout_of(name: str) -> Layout:
    """The layout of a pixel format; InputError for one that gesso does not take."""
    if name not in FORMATS:
        raise InputError(f"pixel format {name} cannot be treated; put format= before gesso")
    return FORMATS[name]
