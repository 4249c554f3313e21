"""From one command to several: what decodes for each gesso node, and what encodes at last."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from ffmpeg_gesso.arguments import Group, Word, flatten, groups, inline_scripts, option, parse
from ffmpeg_gesso.binary import filter_kinds, pass_through
from ffmpeg_gesso.filtergraph import Filter, Graph
from ffmpeg_gesso.filtergraph import parse as parse_graph
from ffmpeg_gesso.layouts import FORMATS
from ffmpeg_gesso.selection import UNSAID, Stream, select
from ffmpeg_gesso.splitting import NODE, Node, Split, split
from ffmpeg_gesso.wishes import Coding, Wish, coding_of, wish_of
from gesso.errors import InputError

__all__ = ["Command", "Feed", "Opened", "Plan", "plan"]

COMPLEX = ("filter_complex", "lavfi")
SIMPLE = ("vf", "filter")
ONCE = ("-", "pipe:", "pipe:0", "/dev/stdin", "fd:")
# Options of the whole run that change what is decoded or filtered.
_SHARED = (
    "copyts start_at_zero init_hw_device filter_hw_device vaapi_device qsv_device "
    "filter_threads filter_complex_threads dts_delta_threshold dts_error_threshold xerror "
    "max_error_rate ignore_unknown max_alloc cpuflags auto_conversion_filters "
    "noauto_conversion_filters"
)
SHARED = frozenset(_SHARED.split())
SCALER = ("sws_flags", "sws_dither")
QUIET = ("-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning")
RAW = ("-c:v", "rawvideo", "-avoid_negative_ts", "disabled", "-f", "nut", "pipe:1")
TRACK = ("-c:v", "ffv1", "-frames:v", "1", "-flush_packets", "1", "-f", "matroska")
# Nothing of a pipe is skipped, turned or shifted; one frame says all there is to know.
PIPE = (
    *("-f", "matroska", "-noautorotate", "-seek_timestamp", "1"),
    *("-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0"),
)


@dataclass(frozen=True)
class Opened:
    """A pipe of treated frames, ready to be read.

    Attributes:
        descriptor: to read from.
        base: time base of the frames before it was made nanoseconds.
        aspect: sample aspect ratio, as ``setsar`` takes it.
        shift: seconds that were added to every timestamp.
    """

    descriptor: int
    base: Fraction
    aspect: str
    shift: int

    @property
    def head(self) -> str:
        """Filters that give the frames what a pipe cannot carry."""
        return f"settb={self.base},setsar={self.aspect}"

    @property
    def input(self) -> list[str]:
        """The options that open it."""
        offset = ["-itsoffset", str(-self.shift)] if self.shift else []
        return [*PIPE, *offset, "-i", f"pipe:{self.descriptor}"]


Pipes = Mapping["Feed", Opened]


@dataclass(frozen=True, eq=False)
class Command:
    """A process of ffmpeg's.

    Attributes:
        feeds: the pipes that it reads.
        arguments: the command line, once these are open and, for a process that ends in a
            pipe, given the descriptor for the description of its track.
    """

    feeds: Sequence[Feed]
    arguments: Callable[[Pipes, int], list[str]]


@dataclass(frozen=True, eq=False)
class Feed:
    """Frames that go through a gesso node.

    Attributes:
        source: gives them.
        wish: what is done to them.
    """

    source: Command
    wish: Wish


@dataclass(frozen=True)
class Plan:
    """What is to be run.

    Attributes:
        binary: ffmpeg.
        final: the user's command, its nodes replaced by pipes; without a node, as it is.
        outputs: the URLs that it writes.
    """

    binary: str
    final: Command
    outputs: tuple[str, ...]


def plan(arguments: Sequence[str], binary: str) -> Plan:
    """Plan the user's command line, given without ffmpeg's name.

    Raises:
        InputError: a graph, node or input that gesso cannot serve.
        Refused: ffmpeg does not take the command.
    """
    words = parse(arguments)
    if not any(NODE in (word.value or "") or _is_script(word) for word in words):
        return Plan(binary, Command((), lambda pipes, track: [binary, *arguments]), ())
    return _Planner(inline_scripts(words), binary).plan()


def _is_script(word: Word) -> bool:
    return word.loaded or word.key.endswith("_script")


@dataclass
class _Edit:
    """What becomes of one output.

    Attributes:
        maps: its streams, in order: what ``-map`` takes, or the feed.
        filters: by stream, the filters that follow on a feed.
    """

    maps: list[str | Feed] = field(default_factory=list)
    filters: dict[int, tuple[Feed, str]] = field(default_factory=dict)


class _Planner:
    def __init__(self, words: Sequence[Word], binary: str) -> None:
        self.words, self.binary = list(words), binary
        everything = groups(words)
        self.inputs = [group for group in everything if group.kind == "input"]
        self.outputs = [group for group in everything if group.kind == "output"]
        self.kinds = filter_kinds(binary)
        self.last_filter, self.timing = pass_through(binary)
        self.feeds: list[Feed] = []
        self.splits: dict[int, tuple[Split, dict[Node, Feed]]] = {}
        self.edits: dict[int, _Edit] = {}

    def plan(self) -> Plan:
        urls = tuple(group.url for group in self.outputs)
        graphs = self._graphs()
        if not any(graph.named(NODE) for graph in graphs.values()):
            words = self.words
            whole = Command((), lambda pipes, track: [self.binary, *flatten(words)])
            return Plan(self.binary, whole, urls)
        for group in self.inputs:
            if group.url in ONCE:
                raise InputError(
                    f"gesso opens every input twice, which {group.url} cannot be; "
                    "save it to a file first"
                )
        simple = [group for group in self.outputs if self._simple(group)]
        chosen: dict[int, list[Stream]] = {}
        if simple or any(not _has(group, "map") for group in self.outputs):
            chosen = select(self.binary, self.words)
        for place, graph in graphs.items():
            if self.words[place].key in COMPLEX and graph.named(NODE):
                self._split(place, graph, self._coding(None, chosen))
        for group in self.outputs:
            if group in simple or not _has(group, "map"):
                self._edit(group, chosen.get(group.index, []))
        return Plan(self.binary, Command(self.feeds, self._final), urls)

    def _graphs(self) -> dict[int, Graph]:
        return {
            place: parse_graph(word.value)
            for place, word in enumerate(self.words)
            if word.kind == "option" and word.key in (*COMPLEX, *SIMPLE)
            if word.value and NODE in word.value
        }

    def _simple(self, group: Group) -> bool:
        return any(word.key in SIMPLE and _has_node(word) for word in group.options)

    def _coding(self, group: Group | None, chosen: Mapping[int, list[Stream]]) -> Coding:
        """What the output, or the first that encodes video, says of its encoder."""
        for each in [group] if group else self.outputs:
            known = [
                stream.encoder
                for stream in chosen.get(each.index, [])
                if stream.kind == "Video" or stream.source is None
            ]
            coding = coding_of(each.options, known[0] if known else None)
            if coding.encoder != "copy":
                return coding
        return Coding()

    def _split(self, place: int, graph: Graph, coding: Coding) -> None:
        parts = split(graph, f"{place}_")
        wishes = {node: wish_of(node.arguments, coding) for node in parts.nodes}
        made = {node: self._complex(parts, node, wishes) for node in parts.final}
        self.feeds += made.values()
        self.splits[place] = parts, made

    def _complex(self, parts: Split, node: Node, wishes: Mapping[Node, Wish]) -> Feed:
        """The feed of a node of a complex graph; what it needs itself is made for it alone."""
        labels = ("[gesso_end]", "[gesso_track]")
        end = f"{self._tail()},split{''.join(labels)}"
        graph, needed = parts.before(node, end, self.kinds)
        made = {each: self._complex(parts, each, wishes) for each in needed}
        common = [*QUIET, *self._shared(), *flatten(self._words(self.inputs))]

        def arguments(pipes: Pipes, track: int) -> list[str]:
            heads = self._heads(made, pipes, len(self.inputs))
            text = str(replace(graph, chains=(*_chains(heads), *graph.chains)))
            opened = [word for feed in made.values() for word in pipes[feed].input]
            return [
                *(self.binary, *common, *opened, "-filter_complex", text),
                *("-map", labels[0], *self.timing, *RAW),
                *("-map", labels[1], *TRACK, f"pipe:{track}"),
            ]

        return Feed(Command(list(made.values()), arguments), wishes[node])

    def _edit(self, group: Group, streams: Sequence[Stream]) -> None:
        """Say every stream of an output outright, so that no pipe is taken by mistake."""
        edit = _Edit()
        labels = [w.value for w in group.options if w.key == "map" and (w.value or "")[:1] == "["]
        ordinal = 0
        for stream in streams:
            if stream.source is None:
                ordinal += 1
                # what has no label goes to the first output by itself
                edit.maps += [labels.pop(0) or ""] if labels else []
                continue
            graph = self._graph_of(group, stream, ordinal)
            ordinal += stream.kind == "Video"
            if graph is None or not graph.named(NODE):
                edit.maps.append("{}:{}".format(*stream.source))
                continue
            coding = coding_of(group.options, stream.encoder)
            feed, rest = self._chain(graph, group, stream.source, coding)
            self.feeds.append(feed)
            edit.maps.append(feed)
            edit.filters[stream.index] = feed, rest
        self.edits[group.index] = edit

    def _graph_of(self, group: Group, stream: Stream, ordinal: int) -> Graph | None:
        """The last simple graph that names a stream."""
        if stream.kind not in ("Video", "") or stream.encoder == "copy":
            return None
        found = [
            word.value
            for word in group.options
            if word.key in SIMPLE and word.value
            if _names(word, stream, ordinal)
        ]
        return parse_graph(found[-1]) if found else None

    def _chain(
        self, graph: Graph, group: Group, source: tuple[int, int], coding: Coding
    ) -> tuple[Feed, str]:
        """The feed before the last part of a simple graph, and that part."""
        if len(graph.chains) > 1 or any(f.inputs or f.outputs for f in graph.chains[0]):
            raise InputError(
                "a graph in -vf that branches cannot hold gesso; give it to -filter_complex, "
                "with labels for its input and output"
            )
        parts: list[list[Filter]] = [[]]
        wishes: list[Wish] = []
        for each in graph.chains[0]:
            if each.name == NODE:
                wishes.append(wish_of(each.arguments, coding))
                parts.append([])
            else:
                parts[-1].append(each)
        scaler = [w for w in group.options if w.key in SCALER]
        number, stream = source
        texts = [",".join(map(str, part)) for part in parts]
        begin = [*self._shared(), *flatten(self._words([self.inputs[number]]))]
        feed = self._linear(begin, f"0:{stream}", texts[0], scaler, graph.scaler, None, wishes[0])
        for text, wish in zip(texts[1:], wishes[1:], strict=False):
            feed = self._linear(self._shared(), "0:0", text, scaler, graph.scaler, feed, wish)
        return feed, texts[-1]

    def _linear(
        self,
        begin: list[str],
        source: str,
        filters: str,
        options: Sequence[Word],
        scaler: str,
        before: Feed | None,
        wish: Wish,
    ) -> Feed:
        """A feed of one stream through a chain of filters."""

        def arguments(pipes: Pipes, track: int) -> list[str]:
            head = pipes[before].head if before else ""
            text = ",".join(part for part in (head, filters, self._tail()) if part)
            text = f"{scaler};{text}" if scaler else text
            ends = ["-map", source, "-vf", text, *flatten(options), *self.timing]
            opened = pipes[before].input if before else []
            return [
                *(self.binary, *QUIET, *begin, *opened),
                *(*ends, *RAW, *ends, *TRACK, f"pipe:{track}"),
            ]

        return Feed(Command([before] if before else [], arguments), wish)

    def _tail(self) -> str:
        formats = f"format={'|'.join(FORMATS)}"
        return f"{formats},{self.last_filter}" if self.last_filter else formats

    def _shared(self) -> list[str]:
        return flatten(w for w in self.words if w.kind == "option" and w.key in SHARED)

    @staticmethod
    def _words(parts: Sequence[Group]) -> list[Word]:
        return [
            word
            for group in parts
            for word in group.words
            if word.kind != "option" or word.key not in (*COMPLEX, *SHARED, *UNSAID)
        ]

    def _heads(self, made: Mapping[Node, Feed], pipes: Pipes, first: int) -> dict[Node, str]:
        """What stands in place of each node where its pipe is an input."""
        return {
            node: f"[{first + place}:v]{pipes[feed].head}"
            for place, (node, feed) in enumerate(made.items())
        }

    def _final(self, pipes: Pipes, track: int) -> list[str]:
        """The user's command, with pipes for its nodes."""
        first = len(self.inputs)
        place_of = {feed: first + place for place, feed in enumerate(self.feeds)}
        ends = {group.last: group for group in self.outputs}
        after = self.inputs[-1].last if self.inputs else -1
        opened = [word for feed in self.feeds for word in pipes[feed].input]
        found: list[str] = [self.binary, *(opened if after < 0 else [])]
        for place, word in enumerate(self.words):
            group = next((g for g in self.outputs if g.first <= place <= g.last), None)
            edit = self.edits.get(group.index) if group else None
            if place in self.splits:
                word = self._joined(place, pipes, place_of)
            elif edit is not None:
                kept = _kept(word, edit, pipes)
                if kept is None:
                    continue
                word = kept
            if place in ends and edit is not None:
                for each in edit.maps:
                    found += ["-map", each if isinstance(each, str) else f"{place_of[each]}:0"]
                for stream, (feed, rest) in edit.filters.items():
                    text = ",".join(part for part in (pipes[feed].head, rest) if part)
                    found += [f"-filter:{stream}", text]
            found += word.tokens
            if place == after:
                found += opened
        return found

    def _joined(self, place: int, pipes: Pipes, place_of: Mapping[Feed, int]) -> Word:
        parts, made = self.splits[place]
        heads = {node: f"[{place_of[feed]}:v]{pipes[feed].head}" for node, feed in made.items()}
        text = str(parts.after(heads, self.kinds))
        return option(self.words[place].tokens[0], text)


