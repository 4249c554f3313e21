"""ffmpeg's filtergraph syntax, as libavfilter's own parser reads it.

A graph is chains separated by ``;``, a chain is filters separated by ``,``, and a filter is
``[in]... name@id=arguments [out]...``. A backslash protects one character, single quotes all
up to the next quote. What is not touched keeps its own spelling.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gesso.errors import InputError

__all__ = ["Filter", "Graph", "escape", "pairs", "parse", "unescape"]

SPACE = " \n\t\r"
ENDS = "[],;"
SCALER = "sws_flags="


@dataclass(frozen=True)
class Filter:
    """One filter of a chain.

    Attributes:
        text: name, instance and arguments, spelt as in the source.
        inputs: labels before it.
        outputs: labels after it.
    """

    text: str
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Without instance and arguments."""
        return unescape(self.text).partition("=")[0].partition("@")[0].strip(SPACE)

    @property
    def arguments(self) -> str:
        """As the filter gets them; empty where there are none."""
        return unescape(self.text).partition("=")[2]

    def __str__(self) -> str:
        labels = ["".join(f"[{label}]" for label in side) for side in (self.inputs, self.outputs)]
        return f"{labels[0]}{self.text}{labels[1]}"


@dataclass(frozen=True)
class Graph:
    """A filtergraph.

    Attributes:
        chains: of filters, each linked to the next.
        scaler: what stands before ``;`` as ``sws_flags=...``, or empty.
    """

    chains: tuple[tuple[Filter, ...], ...]
    scaler: str = ""

    def __str__(self) -> str:
        chains = ";".join(",".join(map(str, chain)) for chain in self.chains)
        return f"{self.scaler};{chains}" if self.scaler else chains

    def named(self, name: str) -> list[tuple[int, int]]:
        """The places (chain, filter) of every filter of that name."""
        return [
            (row, column)
            for row, chain in enumerate(self.chains)
            for column, each in enumerate(chain)
            if each.name == name
        ]

    def substitute(self, name: str, text: str) -> Graph:
        """Every filter of that name replaced, its labels kept."""
        chains = [
            tuple(replace(each, text=text) if each.name == name else each for each in chain)
            for chain in self.chains
        ]
        return replace(self, chains=tuple(chains))


def parse(text: str) -> Graph:
    """Read a filtergraph.

    Raises:
        InputError: a label without its end, an empty filter, or what cannot stand there.
    """
    scaler, at = "", _skip(text, 0)
    if text.startswith(SCALER, at):
        end = text.find(";", at)
        if end < 0:
            raise InputError(f"filtergraph {text!r}: {SCALER} must end with ';'")
        scaler, at = text[at:end].rstrip(SPACE), end + 1
    chains: list[tuple[Filter, ...]] = []
    chain: list[Filter] = []
    while True:
        found, at = _filter(text, at)
        chain.append(found)
        if at < len(text) and text[at] == ",":
            at += 1
            continue
        chains.append(tuple(chain))
        chain = []
        if at >= len(text):
            return Graph(tuple(chains), scaler)
        if text[at] != ";":
            raise InputError(f"filtergraph {text!r}: cannot read it from {text[at:]!r} on")
        # libavfilter takes one ';' at the end, too
        at = _skip(text, at + 1)
        if at >= len(text):
            return Graph(tuple(chains), scaler)


def unescape(text: str) -> str:
    """What is meant by text with backslashes and quotes; space around it is cut off."""
    return _token(text, _skip(text, 0), "")[0]


def escape(text: str, special: str = ENDS) -> str:
    """Text so spelt that :func:`unescape` gives it back and nothing in it ends a token."""
    last = len(text) - 1
    return "".join(
        # space is cut off at the ends only
        f"\\{sign}" if sign in special + "\\'" or (sign in SPACE and place in (0, last)) else sign
        for place, sign in enumerate(text)
    )


def pairs(arguments: str) -> list[tuple[str, str]]:
    """The options ``key=value:key=value`` of a filter; a key alone has the value ``1``."""
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(arguments):
        start = at
        _, at = _token(arguments, _skip(arguments, at), ":")
        key, given, value = arguments[start:at].partition("=")
        found.append((unescape(key), unescape(value) if given else "1"))
        at += 1
    return found


def _filter(text: str, at: int) -> tuple[Filter, int]:
    inputs, at = _labels(text, at)
    start = at
    _, at = _token(text, at, ENDS)
    if at == start:
        raise InputError(f"filtergraph {text!r}: no filter at {text[start:] or 'its end'!r}")
    body = _trimmed(text[start:at])
    outputs, at = _labels(text, at)
    return Filter(body, inputs, outputs), at


def _labels(text: str, at: int) -> tuple[tuple[str, ...], int]:
    labels: list[str] = []
    at = _skip(text, at)
    while text[at : at + 1] == "[":
        start = at + 1
        label, at = _token(text, _skip(text, start), "]")
        if text[at : at + 1] != "]" or not label:
            raise InputError(f"filtergraph {text!r}: the label at {text[start - 1 :]!r} has no end")
        labels.append(_trimmed(text[start:at].lstrip(SPACE)))
        at = _skip(text, at + 1)
    return tuple(labels), at


def _token(text: str, at: int, ends: str) -> tuple[str, int]:
    """libavutil's av_get_token: what is meant up to one of ``ends``, and where that is."""
    meant: list[str] = []
    kept = 0  # protected space is not cut off
    while at < len(text) and text[at] not in ends:
        sign, at = text[at], at + 1
        if sign == "\\" and at < len(text):
            meant.append(text[at])
            at += 1
            kept = len(meant)
        elif sign == "'":
            end = text.find("'", at)
            end = len(text) if end < 0 else end
            meant += text[at:end]
            at = min(end + 1, len(text))
            kept = len(meant)
        else:
            meant.append(sign)
    return "".join(meant[:kept]) + "".join(meant[kept:]).rstrip(SPACE), at


def _trimmed(text: str) -> str:
    """Without the space at the end that is not protected."""
    # All of it where a quote that nobody closes protects the end.
    short, shortest = text.rstrip(SPACE), text
    for cut in (text[: len(short) + 1], short):
        if unescape(cut) == unescape(text):
            shortest = cut
    return shortest


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at
