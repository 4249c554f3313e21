"""Graphs are cut at their nodes; nothing is left without an end."""

from __future__ import annotations

import pytest

from ffmpeg_gesso.filtergraph import parse
from ffmpeg_gesso.splitting import split
from gesso.errors import InputError


def kinds(name: str) -> str:
    return "A" if name.startswith("a") else "V"


def test_a_chain() -> None:
    parts = split(parse("[0:v]scale=9:9,gesso=identity,hflip[o]"), "0_")
    [node] = parts.nodes
    before, needed = parts.before(node, "null[end]", kinds)
    assert needed == []
    assert str(before) == f"[{node.source}]null[end];[0:v]scale=9:9[{node.source}]"
    after = parts.after({node: "[1:v]settb=1/9"}, kinds)
    assert str(after) == f"[1:v]settb=1/9[{node.sink}];[{node.sink}]hflip[o]"


def test_a_node_alone_takes_and_gives_whatever_is_free() -> None:
    parts = split(parse("gesso=identity"), "0_")
    [node] = parts.final
    assert str(parts.before(node, "null[end]", kinds)[0]) == "null[end]"
    assert str(parts.after({node: "[1:v]null"}, kinds)) == "[1:v]null"


def test_labels_come_before_what_is_linked() -> None:
    parts = split(parse("gesso=identity,[y]overlay"), "0_")
    [node] = parts.nodes
    assert str(parts.chains[0][0]) == f"[y][{node.sink}]overlay"


def test_what_nothing_takes_is_drained() -> None:
    graph = parse("[0:v]split[a][b];[0:a]asplit[s][t];[a]gesso=identity[c];[b][c]hstack[o]")
    parts = split(graph, "0_")
    [node] = parts.final
    before, _ = parts.before(node, "null[end]", kinds)
    assert str(before) == "[a]null[end];[0:v]split[a][b];[b]nullsink"
    after = str(parts.after({node: "[1:v]null"}, kinds))
    assert after == ("[1:v]null[c];[0:a]asplit[s][t];[b][c]hstack[o];[0:v]split[a][b];[a]nullsink")


def test_a_node_behind_a_node() -> None:
    parts = split(parse("[0:v]gesso=identity,hflip,gesso=identity[o]"), "0_")
    first, second = parts.nodes
    assert parts.final == [second]
    _, needed = parts.before(second, "null[end]", kinds)
    assert needed == [first]


def test_a_node_straight_behind_a_node() -> None:
    parts = split(parse("gesso=identity,gesso=identity"), "0_")
    first, second = parts.nodes
    assert first.sink == second.source
    assert parts.before(second, "null[end]", kinds)[1] == [first]


def test_sound_from_a_filter_of_both_kinds() -> None:
    graph = parse("[0:v][0:a][1:v][1:a]concat=n=2:v=1:a=1[v][a];[v]gesso=identity[o]")
    parts = split(graph, "0_")
    before, _ = parts.before(parts.nodes[0], "null[end]", kinds)
    assert str(before).endswith(";[a]anullsink")


@pytest.mark.parametrize("text", ["[a][b]gesso", "[a]gesso[b][c]", "hflip,[a]gesso"])
def test_a_node_has_one_of_each(text: str) -> None:
    with pytest.raises(InputError, match="one input and one output"):
        split(parse(text), "0_")


def test_a_label_that_nothing_gives() -> None:
    parts = split(parse("[x]hflip,gesso[o]"), "0_")
    with pytest.raises(InputError, match=r"no filter gives \[x\]"):
        parts.before(parts.nodes[0], "null[end]", kinds)
