"""From a source picture to the picture a user sees: before the codec, the codec, after it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from gesso.codec import Codec
from gesso.errors import InputError
from gesso.programs import ProgramError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["After", "Before", "Coded", "Peer", "Pipeline", "Side"]

Side = Literal["preprocess", "enhance", "latent"]
Before = Callable[["Image.Image", Codec, float], "Image.Image"]
After = Callable[[bytes, "Image.Image", Codec, float], "Image.Image"]


@dataclass(frozen=True)
class Coded:
    """One picture that went through a pipeline at one quality.

    Attributes:
        pipeline: its name.
        quality: on the codec's scale.
        source: the picture before coding, RGB.
        data: the whole file, as a user would store it.
        decoded: what an ordinary decoder shows, RGB.
        picture: what the user sees, RGB; ``decoded`` itself where nothing comes after.
        seconds: wall time of ``before``, ``encode``, ``decode`` and ``after``.
    """

    pipeline: str
    quality: float
    source: Image.Image
    data: bytes
    decoded: Image.Image
    picture: Image.Image
    seconds: dict[str, float]

    @property
    def bpp(self) -> float:
        """Bits per pixel of the source; container and metadata are counted."""
        return 8 * len(self.data) / (self.source.width * self.source.height)


@dataclass(frozen=True)
class Pipeline:
    """A codec with what is done before and after it.

    It must survive pickling, so that pictures can be spread over processes: ``before`` and
    ``after`` are functions of a module, or instances of a frozen dataclass.

    Attributes:
        name: as in tables and JSON.
        codec: encodes and decodes; need not be registered.
        before: (source, codec, quality) -> the picture to encode, same size, RGB.
        after: (file, decoded, codec, quality) -> the picture to show, same size, RGB.
    """

    name: str
    codec: Codec
    before: Before | None = None
    after: After | None = None

    def run(self, source: Image.Image, quality: float) -> Coded:
        """Send one RGB picture through.

        Raises:
            InputError: the codec or a treatment cannot work on this picture.
        """
        return self.finish(self.code(source, quality))

    def code(self, source: Image.Image, quality: float) -> Coded:
        """The part up to the ordinary decode, which pipelines of one codec may share."""
        clock = [time.perf_counter()]
        try:
            treated = self.before(source, self.codec, quality) if self.before else source
            clock.append(time.perf_counter())
            data = self.codec.encode(treated, quality)
            clock.append(time.perf_counter())
            decoded = self.codec.decode(data)
            clock.append(time.perf_counter())
        except InputError:
            raise
        except (OSError, ValueError, ProgramError) as error:  # a side too long for the format
            raise InputError(f"{self.codec.name} cannot code it: {error}") from error
        self._check(source, decoded, self.codec.name)
        seconds = {
            step: round(clock[i + 1] - clock[i], 6)
            for i, step in enumerate(("before", "encode", "decode"))
        }
        return Coded(self.name, quality, source, data, decoded, decoded, seconds | {"after": 0.0})

    def finish(self, coded: Coded) -> Coded:
        """What comes after the decode of :meth:`code`."""
        if self.after is None:
            return replace(coded, pipeline=self.name)
        begun = time.perf_counter()
        try:
            picture = self.after(coded.data, coded.decoded, self.codec, coded.quality)
        except ProgramError as error:
            raise InputError(f"{self.name} cannot finish it: {error}") from error
        seconds = {**coded.seconds, "after": round(time.perf_counter() - begun, 6)}
        self._check(coded.source, picture, self.name)
        return replace(coded, pipeline=self.name, picture=picture, seconds=seconds)

    @staticmethod
    def _check(source: Image.Image, picture: Image.Image, who: str) -> None:
        if picture.size != source.size or picture.mode != "RGB":
            raise InputError(
                f"{who} gave a {picture.mode} picture of {picture.size}, not an RGB one of "
                f"{source.size}; it cannot be measured"
            )


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Peer:
    """What a user might pick instead of gesso.

    Attributes:
        name: as in tables and JSON.
        side: ``preprocess`` for encoders and what comes before them, ``enhance`` for what
            comes after a decoder.
        about: one line: what it is.
        codecs: names of the codecs it is an alternative for; empty: any.
        codec: an encoder of its own, in place of that of the codec under test.
        before, after: as in :class:`Pipeline`.
        qualities: on its codec's scale, worst first; empty takes those of the codec under test.
        needs: raises InputError or ModelError, with the mend, where it cannot run.
        opt_in: why it runs only when it is asked for by name; empty where it always does.
    """

    name: str
    side: Side
    about: str
    codecs: tuple[str, ...] = ()
    codec: Codec | None = None
    before: Before | None = None
    after: After | None = None
    qualities: tuple[float, ...] = ()
    needs: Callable[[], object] = _nothing
    opt_in: str = ""

    def pipeline(self, codec: Codec) -> Pipeline:
        """The peer at work for a codec under test."""
        return Pipeline(self.name, self.codec or codec, self.before, self.after)
