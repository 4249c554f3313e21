"""Which graphs of a command line hold gesso nodes, and what the command says about each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ffmpeg_gesso.arguments import Group, Word
from ffmpeg_gesso.filtergraph import Graph, parse
from ffmpeg_gesso.selection import Stream
from ffmpeg_gesso.splitting import NODE
from ffmpeg_gesso.wishes import Coding, coding_of

__all__ = ["COMPLEX", "ONCE", "SIMPLE", "coding", "graph_of", "graphs", "has_node", "is_idle"]

COMPLEX = ("filter_complex", "lavfi")
SIMPLE = ("vf", "filter")
# Inputs that are there once: standard input by all its names.
ONCE = ("-", "pipe:", "pipe:0", "/dev/stdin", "fd:")


def is_idle(words: Sequence[Word]) -> bool:
    """Whether no word can hold a node: ffmpeg gets the command as it is."""
    return not any(NODE in (word.value or "") or _is_script(word) for word in words)


def graphs(words: Sequence[Word]) -> dict[int, Graph]:
    """The filtergraphs that speak of gesso, by the place of their word."""
    return {
        place: parse(word.value)
        for place, word in enumerate(words)
        if word.kind == "option" and word.key in (*COMPLEX, *SIMPLE)
        if word.value and NODE in word.value
    }


def has_node(word: Word) -> bool:
    """Whether a word's value is a graph with a node."""
    text = word.value or ""
    return NODE in text and bool(parse(text).named(NODE))


def graph_of(group: Group, stream: Stream, ordinal: int) -> Graph | None:
    """The last simple graph that names a stream, the ``ordinal``-th video of its output."""
    if stream.kind not in ("Video", "") or stream.encoder == "copy":
        return None
    found = [
        word.value
        for word in group.options
        if word.key in SIMPLE and word.value
        if _names(word, stream, ordinal)
    ]
    return parse(found[-1]) if found else None


def coding(outputs: Sequence[Group], chosen: Mapping[int, Sequence[Stream]]) -> Coding:
    """What the first output that encodes video says of its encoder."""
    for each in outputs:
        known = [
            stream.encoder
            for stream in chosen.get(each.index, [])
            if stream.kind == "Video" or stream.source is None
        ]
        found = coding_of(each.options, known[0] if known else None)
        if found.encoder != "copy":
            return found
    return Coding()


def _is_script(word: Word) -> bool:
    return word.loaded or word.key.endswith("_script")


def _names(word: Word, stream: Stream, ordinal: int) -> bool:
    stated = word.stream or ("v" if word.key == "vf" else "")
    return stated in ("", "v", "V", str(stream.index), f"v:{ordinal}", f"V:{ordinal}")
