"""What showinfo says is understood, and what 8 bits would ruin is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ffmpeg_gesso.frei0r import probing
from ffmpeg_gesso.frei0r.probing import Shown, probe, question, read
from ffmpeg_gesso.selection import Refused
from gesso.errors import InputError

SAID = """Stream mapping:
[showinfo@gesso0 @ 0x7fef] config in time_base: 1/1000, frame_rate: 25/1
[showinfo@gesso0 @ 0x7fef] n:   0 pts:      0 pts_time:0       duration:     40 \
duration_time:0.04    fmt:yuv420p cl:left sar:1/1 s:80x60 i:P iskey:1 type:I checksum:147AF08E
[showinfo@gesso0 @ 0x7fef]   side data - something
[showinfo@gesso1 @ 0x7fee] n:   0 pts:      0 pts_time:0       pos:    719 \
fmt:gbrp sar:1/1 s:7x5 i:P iskey:1
[showinfo@gesso0 @ 0x7fef] color_range:tv color_space:bt709 color_primaries:bt470bg \
color_trc:unknown
[showinfo@mine @ 0x7fec] n:   0 pts: 0 fmt:gray s:1x1
[showinfo@gesso0 @ 0x7fef] n:   1 pts:     40 pts_time:0.04 fmt:yuv444p cl:left s:40x30 i:P
[showinfo@gesso0 @ 0x7fef] color_range:pc color_space:fcc color_primaries:fcc color_trc:fcc
"""
FIRST = Shown("yuv420p", 80, 60, "tv", "bt709", "bt470bg", "unknown")


def test_the_first_frame_of_each_node_counts() -> None:
    assert read(SAID) == {0: FIRST, 1: Shown("gbrp", 7, 5)}


def test_fewer_than_there_are_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    answers: list[tuple[int, str]] = [(0, SAID), (0, SAID), (187, "no good")]

    def rehearse(*_: Any) -> tuple[int, str]:
        return answers.pop(0)

    monkeypatch.setattr(probing, "rehearse", rehearse)
    assert len(probe("ffmpeg", [], 2)) == 2
    with pytest.raises(InputError, match="no frame came to gesso"):
        probe("ffmpeg", [], 3)
    with pytest.raises(Refused) as refused:
        probe("ffmpeg", [], 1)
    assert (refused.value.code, refused.value.said) == (187, "no good")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": "yuv420p10le"}, r"8 bits, and the frames at gesso have 10 .*exact route"),
        ({"pixels": "gray16le"}, "have 16"),
        ({"transfer": "smpte2084"}, r"no HDR .* bt709/bt470bg/smpte2084; take the exact route"),
        ({"transfer": "arib-std-b67"}, "no HDR"),
        ({"primaries": "bt2020"}, "no wide gamut"),
        ({"matrix": "bt2020nc"}, "no wide gamut"),
        ({"matrix": "ycgco"}, "colour matrix ycgco cannot be treated"),
    ],
)
def test_what_is_refused(change: dict[str, str], message: str) -> None:
    FIRST.check()
    Shown("rgb24", 9, 9, "pc", "gbr").check()
    with pytest.raises(InputError, match=message):
        replace(FIRST, **change).check()


def test_the_way_to_rgba_and_back_is_the_same() -> None:
    there, back = FIRST.through("X").split(",X,")
    assert there.startswith("format=yuv420p,scale=in_color_matrix=bt709:in_range=tv:")
    assert there.endswith(",format=rgba")
    assert back.startswith("scale=out_color_matrix=bt709:out_range=tv:")
    assert back.endswith(",format=yuv420p,setparams=range=tv:colorspace=bt709")


def test_what_nothing_says_is_not_said_afterwards_either() -> None:
    shown = Shown("yuv420p", 1920, 1080)
    assert "in_color_matrix=bt709:in_range=tv" in shown.through("X")
    assert shown.through("X").endswith("setparams=range=unknown:colorspace=unknown")
    assert "out_color_matrix=bt601" in replace(shown, height=480).through("X")
    assert "out_range=pc" in replace(shown, pixels="yuvj420p").through("X")


def test_rgb_has_no_matrix() -> None:
    assert Shown("gbrp", 7, 5).through("X") == "format=gbrp,format=rgba,X,format=gbrp"


def test_the_question_leaves_the_format_to_the_source() -> None:
    assert question(3).endswith(",showinfo@gesso3,scale")
