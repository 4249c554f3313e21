"""Which streams ffmpeg itself takes for each output; asked, never guessed."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ffmpeg_gesso.arguments import Word, flatten, groups, option
from ffmpeg_gesso.filtergraph import parse
from ffmpeg_gesso.splitting import NODE
from gesso.errors import GessoError

__all__ = ["Refused", "Stream", "rehearse", "select"]

LIMIT = 120.0
# What must not happen twice, or would hide the answer.
_UNSAID = (
    "y n v loglevel hide_banner report progress stats nostats stdin nostdin vstats vstats_file "
    "sdp_file print_graphs print_graphs_file stats_period benchmark benchmark_all"
)
UNSAID = frozenset(_UNSAID.split())
GRAPHS = ("vf", "filter", "filter_complex", "lavfi")
INPUT = re.compile(r"\s*Stream #(\d+):(\d+)\S*: (\w+)", re.M)
CODED = re.compile(r"^  Stream #(\d+):(\d+) -> #(\d+):(\d+) \((.*)\)\s*$", re.M)
USED = re.compile(r"^  Stream #(\d+):(\d+) (?:->|\()", re.M)
FED = re.compile(r"^  Stream #(\d+):(\d+) \(", re.M)
FILTERED = re.compile(r"^  \S.* -> Stream #(\d+):(\d+) \((.*)\)\s*$", re.M)


class Refused(GessoError, RuntimeError):
    """ffmpeg does not take the command.

    Attributes:
        code: its exit code.
        said: what it printed.
    """

    def __init__(self, code: int, said: str) -> None:
        super().__init__(f"ffmpeg refused the command ({code})")
        self.code, self.said = code, said


Source = tuple[int, int]  # input and stream


@dataclass(frozen=True)
class Stream:
    """A stream of an output.

    Attributes:
        index: in the output.
        source: (input, stream) that it is made of; None where a complex filtergraph makes it.
        kind: ``Video``, ``Audio``, ...; empty where it is not known.
        encoder: ffmpeg's name; ``copy`` where packets are copied.
    """

    index: int
    source: Source | None
    kind: str
    encoder: str


Selection = tuple[dict[int, list[Stream]], dict[Source, str], set[Source]]


def select(binary: str, words: Sequence[Word], stdin: int = subprocess.DEVNULL) -> Selection:
    """The streams of each output, in order; the kinds of all streams of the inputs that are
    read; and which of those go into complex filtergraphs.

    The command runs with ``null`` in place of gesso.

    Args:
        binary: ffmpeg.
        words: the command.
        stdin: what an input that is standard input is read from.

    Raises:
        Refused: ffmpeg would not run it with gesso, either.
    """
    code, said = rehearse(binary, words, stdin)
    found = _read(said)
    if not found[0]:
        raise Refused(code or 1, said)
    return found


def rehearse(binary: str, words: Sequence[Word], stdin: int) -> tuple[int, str]:
    """Run a command into a folder of its own, for no time; its exit code and what it said.

    Raises:
        Refused: it does not end.
    """
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        command = [binary, "-hide_banner", "-nostdin", "-y", "-nostats", "-loglevel", "info"]
        command += _rehearsed(words, Path(folder))
        try:
            done = subprocess.run(
                command,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=LIMIT,
            )
        except subprocess.TimeoutExpired as error:
            raise Refused(1, f"ffmpeg did not open its inputs within {LIMIT:g} s\n") from error
    return done.returncode, done.stderr.decode("utf-8", "replace")


def _rehearsed(words: Sequence[Word], folder: Path) -> list[str]:
    ends = {group.last: group for group in groups(words) if group.kind == "output"}
    rehearsed: list[Word] = []
    for place, word in enumerate(words):
        if word.kind == "option" and word.key in UNSAID:
            continue
        if word.kind == "option" and word.key in GRAPHS and word.value and NODE in word.value:
            text = str(parse(word.value).substitute(NODE, "null"))
            word = replace(word, tokens=(word.tokens[0], text), value=text)
        if place in ends:
            rehearsed += [option("-t", "0")]
            word = _elsewhere(ends[place].options, word, folder / f"{place}")
        rehearsed.append(word)
    return flatten(rehearsed)


def _elsewhere(options: Sequence[Word], word: Word, folder: Path) -> Word:
    """The output as a file of the same name in a folder of its own."""
    url = word.value or ""
    formats = [each.value for each in options if each.key == "f"]
    folder.mkdir()
    if formats and (formats[-1] in ("tee", "fifo", "sdl2", "opengl") or url in ("-", "pipe:1")):
        muxer = () if url in ("-", "pipe:1") else ("-f", "null")
        return Word("output", (*muxer, str(folder / "out")), value=url)
    name = url if "://" not in url and not url.startswith("pipe:") else "out"
    path = str(folder / (Path(name.removeprefix("file:")).name or "out"))
    return Word("output", (path,), value=path)


def _read(said: str) -> Selection:
    before, _, after = said.partition("Stream mapping:")
    kinds: Mapping[Source, str] = {(int(a), int(b)): kind for a, b, kind in INPUT.findall(before)}
    streams: dict[int, dict[int, Stream]] = {}
    for i, k, j, s, codecs in CODED.findall(after):
        source = (int(i), int(k))
        encoder = codecs.rpartition("-> ")[2].split()
        stream = Stream(int(s), source, kinds.get(source, ""), _encoder(encoder))
        streams.setdefault(int(j), {})[int(s)] = stream
    for j, s, codec in FILTERED.findall(after):
        streams.setdefault(int(j), {})[int(s)] = Stream(int(s), None, "", codec.split()[0])
    read = {(int(i), int(k)) for i, k in USED.findall(after)}
    used = {source: kinds.get(source, "") for source in sorted(read)}
    fed = {(int(i), int(k)) for i, k in FED.findall(after)}
    return {j: [by[s] for s in sorted(by)] for j, by in streams.items()}, used, fed


def _encoder(words: Sequence[str]) -> str:
    """``h264 (libx264)`` names the encoder in brackets; ``rawvideo (native)`` does not."""
    inner = words[-1].strip("()") if words else ""
    return words[0] if inner == "native" else inner
