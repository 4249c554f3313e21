"""Code real pictures with a real codec, with and without gesso, and measure both."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.cards import get_model
from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.metrics import METRICS, Metric, get_metrics
from gesso.evaluation.report import PictureRows, Report, Row, describe_machine, read_pictures
from gesso.frame import Frame
from gesso.options import EnhanceOptions
from gesso.runtime import Runtime
from gesso.target import Target

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["SIDES", "Coded", "Enhancer", "code", "default_qualities", "evaluate", "read_picture"]

SIDES = ("enhance",)
Enhancer = Callable[[Frame, Target | None, EnhanceOptions, Runtime | None], Frame]
# Where most pictures on the web and below lie; enough points for BD figures.
SHARES = (0.10, 0.20, 0.30, 0.45, 0.65)


@dataclass(frozen=True)
class Coded:
    """One picture through a codec: what the file holds and what is made of it.

    Attributes:
        codec: name of the codec.
        source: the picture before coding, RGB.
        data: the whole file.
        plain: the ordinary decode, RGB.
        gesso: the enhanced decode, RGB.
        row: the figures.
    """

    codec: str
    source: Image.Image
    data: bytes
    plain: Image.Image
    gesso: Image.Image
    row: Row


def default_qualities(codec: Codec) -> tuple[float, ...]:
    """Five qualities of the codec's lower and middle range, from the worst to the best."""
    worst, best = codec.qualities
    values = [worst + share * (best - worst) for share in SHARES]
    return tuple(float(round(v)) if abs(best - worst) >= 20 else v for v in values)


