"""The user's own command with the frei0r filter in the place of its gesso nodes."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

from ffmpeg_gesso.arguments import Group, Word, groups, inline_scripts, option, parse
from ffmpeg_gesso.filtergraph import Filter, Graph
from ffmpeg_gesso.filtergraph import parse as parse_graph
from ffmpeg_gesso.frei0r.building import NAME
from ffmpeg_gesso.frei0r.held import Held
from ffmpeg_gesso.frei0r.probing import Shown, probe, question
from ffmpeg_gesso.nodes import COMPLEX, ONCE, SIMPLE, coding, graph_of, graphs, has_node
from ffmpeg_gesso.selection import Stream, select
from ffmpeg_gesso.splitting import NODE
from ffmpeg_gesso.wishes import Coding, Wish, coding_of, wish_of
from gesso.errors import InputError

__all__ = ["Course", "course", "reads_stdin"]


@dataclass(frozen=True)
class Course:
    """What is to be run.

    Attributes:
        words: the command for ffmpeg.
        wishes: what is done at each node, by its number.
        outputs: the URLs that it writes.
        widths: of the frames at each node.
    """

    words: tuple[Word, ...]
    wishes: tuple[Wish, ...]
    outputs: tuple[str, ...]
    widths: tuple[int, ...] = ()


def course(arguments: Sequence[str], binary: str, held: Held | None = None) -> Course:
    """Plan the user's command line, given without ffmpeg's name.

    Args:
        arguments: as the user has them.
        binary: ffmpeg.
        held: standard input, for a command that reads it.

    Raises:
        InputError: a graph, node or input that this route cannot serve.
        Refused: ffmpeg does not take the command.
    """
    words = inline_scripts(parse(arguments))
    everything = groups(words)
    for group in everything:
        if group.kind == "input":
            _check_input(group.url)
    urls = tuple(group.url for group in everything if group.kind == "output")
    if not any(graph.named(NODE) for graph in graphs(words).values()):
        return Course(tuple(words), (), urls)

    def reader() -> AbstractContextManager[int]:
        return held.reader() if held else nullcontext(subprocess.DEVNULL)

    with reader() as stdin:
        chosen, _, _ = select(binary, words, stdin)
    words, wishes = _numbered(words, chosen)
    texts = {number: question(number) for number in range(len(wishes))}
    with reader() as stdin:
        shown = probe(binary, _filled(words, texts), len(wishes), stdin)
    for each in shown.values():
        each.check()
    widths = tuple(each.width for each in shown.values())
    return Course(tuple(_filled(words, _treated(shown))), tuple(wishes), urls, widths)


def reads_stdin(arguments: Sequence[str]) -> bool:
    """Whether an input is standard input."""
    return any(word.kind == "input" and word.value in ONCE for word in parse(arguments))


def _check_input(url: str) -> None:
    """InputError for a pipe that is not standard input."""
    path = url.removeprefix("file:")
    if url in ONCE:
        return
    try:
        piped = url.startswith("pipe:") or stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return
    if piped:
        raise InputError(f"{url} can be read only once; hand it over as standard input: -i -")


def _treated(shown: Mapping[int, Shown]) -> dict[int, str]:
    return {
        number: each.through(f"frei0r=filter_name={NAME}:filter_params={number}")
        for number, each in shown.items()
    }


def _numbered(
    words: Sequence[Word], chosen: Mapping[int, Sequence[Stream]]
) -> tuple[list[Word], list[Wish]]:
    """The nodes named ``gesso@0``, ``gesso@1``, ...; a simple graph stands by its stream."""
    wishes: list[Wish] = []
    outputs = [group for group in groups(words) if group.kind == "output"]
    ends = {group.last: group for group in outputs}

    def numbered(graph: Graph, known: Coding) -> str:
        def number(each: Filter) -> str:
            wishes.append(_wish(each, known))
            return f"{NODE}@{len(wishes) - 1}"

        return str(_replaced(graph, number))

    found: list[Word] = []
    for place, word in enumerate(words):
        if word.kind == "option" and word.key in (*COMPLEX, *SIMPLE) and has_node(word):
            if word.key in SIMPLE:
                continue
            text = numbered(parse_graph(word.value or ""), coding(outputs, chosen))
            word = option(word.tokens[0], text)
        if group := ends.get(place):
            for stream, graph in _simple(group, chosen.get(group.index, ())):
                text = numbered(graph, coding_of(group.options, stream.encoder))
                found.append(option(f"-filter:{stream.index}", text))
        found.append(word)
    return found, wishes


def _simple(group: Group, streams: Sequence[Stream]) -> Iterator[tuple[Stream, Graph]]:
    """The streams of an output that go through a simple graph with a node, and that graph."""
    ordinal = 0
    for stream in streams:
        if stream.source is not None:
            graph = graph_of(group, stream, ordinal)
            if graph is not None and graph.named(NODE):
                yield stream, graph
        ordinal += stream.kind == "Video" or stream.source is None


def _wish(node: Filter, known: Coding) -> Wish:
    wish = wish_of(node.arguments, known)
    if wish.batch not in (None, 1):
        raise InputError(
            "--route frei0r has one frame at a time; leave batch out, or --route frei0r"
        )
    return wish


def _filled(words: Sequence[Word], texts: Mapping[int, str]) -> list[Word]:
    """Words of :func:`_numbered` with other filters in the place of the nodes."""

    def text(each: Filter) -> str:
        return texts[int(each.text.partition("@")[2])]

    return [
        option(word.tokens[0], str(_replaced(parse_graph(word.value or ""), text)))
        if word.kind == "option" and word.key in (*COMPLEX, *SIMPLE) and has_node(word)
        else word
        for word in words
    ]


def _replaced(graph: Graph, text: Callable[[Filter], str]) -> Graph:
    chains = [
        tuple(replace(each, text=text(each)) if each.name == NODE else each for each in chain)
        for chain in graph.chains
    ]
    return replace(graph, chains=tuple(chains))
