"""Codecs at one file size, as the paper of the latent codec tabulates them (its Table 1)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.machine import describe_machine
from gesso.evaluation.matching import nearest_quality
from gesso.evaluation.metrics import METRICS, get_metrics
from gesso.evaluation.sources import named, read_bytes, read_picture
from gesso.frame import Frame
from gesso.programs import ProgramError
from gesso.runtime import Runtime

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["AtSize", "Contestant", "Shown", "at_size", "centre"]


@dataclass(frozen=True)
class Contestant:
    """A codec that takes part.

    Attributes:
        name: as in the table.
        codec: encodes, and decodes unless ``decoders`` are given.
        levels: qualities to choose from, worst first; empty takes all of its scale.
        decoders: by name, what shows its files; each has a line of its own.
    """

    name: str
    codec: Codec
    levels: Sequence[float] = ()
    decoders: Mapping[str, Callable[[bytes], Image.Image]] | None = None


@dataclass(frozen=True)
class Shown:
    """One picture by one line of the table.

    Attributes:
        picture: its name.
        line: which line.
        quality: chosen on the codec's scale.
        size: of the file in bytes.
        values: metric name -> value.
        encode, decode: seconds.
    """

    picture: str
    line: str
    quality: float
    size: int
    values: Mapping[str, float]
    encode: float
    decode: float


@dataclass(frozen=True)
class AtSize:
    """What :func:`at_size` found.

    Attributes:
        size: bytes that every file was to have.
        side: of the square that was cut out of the pictures; None for whole ones.
        shown: line by line, picture by picture.
        skipped: line -> why it is not there.
        machine: see :func:`gesso.evaluation.machine.describe_machine`.
    """

    size: int
    side: int | None
    shown: tuple[Shown, ...]
    skipped: Mapping[str, str]
    machine: Mapping[str, Any]

    @property
    def lines(self) -> list[str]:
        """The lines there are, in order."""
        return list(dict.fromkeys(shown.line for shown in self.shown))

    def mean(self, line: str, what: str) -> float:
        """Mean over the pictures of a metric, or of an attribute of :class:`Shown`."""
        own = [shown for shown in self.shown if shown.line == line]
        return statistics.fmean(
            s.values[what] if what in s.values else float(getattr(s, what)) for s in own
        )

    def to_json(self) -> dict[str, Any]:
        """Plain data: the means of every line, and every picture."""
        metrics = list(self.shown[0].values) if self.shown else []
        kept = ("size", "quality", "encode", "decode")
        return {
            "size": self.size,
            "side": self.side,
            "images": len({shown.picture for shown in self.shown}),
            "lower_is_better": {name: METRICS[name].lower_is_better for name in metrics},
            "lines": [
                {"line": line, **{what: self.mean(line, what) for what in (*kept, *metrics)}}
                for line in self.lines
            ],
            "pictures": [
                {"picture": s.picture, "line": s.line, **{k: getattr(s, k) for k in kept}}
                | dict(s.values)
                for s in self.shown
            ],
            "skipped": dict(self.skipped),
            "machine": dict(self.machine),
        }


def at_size(
    files: Iterable[Path],
    contestants: Sequence[Contestant],
    size: int,
    metrics: Sequence[str] = ("ssim", "lpips", "dists"),
    side: int | None = 512,
    runtime: Runtime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> AtSize:
    """Code every picture with every codec at the quality whose file is nearest to ``size``.

    Args:
        files: pictures.
        contestants: see :class:`Contestant`.
        size: bytes of a file, container included.
        metrics: names out of :data:`gesso.evaluation.metrics.METRICS`.
        side: of the square in the middle of each picture that is coded; None codes all of it.
        runtime: where metrics run.
        progress: called with (done, total) pictures.

    Raises:
        InputError: no picture, one that cannot be read or is smaller than ``side``, or no codec
            that can run.
    """
    import torch

    runtime, wanted = runtime or Runtime(), get_metrics(metrics)
    paths, able, skipped = named(files), list(contestants), dict[str, str]()
    shown: list[Shown] = []
    for done, (name, path) in enumerate(paths.items()):
        if progress:
            progress(done, len(paths))
        try:
            source = read_picture(read_bytes(path))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
        source = centre(source, side, name)
        reference = Frame.of(source).rgb.to(runtime.device)
        with torch.inference_mode():
            against = {metric.name: metric.against(reference) for metric in wanted}
        for contestant in list(able):
            try:
                results = list(_shown(contestant, source, size))
            except (InputError, ProgramError) as error:
                # What cannot code one picture is left out of all of them, or means would differ.
                able.remove(contestant)
                skipped[contestant.name] = str(error)
                continue
            for line, quality, data, picture, encode, decode in results:
                rgb = Frame.of(picture).rgb.to(runtime.device)
                with torch.inference_mode():
                    values = {key: float(metric(rgb)) for key, metric in against.items()}
                shown.append(Shown(name, line, quality, len(data), values, encode, decode))
    lost = {line for c in contestants if c.name in skipped for line in _lines(c)}
    order = {line: at for at, line in enumerate(line for c in contestants for line in _lines(c))}
    kept = sorted((s for s in shown if s.line not in lost), key=lambda s: order[s.line])
    if not kept:
        raise InputError("; ".join(f"{name}: {why}" for name, why in skipped.items()))
    if progress:
        progress(len(paths), len(paths))
    return AtSize(size, side, tuple(kept), skipped, describe_machine(runtime.device))


def _lines(contestant: Contestant) -> list[str]:
    return list(contestant.decoders or [contestant.name])


def _shown(contestant: Contestant, source: Image.Image, size: int) -> Iterable[Any]:
    """(line, quality, file, picture, seconds to encode, to decode) of each decoder."""
    codec = contestant.codec
    quality = nearest_quality(codec, source, size, contestant.levels)
    began = time.perf_counter()
    data = codec.encode(source, quality)
    encode = time.perf_counter() - began
    for line, decode in (contestant.decoders or {contestant.name: codec.decode}).items():
        began = time.perf_counter()
        picture = decode(data)
        yield line, quality, data, picture, encode, time.perf_counter() - began


def centre(picture: Image.Image, side: int | None, name: str) -> Image.Image:
    """The square in the middle; InputError where the picture is smaller."""
    if side is None:
        return picture
    if min(picture.size) < side:
        raise InputError(
            f"{name} is {picture.width} x {picture.height}, smaller than {side} x {side}; "
            "ask for a smaller side, or take it out"
        )
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return picture.crop((left, top, left + side, top + side))
