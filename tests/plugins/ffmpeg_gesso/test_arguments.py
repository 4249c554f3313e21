"""The command line is taken apart into words and put together again unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmpeg_gesso.arguments import flatten, groups, inline_scripts, parse
from gesso.errors import InputError

LINE = (
    "-y -ss 3 -i in.mp4 -i other.mkv -map 0:v -c:v:0 libx265 -crf 28 -an -shortest out.mp4 "
    "-vf gesso=identity -/filter:a f.txt - -hide_banner"
)
COMMAND = LINE.split()


def test_words_and_groups() -> None:
    words = parse(COMMAND)
    assert flatten(words) == COMMAND
    found = groups(words)
    assert [(each.kind, each.index, each.url) for each in found] == [
        ("input", 0, "in.mp4"),
        ("input", 1, "other.mkv"),
        ("output", 0, "out.mp4"),
        ("output", 1, "-"),
    ]
    [codec] = [word for word in found[2].options if word.key == "c"]
    assert (codec.stream, codec.value) == ("v:0", "libx265")
    assert found[3].options[-1].loaded


@given(st.lists(st.text(alphabet="-abiv:/ y", max_size=4), max_size=8))
def test_nothing_is_lost(arguments: list[str]) -> None:
    try:
        assert flatten(parse(arguments)) == arguments
    except InputError as error:
        assert "lacks its value" in str(error)


def test_an_option_without_its_value() -> None:
    with pytest.raises(InputError, match="-crf lacks its value"):
        parse(["-i", "a", "-crf"])


@pytest.mark.parametrize(
    ("option", "plain"),
    [
        ("-/filter:v", "-filter:v"),
        ("-/vf", "-vf"),
        ("-filter_script:v:0", "-filter:v:0"),
        ("-/filter_complex", "-filter_complex"),
        ("-filter_complex_script", "-filter_complex"),
    ],
)
def test_scripts_of_either_spelling(option: str, plain: str, tmp_path: Path) -> None:
    script = tmp_path / "graph.txt"
    script.write_text("hflip,\n gesso=identity\n", encoding="utf-8")
    assert flatten(inline_scripts(parse([option, str(script)]))) == [
        plain,
        "hflip,\n gesso=identity",
    ]


def test_a_script_that_is_not_there() -> None:
    with pytest.raises(InputError, match=r"filter script nowhere\.txt"):
        inline_scripts(parse(["-/vf", "nowhere.txt"]))


def test_other_files_of_options_stay() -> None:
    words = ["-/metadata", "title.txt", "-filter_script:a", "x"]
    assert flatten(inline_scripts(parse(words[:2]))) == words[:2]
