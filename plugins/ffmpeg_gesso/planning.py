"""From one command to several: what decodes for each gesso node, and what encodes at last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ffmpeg_gesso.arguments import Group, Word, flatten, groups, inline_scripts, option, parse
from ffmpeg_gesso.binary import filter_kinds, pass_through
from ffmpeg_gesso.feeds import Command, Feed, Pipes, Plan
from ffmpeg_gesso.filtergraph import Filter, Graph
from ffmpeg_gesso.layouts import FORMATS
from ffmpeg_gesso.nodes import COMPLEX, ONCE, SIMPLE, coding, graph_of, graphs, has_node, is_idle
from ffmpeg_gesso.selection import UNSAID, Stream, select
from ffmpeg_gesso.splitting import NODE, Node, Split, split
from ffmpeg_gesso.wishes import Coding, Wish, coding_of, wish_of
from gesso.errors import InputError

__all__ = ["plan"]

# Options of the whole run that change what is decoded or filtered.
_SHARED = (
    "copyts start_at_zero init_hw_device filter_hw_device vaapi_device qsv_device "
    "filter_threads filter_complex_threads dts_delta_threshold dts_error_threshold xerror "
    "max_error_rate ignore_unknown max_alloc cpuflags auto_conversion_filters "
    "noauto_conversion_filters"
)
SHARED = frozenset(_SHARED.split())
QUIET = ("-hide_banner", "-nostdin", "-nostats", "-loglevel")
QUIETER = ("quiet", "panic", "fatal", "error")
RAW = ("-c:v", "rawvideo", "-avoid_negative_ts", "disabled")
PIXELS = ("-f", "nut", "pipe:1")
# Time base, aspect, timestamps and durations as text; NUT changes the first, drops the last.
TIMES = ("-flush_packets", "1", "-f", "framecrc")
CORNER = "crop=w='min(2,iw)':h='min(2,ih)':x=0:y=0"
# Matroska takes any raw format, and is silent, where the tag is one that it knows.
TRACK = (
    *("-frames:v", "1", "-tag:v", "I420", "-allow_raw_vfw", "1"),
    *("-flush_packets", "1", "-f", "matroska"),
)
# Streams that the user's command reads count for where time begins and where -ss leads to.
# One packet does; a stream that has none to copy must not hold up the end.
ALONG = (
    *("-c", "copy", "-copyinkf", "-t", "1", "-frames:v", "1", "-frames:a", "1"),
    *("-frames:s", "1", "-frames:d", "1"),
)


def plan(arguments: Sequence[str], binary: str) -> Plan:
    """Plan the user's command line, given without ffmpeg's name.

    Raises:
        InputError: a graph, node or input that gesso cannot serve.
        Refused: ffmpeg does not take the command.
    """
    words = parse(arguments)
    if is_idle(words):
        return Plan(binary, Command((), lambda pipes, notes: [binary, *arguments]), ())
    return _Planner(inline_scripts(words), binary).plan()


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
        self.kinds, self.is_source = filter_kinds(binary)
        self.last_filter, self.timing = pass_through(binary)
        self.feeds: list[Feed] = []
        self.splits: dict[int, tuple[Split, dict[Node, Feed]]] = {}
        self.edits: dict[int, _Edit] = {}
        self.used: dict[tuple[int, int], str] = {}
        self.fed: set[tuple[int, int]] = set()
        self.unlabelled = False

    def plan(self) -> Plan:
        urls = tuple(group.url for group in self.outputs)
        found = graphs(self.words)
        if not any(graph.named(NODE) for graph in found.values()):
            words = self.words
            whole = Command((), lambda pipes, notes: [self.binary, *flatten(words)])
            return Plan(self.binary, whole, urls)
        for group in self.inputs:
            if group.url in ONCE:
                raise InputError(
                    f"gesso opens every input twice, which {group.url} cannot be; "
                    "save it to a file first, or take --route frei0r"
                )
        simple = [group for group in self.outputs if self._simple(group)]
        chosen, self.used, self.fed = select(self.binary, self.words)
        self.unlabelled = any(
            not chain[0].inputs and not self.is_source(chain[0].name)
            for place, graph in found.items()
            if self.words[place].key in COMPLEX
            for chain in graph.chains
        )
        for place, graph in found.items():
            if self.words[place].key in COMPLEX and graph.named(NODE):
                self._split(place, graph, coding(self.outputs, chosen))
        for group in self.outputs:
            if group in simple or not _has(group, "map"):
                self._edit(group, chosen.get(group.index, []))
        return Plan(self.binary, Command(self.feeds, self._final), urls)

    def _simple(self, group: Group) -> bool:
        return any(word.key in SIMPLE and has_node(word) for word in group.options)

    def _split(self, place: int, graph: Graph, known: Coding) -> None:
        parts = split(graph, f"{place}_")
        wishes = {node: wish_of(node.arguments, known) for node in parts.nodes}
        made = {node: self._complex(parts, node, wishes) for node in parts.final}
        self.feeds += made.values()
        self.splits[place] = parts, made

    def _complex(self, parts: Split, node: Node, wishes: Mapping[Node, Wish]) -> Feed:
        """The feed of a node of a complex graph; what it needs itself is made for it alone."""
        end = f"{self._tail()},split=3[gesso_end][gesso_all][gesso_track]"
        graph, needed = parts.before(node, end, self.kinds)
        made = {each: self._complex(parts, each, wishes) for each in needed}
        begin = [*self._quiet(), *self._shared(), *flatten(self._words(self.inputs))]

        def arguments(pipes: Pipes, notes: tuple[int, int]) -> list[str]:
            heads = {
                each: f"[{len(self.inputs) + place}:v]{pipes[feed].head}"
                for place, (each, feed) in enumerate(made.items())
            }
            text = str(replace(graph, chains=(*_chains(heads), *graph.chains)))
            opened = [word for feed in made.values() for word in pipes[feed].input]
            ends = self._ends(f"{text};[gesso_all]{CORNER}[gesso_times]", notes[1])
            track = ["-map", "[gesso_track]", *RAW, *TRACK, f"pipe:{notes[0]}"]
            return [self.binary, *begin, *opened, *ends, *track, *self._along(None)]

        return Feed(Command(list(made.values()), arguments), wishes[node])

    def _ends(self, graph: str, times: int) -> list[str]:
        """The graph, and the outputs for samples and times."""
        return [
            *("-filter_complex", graph, "-map", "[gesso_end]", *self.timing, *RAW, *PIXELS),
            *("-map", "[gesso_times]", *self.timing, *RAW, *TIMES, f"pipe:{times}"),
        ]

    def _along(self, number: int | None, video: bool = False) -> list[str]:
        """An output that lets streams count which are not used else; of one input, or of all."""
        maps: list[str] = []
        for (i, k), kind in self.used.items():
            if (i, k) in self.fed and self.unlabelled:
                continue  # ffmpeg gives a pad without label none that is mapped
            if number in (None, i) and (kind == "Video" or not video):
                maps += ["-map", f"{0 if number is not None else i}:{k}"]
        return [*maps, *ALONG, "-f", "null", "-"] if maps else []

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
            graph = graph_of(group, stream, ordinal)
            ordinal += stream.kind == "Video"
            if graph is None or not graph.named(NODE):
                edit.maps.append("{}:{}".format(*stream.source))
                continue
            known = coding_of(group.options, stream.encoder)
            feed, rest = self._chain(graph, group, stream.source, known)
            self.feeds.append(feed)
            edit.maps.append(feed)
            edit.filters[stream.index] = feed, rest
        self.edits[group.index] = edit

    def _chain(
        self, graph: Graph, group: Group, source: tuple[int, int], known: Coding
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
                wishes.append(wish_of(each.arguments, known))
                parts.append([])
            else:
                parts[-1].append(each)
        flags = [word.value or "" for word in group.options if word.key == "sws_flags"]
        scaler = graph.scaler or (f"sws_flags={flags[-1]}" if flags else "")
        number, stream = source
        texts = [",".join(map(str, part)) for part in parts]
        begin = [*self._shared(), *flatten(self._words([self.inputs[number]]))]
        feed = self._linear(begin, f"0:{stream}", texts[0], scaler, None, wishes[0], number)
        for text, wish in zip(texts[1:], wishes[1:], strict=False):
            feed = self._linear(self._shared(), "0:0", text, scaler, feed, wish)
        return feed, texts[-1]

    def _linear(
        self,
        begin: list[str],
        source: str,
        filters: str,
        scaler: str,
        before: Feed | None,
        wish: Wish,
        number: int = -1,
    ) -> Feed:
        """A feed of one stream through a chain of filters."""

        def arguments(pipes: Pipes, notes: tuple[int, int]) -> list[str]:
            head = pipes[before].head if before else ""
            text = ",".join(part for part in (head, filters, self._tail()) if part)
            whole = f"[{source}]{text},split[gesso_end][gesso_all];[gesso_all]{CORNER}[gesso_times]"
            flags = f"{scaler};" if scaler else ""
            ends = self._ends(f"{flags}{whole}", notes[1])
            # Only what has one input and one output keeps the tags of its stream.
            track = ["-map", source, "-vf", f"{flags}{text}", *RAW, *TRACK, f"pipe:{notes[0]}"]
            opened = pipes[before].input if before else self._along(number)
            if before:
                return [self.binary, *self._quiet(), *begin, *opened, *ends, *track]
            return [self.binary, *self._quiet(), *begin, *ends, *track, *opened]

        return Feed(Command([before] if before else [], arguments), wish)

    def _tail(self) -> str:
        formats = f"format={'|'.join(FORMATS)}"
        return f"{formats},{self.last_filter}" if self.last_filter else formats

    def _quiet(self) -> list[str]:
        """How much the processes before the last say: what is wrong, if the user wants that."""
        levels = [w.value for w in self.words if w.key in ("v", "loglevel") and w.value]
        return [*QUIET, levels[-1] if levels and levels[-1] in QUIETER else "warning"]

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

    def _final(self, pipes: Pipes, notes: tuple[int, int]) -> list[str]:
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
            if self.outputs and place == self.outputs[-1].last:
                found += self._along(None, video=True)
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
    if word.key == "map" or (word.key in SIMPLE and has_node(word)):
        return None
    if word.key == "enc_time_base" and word.value in ("demux", "-1") and edit.filters:
        # a pipe has nanoseconds
        base = pipes[next(iter(edit.filters.values()))[0]].base
        return option(word.tokens[0], f"{base.numerator}:{base.denominator}")
    return word


def _has(group: Group, key: str) -> bool:
    return any(word.key == key for word in group.options)