def read_picture(data: bytes) -> Image.Image:
    """The bytes of a picture file as RGB pixels, as stored (no rotation, no colour transform).

    Raises:
        InputError: not a whole picture, or one that has no honest RGB form.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as image:
            image.load()
    except UnidentifiedImageError as error:
        raise InputError("not a picture that Pillow knows") from error
    except Image.DecompressionBombError as error:
        raise InputError(f"is too large: {error}") from error
    # what Pillow's decoders raise on damaged files; RuntimeError is AVIF's
    except (OSError, SyntaxError, ValueError, RuntimeError, struct.error) as error:
        raise InputError(f"cannot be decoded: {error}") from error
    Frame.of(image)  # names the modes that cannot be used, and the mend
    if image.mode in ("RGBA", "LA") and image.getchannel("A").getextrema() != (255, 255):
        raise InputError("has transparency, which lossy codecs drop; flatten it first")
    return image.convert("RGB")


def code(
    source: Image.Image,
    codec: Codec,
    quality: float,
    metrics: Iterable[str] = tuple(METRICS),
    options: EnhanceOptions | None = None,
    runtime: Runtime | None = None,
    enhancer: Enhancer | None = None,
) -> Coded:
    """Encode, decode, enhance and measure one RGB picture.

    Metrics are taken on the 8-bit pictures that a user would have in hand. The codec must
    be registered, so that its name means something to the model.

    Raises:
        InputError: a picture in another mode, a quality out of range, an unknown metric.
        ModelError: see :func:`evaluate`.
    """
    if source.mode != "RGB":
        raise InputError(f"mode {source.mode} cannot be measured; first use convert('RGB')")
    return _code(
        source,
        codec,
        Target(codec.name, quality),
        get_metrics(metrics),
        options or EnhanceOptions(),
        runtime or Runtime(),
        enhancer or _default_enhancer(),
    )


def evaluate(
    files: Iterable[str | os.PathLike[str]],
    codec: Codec,
    side: str = "enhance",
    qualities: Iterable[float] | None = None,
    metrics: Iterable[str] = tuple(METRICS),
    options: EnhanceOptions | None = None,
    runtime: Runtime | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
    resume: str | os.PathLike[str] | None = None,
    enhancer: Enhancer | None = None,
) -> Report:
    """Measure what gesso does for pictures that went through ``codec``.

    Args:
        files: pictures; those that cannot be used are named in the report, the rest goes on.
        codec: a registered codec; its files are counted whole.
        side: ``enhance``: the ordinary file, decoded, against its enhancement.
        qualities: on the codec's scale; :func:`default_qualities` if not given.
        metrics: names out of :data:`gesso.evaluation.metrics.METRICS`.
        options: of the enhancement.
        runtime: where models and metrics run.
        progress: called with (done, total) codings.
        resume: a report file that is written after every picture; pictures that it already
            holds are not measured again. They are known by their content, and the settings
            must be the same.
        enhancer: in place of :func:`gesso.enhancer.enhance_frame`, such as the hooks' chain;
            ``options.model``, or else the function's own name, says in the report what it is.

    Raises:
        InputError: another side, an unknown metric, a quality out of range, no usable
            picture, or a ``resume`` that cannot be written or was made with other settings.
        ModelError: no such model, or metrics whose weights are not installed.
    """
    if side not in SIDES:
        raise InputError(f"no side {side!r} to evaluate; there is {', '.join(SIDES)}")
    options, runtime = options or EnhanceOptions(), runtime or Runtime()
    chosen = get_metrics(metrics)
    targets = _targets(codec, default_qualities(codec) if qualities is None else qualities)
    paths = _named(files)
    settings = _settings(options, enhancer)
    report = Report(
        codec=codec.name,
        side=side,
        settings=settings,
        qualities=tuple(_whole(target.quality) for target in targets),
        lower_is_better={metric.name: metric.lower_is_better for metric in chosen},
        pictures=(),
        unreadable={},
        machine=describe_machine(runtime.device),
        complete=False,
    )
    known: dict[str, PictureRows] = {}
    if resume is not None:
        same = {"codec": codec.name, "side": side, "settings": settings}
        known = read_pictures(Path(resume), same, report.qualities, list(report.lower_is_better))
    enhance = enhancer or _default_enhancer()
    total = len(paths) * len(targets)

    def tick(done: int) -> None:
        if progress:
            progress(done, total)

    for index, (name, path) in enumerate(paths.items()):
        before = index * len(targets)
        try:
            data = _read(path)
            digest = hashlib.sha256(data).hexdigest()
            if digest in known:
                picture = replace(known[digest], file=name)
            else:
                source, rows = read_picture(data), []
                for number, target in enumerate(targets):
                    tick(before + number)
                    rows.append(_code(source, codec, target, chosen, options, runtime, enhance).row)
                picture = PictureRows(name, digest, *source.size, tuple(rows))
            report = replace(report, pictures=(*report.pictures, picture))
        except InputError as error:
            report = replace(report, unreadable={**report.unreadable, name: str(error)})
        report = replace(report, complete=index + 1 == len(paths))
        if resume is not None:
            report.save(resume)
        tick(before + len(targets))
    if not report.pictures:
        name, reason = next(iter(report.unreadable.items()))
        raise InputError(f"none of {len(paths)} pictures can be used; the first, {name}: {reason}")
    return report


def _default_enhancer() -> Enhancer:
    from gesso.enhancer import enhance_frame

    return enhance_frame


def _targets(codec: Codec, qualities: Iterable[float]) -> list[Target]:
    worst, best = codec.qualities
    ordered = sorted({float(q) for q in qualities}, reverse=best < worst)
    if not ordered:
        raise InputError("no quality asked for; pass at least one")
    return [Target(codec.name, quality) for quality in ordered]


def _settings(options: EnhanceOptions, enhancer: Enhancer | None) -> dict[str, Any]:
    """What two runs must share to be one: the options and the very weights."""
    if enhancer is not None:
        name = options.model or getattr(enhancer, "__name__", "custom")
        return {**asdict(options), "model": name}
    card = get_model(options.model, "prior")
    return {**asdict(options), "model": card.name, "sha256": card.sha256}


def _named(files: Iterable[str | os.PathLike[str]]) -> dict[str, Path]:
    """Files by their name below the folder that all of them share."""
    paths = [Path(file) for file in files]
    if not paths:
        raise InputError("no pictures to evaluate; pass at least one file")
    shared = os.path.commonpath([path.absolute().parent for path in paths])
    return {Path(os.path.relpath(path.absolute(), shared)).as_posix(): path for path in paths}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}") from error


def _whole(value: float) -> float:
    """Whole numbers as int, for tables and JSON."""
    return int(value) if float(value).is_integer() else value


def _code(
    source: Image.Image,
    codec: Codec,
    target: Target,
    metrics: Sequence[Metric],
    options: EnhanceOptions,
    runtime: Runtime,
    enhancer: Enhancer,
) -> Coded:
    clock = [time.perf_counter()]
    try:
        data = codec.encode(source, target.quality)
        clock.append(time.perf_counter())
        plain = codec.decode(data)
        clock.append(time.perf_counter())
    except InputError:
        raise
    except (OSError, ValueError) as error:  # a side too long for the format, for instance
        raise InputError(f"{codec.name} cannot code it: {error}") from error
    enhanced: Image.Image = enhancer(Frame.of(plain), target, options, runtime).restore()
    clock.append(time.perf_counter())
    plain_values, gesso_values = _measure(source, (plain, enhanced), metrics, runtime)
    row = Row(
        quality=_whole(target.quality),
        bytes=len(data),
        bpp=8 * len(data) / (source.width * source.height),
        plain=plain_values,
        gesso=gesso_values,
        seconds={
            name: round(clock[i + 1] - clock[i], 6)
            for i, name in enumerate(("encode", "decode", "gesso"))
        },
    )
    return Coded(codec.name, source, data, plain, enhanced, row)


def _measure(
    source: Image.Image,
    pictures: Sequence[Image.Image],
    metrics: Sequence[Metric],
    runtime: Runtime,
) -> list[dict[str, float]]:
    """The values of every metric for each of ``pictures``, as dictionaries in their order."""
    import torch

    with torch.inference_mode():
        reference = Frame.of(source).rgb.to(runtime.device)
        values: list[dict[str, float]] = []
        # one picture at a time: a pair would double the memory of the feature maps
        for picture in pictures:
            rgb = Frame.of(picture).rgb.to(runtime.device)
            values.append({metric.name: float(metric(reference, rgb)) for metric in metrics})
    return values
