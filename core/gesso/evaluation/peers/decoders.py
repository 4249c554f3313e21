"""JPEG decoders that know what quantisation leaves open, as programs of their own."""

from __future__ import annotations

import io
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.pipeline import Peer
from gesso.programs import program, run

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["DECODERS", "Decoder"]


@dataclass(frozen=True)
class Decoder:
    """A program that reads a JPEG file and writes a picture file.

    Attributes:
        name: of the program.
        arguments: with ``{source}`` and ``{result}`` for the two files.
        format: of the picture it writes, as Pillow calls it.
        mend: how to get the program.
    """

    name: str
    arguments: tuple[str, ...]
    format: str
    mend: str

    def find(self) -> str:
        """The path of the program; InputError where it is not installed."""
        return program(self.name, self.mend)

    def __call__(
        self, data: bytes, decoded: Image.Image, codec: Codec, quality: float
    ) -> Image.Image:
        """As :data:`gesso.evaluation.pipeline.After`.

        Raises:
            InputError: not installed, or it wrote no picture of the size of ``decoded``.
            ProgramError: it failed.
        """
        with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
            files = {
                "source": Path(folder) / "source.jpg",
                "result": Path(folder) / f"result.{self.format.lower()}",
            }
            files["source"].write_bytes(data)
            run([self.find(), *(word.format(**files) for word in self.arguments)])
            return self._read(files["result"], decoded.size)

    def _read(self, file: Path, size: tuple[int, int]) -> Image.Image:
        from PIL import Image

        try:
            with Image.open(io.BytesIO(file.read_bytes()), formats=[self.format]) as image:
                # before it is decoded, so that a bomb stays closed
                if image.size == size:
                    return image.convert("RGB")
                raise InputError(f"{self.name} gave a picture of {image.size}, not of {size}")
        except (OSError, SyntaxError, Image.DecompressionBombError) as error:
            raise InputError(f"{self.name} wrote no picture that can be read: {error}") from error


def _peer(about: str, decoder: Decoder) -> Peer:
    return Peer(decoder.name, "enhance", about, ("jpeg",), after=decoder, needs=decoder.find)


DECODERS: tuple[Peer, ...] = (
    _peer(
        "jpeg-quantsmooth at its best quality",
        Decoder(
            "jpegqs",
            # it writes coefficients, in a JPEG file with quantiser steps of 1
            ("--quality", "6", "--info", "0", "{source}", "{result}"),
            "JPEG",
            "on Debian: apt install jpegqs",
        ),
    ),
    _peer(
        "jpeg2png: the smoothest picture that the file allows",
        Decoder(
            "jpeg2png",
            ("--quiet", "{source}", "--output", "{result}"),
            "PNG",
            "build it with make from github.com/victorvde/jpeg2png",
        ),
    ),
    _peer(
        "knusperli: the fewest steps between blocks that the file allows",
        Decoder(
            "knusperli",
            ("{source}", "{result}"),
            "PNG",
            "build it with bazel from github.com/google/knusperli",
        ),
    ),
)
