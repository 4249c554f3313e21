"""Filtergraphs are read as libavfilter reads them, and written so that they mean the same."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ffmpeg_gesso.filtergraph import Filter, Graph, escape, pairs, parse, unescape
from gesso.errors import InputError

TEXT = st.text(alphabet="ab1 =:,;[]'\\\n", max_size=12)
LABEL = st.text(alphabet="abz019:_", min_size=1, max_size=4)
NAME = st.sampled_from(["scale", "gesso", "drawtext", "hstack@one", "split"])


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    arguments = draw(st.none() | TEXT.map(escape))
    name = draw(NAME)
    text = name if arguments is None else f"{name}={arguments}"
    labels = st.lists(LABEL, max_size=2).map(tuple)
    return Filter(text, draw(labels), draw(labels))


GRAPHS = st.builds(
    Graph,
    st.lists(st.lists(filters(), min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(
        tuple
    ),
    st.sampled_from(["", "sws_flags=lanczos+accurate_rnd"]),
)


@given(GRAPHS)
def test_what_is_written_is_read_again(graph: Graph) -> None:
    assert parse(str(graph)) == graph


@given(GRAPHS, st.text(alphabet=" \n\t", max_size=3))
def test_space_between_parts_means_nothing(graph: Graph, space: str) -> None:
    chains = f"{space};{space}".join(
        f"{space},{space}".join(str(each) for each in chain) for chain in graph.chains
    )
    assert parse(f"{space}{chains}{space}").chains == graph.chains


@given(TEXT)
def test_escaped_text_means_itself(text: str) -> None:
    assert unescape(escape(text)) == text


@given(TEXT)
def test_arguments_come_out_as_they_went_in(text: str) -> None:
    [[found]] = parse(f"[a]gesso={escape(text)}[b]").chains
    assert (found.name, found.arguments) == ("gesso", text)
    assert (found.inputs, found.outputs) == (("a",), ("b",))


@example("'  ")
@given(st.text(alphabet="ab=,;[]'\\ :@", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        graph = parse(text)
    except InputError as error:
        assert "filtergraph" in str(error)
    else:
        assert parse(str(graph)) == graph


def test_a_graph_of_everything() -> None:
    text = "sws_flags=bicubic; [0:v] scale=w='min(1280,iw)':h=-2 , gesso=enhance=fast[x] ;[x]null"
    graph = parse(text)
    assert graph.scaler == "sws_flags=bicubic"
    assert [[each.name for each in chain] for chain in graph.chains] == [
        ["scale", "gesso"],
        ["null"],
    ]
    assert graph.chains[0][0].text == "scale=w='min(1280,iw)':h=-2"
    assert graph.named("gesso") == [(0, 1)]


def test_gesso_in_a_text_is_no_node() -> None:
    assert not parse(r"drawtext=text='gesso=1,gesso',scale=1:gesso=2").named("gesso")


def test_substitution_keeps_labels() -> None:
    graph = parse("[a]gesso@x=identity[b],hflip")
    assert str(graph.substitute("gesso", "null")) == "[a]null[b],hflip"


def test_options_of_a_node() -> None:
    assert pairs("enhance=fast:codec=x264:crf=28") == [
        ("enhance", "fast"),
        ("codec", "x264"),
        ("crf", "28"),
    ]
    assert pairs("identity") == [("identity", "1")]
    assert pairs(r"model=C\:/a:seed=1") == [("model", "C:/a"), ("seed", "1")]
    assert pairs("model='a:b'") == [("model", "a:b")]


@pytest.mark.parametrize("text", ["", ",", "a,,b", "[a", "[]a", "a]", "a;;b", "sws_flags=x"])
def test_what_libavfilter_would_not_take(text: str) -> None:
    with pytest.raises(InputError, match="filtergraph"):
        parse(text)