def _chains(heads: Mapping[Node, str]) -> tuple[tuple[Filter, ...], ...]:
    return tuple((Filter(text, outputs=(node.sink,)),) for node, text in heads.items())


def _kept(word: Word, edit: _Edit, pipes: Pipes) -> Word | None:
    """A word of an edited output; None where the edit says it."""
    if word.kind != "option":
        return word
    if word.key == "map" or (word.key in SIMPLE and _has_node(word)):
        return None
    if word.key == "enc_time_base" and word.value in ("demux", "-1") and edit.filters:
        # a pipe has nanoseconds
        base = pipes[next(iter(edit.filters.values()))[0]].base
        return option(word.tokens[0], f"{base.numerator}:{base.denominator}")
    return word


def _has_node(word: Word) -> bool:
    text = word.value or ""
    return NODE in text and bool(parse_graph(text).named(NODE))


def _has(group: Group, key: str) -> bool:
    return any(word.key == key for word in group.options)


def _names(word: Word, stream: Stream, ordinal: int) -> bool:
    """Whether a filter option is for a video stream, the ``ordinal``-th of its output."""
    stated = word.stream or ("v" if word.key == "vf" else "")
    return stated in ("", "v", "V", str(stream.index), f"v:{ordinal}", f"V:{ordinal}")
