"""ffmpeg's command line: options, inputs and outputs, in the order in which they came."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gesso.errors import InputError

__all__ = ["Group", "Word", "flatten", "groups", "inline_scripts", "parse"]

# What takes no argument; everything else takes one.
_FLAGS = """
    y n hide_banner stats stdin an vn sn dn re copyts start_at_zero shortest bitexact
    accurate_seek seek_timestamp autorotate autoscale dump hex benchmark benchmark_all debug_ts
    ignore_unknown copy_unknown recast_media xerror fix_sub_duration find_stream_info copyinkf
    intra psnr report vstats qphist deinterlace same_quant sameq dct_fast display_hflip
    display_vflip fix_sub_duration_heartbeat auto_conversion_filters force_fps print_graphs
    h help ? L version buildconf formats muxers demuxers devices codecs decoders encoders bsfs
    protocols filters pix_fmts layouts channel_layouts sample_fmts dispositions colors hwaccels
    """
FLAGS = frozenset(_FLAGS.split())
# -seek_timestamp takes a number although it is a switch in spirit.
VALUED = frozenset({"seek_timestamp"})
SCRIPTS = {"filter_script": "filter", "filter_complex_script": "filter_complex"}

Kind = Literal["option", "input", "output"]


@dataclass(frozen=True)
class Word:
    """An option, an input or an output.

    Attributes:
        kind: which of these.
        tokens: as they stand on the command line.
        key: name of an option, without dashes and stream specifier.
        stream: that specifier, as ``v:0`` in ``-c:v:0``; empty where there is none.
        value: of an option; the URL of an input or output; None for a switch.
        loaded: the value is the name of a file that holds the value (``-/filter:v f``).
    """

    kind: Kind
    tokens: tuple[str, ...]
    key: str = ""
    stream: str = ""
    value: str | None = None
    loaded: bool = False


@dataclass(frozen=True)
class Group:
    """An input or output with the options before it.

    Attributes:
        kind: ``input`` or ``output``.
        index: among those of its kind.
        first: place of its first word.
        last: place of the input or output itself.
        words: from first to last.
    """

    kind: Kind
    index: int
    first: int
    last: int
    words: tuple[Word, ...]

    @property
    def options(self) -> tuple[Word, ...]:
        """Its words but the last."""
        return self.words[:-1]

    @property
    def url(self) -> str:
        """Of the input or output."""
        return self.words[-1].value or ""


def option(*tokens: str) -> Word:
    """An option that is not the user's."""
    key, _, stream = tokens[0].lstrip("-").partition(":")
    return Word("option", tokens, key, stream, tokens[1] if len(tokens) > 1 else None)


def parse(arguments: Sequence[str]) -> list[Word]:
    """The words of a command line, without the program's name.

    Raises:
        InputError: an option that lacks its value.
    """
    words: list[Word] = []
    at = 0
    while at < len(arguments):
        token, at = arguments[at], at + 1
        if not token.startswith("-") or token == "-":
            words.append(Word("output", (token,), value=token))
            continue
        if token == "--" and at < len(arguments):
            words.append(Word("output", (token, arguments[at]), value=arguments[at]))
            at += 1
            continue
        loaded = token.startswith("-/")
        key, _, stream = token.lstrip("-").removeprefix("/" if loaded else "").partition(":")
        if not loaded and _switch(key):
            words.append(Word("option", (token,), key, stream))
            continue
        if at == len(arguments):
            raise InputError(f"ffmpeg's option {token} lacks its value")
        value, at = arguments[at], at + 1
        kind: Kind = "input" if key == "i" and not loaded else "option"
        words.append(Word(kind, (token, value), key, stream, value, loaded))
    return words


def flatten(words: Iterable[Word]) -> list[str]:
    """The command line again."""
    return [token for word in words for token in word.tokens]


def groups(words: Sequence[Word]) -> list[Group]:
    """The inputs and outputs with their options; what stands after the last is in none."""
    found: list[Group] = []
    first = 0
    count = {"input": 0, "output": 0}
    for place, word in enumerate(words):
        if word.kind == "option":
            continue
        part = tuple(words[first : place + 1])
        found.append(Group(word.kind, count[word.kind], first, place, part))
        count[word.kind] += 1
        first = place + 1
    return found


def inline_scripts(words: Iterable[Word]) -> list[Word]:
    """Filter scripts of either spelling as plain options, which every ffmpeg knows.

    Raises:
        InputError: a script that cannot be read.
    """
    return [_inlined(word) for word in words]


def _inlined(word: Word) -> Word:
    key = SCRIPTS.get(word.key, word.key)
    is_graph = key in ("filter", "vf", "af", "filter_complex", "lavfi")
    if not is_graph or not (word.loaded or word.key in SCRIPTS) or word.value is None:
        return word
    try:
        text = Path(word.value).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the filter script {word.value}: {error}") from error
    stream = f":{word.stream}" if word.stream else ""
    return replace(word, tokens=(f"-{key}{stream}", text), key=key, value=text, loaded=False)


def _switch(key: str) -> bool:
    if key in VALUED:
        return False
    return key in FLAGS or (key.startswith("no") and key[2:] in FLAGS - VALUED)
