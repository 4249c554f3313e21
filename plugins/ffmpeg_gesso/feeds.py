"""Processes and the pipes between them, before they are started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ffmpeg_gesso.wishes import Wish

__all__ = ["Command", "Feed", "Opened", "Pipes", "Plan"]

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
        aspect: sample aspect ratio, as ``setsar`` takes it; empty where it is not known.
        shift: seconds that were added to every timestamp.
    """

    descriptor: int
    base: Fraction
    aspect: str
    shift: int

    @property
    def head(self) -> str:
        """Filters that give the frames what a pipe cannot carry."""
        aspect = self.aspect or "0/1"
        # setsar rounds to numbers of up to 100 if it is not told another bound.
        largest = max(map(int, aspect.split("/")))
        return f"settb={self.base},setsar={aspect}:max={largest}"

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
            pipe, given descriptors for the description of its track and for its times.
    """

    feeds: Sequence[Feed]
    arguments: Callable[[Pipes, tuple[int, int]], list[str]]


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
