"""Every node becomes a frei0r filter of its own; nothing else of the command changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ffmpeg_gesso.arguments import Word, flatten
from ffmpeg_gesso.frei0r import planning
from ffmpeg_gesso.frei0r.planning import Course, course, reads_stdin
from ffmpeg_gesso.frei0r.probing import Shown
from ffmpeg_gesso.selection import Stream
from gesso.errors import InputError

Plan = Callable[..., Course]


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> Plan:
    """``plan(command, *streams)`` where ffmpeg takes these streams for its first output."""
    streams: list[Stream] = []

    def select(*_: Any) -> tuple[dict[int, list[Stream]], dict[Any, Any], set[Any]]:
        return {0: streams}, {}, set()

    def probe(_: str, words: Sequence[Word], count: int, stdin: int) -> dict[int, Shown]:
        text = " ".join(flatten(words))
        assert [f"showinfo@gesso{number}," in text for number in range(count + 1)] == [
            *[True] * count,
            False,
        ]
        return {number: Shown("gbrp", 9, 9) for number in range(count)}

    monkeypatch.setattr(planning, "select", select)
    monkeypatch.setattr(planning, "probe", probe)

    def plan(command: str, *taken: Stream) -> Course:
        streams[:] = taken or [Stream(0, (0, 0), "Video", "libx265")]
        return course(command.split(), "ffmpeg")

    return plan


def node(number: int) -> str:
    filters = f"frei0r=filter_name=gesso:filter_params={number}"
    return f"format=gbrp,format=rgba,{filters},format=gbrp"


def said(found: Course) -> str:
    return " ".join(flatten(found.words))


def test_nodes_of_a_simple_graph(plan: Plan) -> None:
    found = plan("-y -i a.mkv -vf hflip,gesso=identity,gesso=identity=1,vflip -c:a copy b.mkv")
    graph = f"hflip,{node(0)},{node(1)},vflip"
    assert said(found) == f"-y -i a.mkv -c:a copy -filter:0 {graph} b.mkv"
    assert [wish.mode for wish in found.wishes] == ["identity", "identity"]
    assert found.outputs == ("b.mkv",)


def test_each_stream_has_nodes_of_its_own(plan: Plan) -> None:
    streams = [
        Stream(0, (0, 0), "Video", "libx264"),
        Stream(1, (0, 1), "Audio", "aac"),
        Stream(2, (0, 2), "Video", "libx264"),
        Stream(3, (0, 3), "Video", "copy"),
    ]
    found = plan("-i a.mkv -map 0 -vf gesso=identity -c:v:2 copy b.mkv", *streams)
    assert said(found).endswith(f" -filter:0 {node(0)} -filter:2 {node(1)} b.mkv")
    assert "-vf" not in said(found)


def test_a_graph_of_a_stream_without_a_node_stays(plan: Plan) -> None:
    streams = [Stream(0, (0, 0), "Video", "libx264"), Stream(1, (0, 1), "Video", "libx264")]
    words = "-i a.mkv -map 0 -filter:v gesso=identity -filter:v:1 hflip b.mkv"
    assert said(plan(words, *streams)) == (
        f"-i a.mkv -map 0 -filter:v:1 hflip -filter:0 {node(0)} b.mkv"
    )


def test_a_complex_graph(plan: Plan) -> None:
    graph = "[0:v]split[a][b];[a]{}[c];[c][b]hstack,{}[o]"
    words = ("-i a.mkv -filter_complex ", " -map [o] b.mkv")
    found = plan(graph.format("gesso=identity", "gesso=identity").join(words))
    assert said(found) == graph.format(node(0), node(1)).join(words)


def test_a_script(plan: Plan, tmp_path: Path) -> None:
    script = tmp_path / "graph.txt"
    script.write_text("hflip,\ngesso=identity\n")
    assert said(plan(f"-i a.mkv -/filter:v {script} b.mkv")).endswith(f"hflip,{node(0)} b.mkv")


def test_the_target_is_what_the_command_encodes_to(plan: Plan) -> None:
    words = "-i a.mkv -vf gesso=preprocess=1:strength=0.5 -crf 30 b.mkv"
    [wish] = plan(words).wishes
    assert wish.target is not None
    assert (wish.target.codec, wish.target.quality) == ("hevc", 30)
    graph = words.replace("-vf ", "-filter_complex ")
    made = Stream(0, None, "", "libx265")
    assert plan(graph, made).wishes[0].target == wish.target


def test_frames_come_one_by_one(plan: Plan) -> None:
    with pytest.raises(InputError, match="one frame at a time; leave batch out"):
        plan("-i a.mkv -vf gesso=enhance=fast:sigma=0.1:batch=4 b.mkv")


def test_a_command_without_a_node_is_left_alone(plan: Plan) -> None:
    words = "-i gesso.mkv -vf hflip b.mkv"
    assert said(plan(words)) == words


def test_a_pipe_that_is_not_standard_input(plan: Plan, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for url in (str(fifo), "pipe:3"):
        with pytest.raises(InputError, match="can be read only once; hand it over as standard"):
            plan(f"-i {url} -vf gesso=identity b.mkv")


@pytest.mark.parametrize("url", ["-", "pipe:0", "/dev/stdin"])
def test_standard_input_is_known_by_all_its_names(url: str, plan: Plan) -> None:
    assert reads_stdin(["-i", url, "out.mkv"])
    assert not reads_stdin(["-i", "in.mkv", url])
    assert said(plan(f"-i {url} -vf gesso=identity b.mkv")).startswith(f"-i {url} ")
