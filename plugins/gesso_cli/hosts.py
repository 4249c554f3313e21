"""`gesso bench hosts`: what enhancing through a host costs over the bare core call."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from operator import truediv
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["hosts"]

Way = Callable[[Path], "NDArray[Any]"]
CORE = "core"


def hosts(
    picture: Annotated[Path, typer.Argument(help="Of any format; it is coded as JPEG first.")],
    quality: Annotated[int, typer.Option("--quality", "-q", min=1, max=100)] = 20,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds, after one that is not clocked.")] = 7,
    json: o.Json = False,
) -> None:
    """Print the time of decoding and enhancing a JPEG through each host, over the core's.

    All take turns in one process, in another order each round, with the default model and
    preset, from a file to pixels in memory. Seconds are the shortest time; the ratio is the
    median of the rounds' ratios of processor time, which other programs disturb least; own is
    the least processor time outside of what all of them call alike, the core's enhancement of
    decoded samples. Whether the pixels are the core's is told, too. Hosts that are not
    installed are skipped.
    """
    import gesso_hooks
    from gesso.evaluation.machine import describe_machine
    from gesso.runtime import Runtime

    ways: dict[str, Way] = {CORE: _core}
    skipped: list[str] = []
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coded.jpg"
        megapixels = _code(picture, path, quality)
        there = gesso_hooks.hosts()
        for name, way in WAYS.items():
            if name in there and there[name].installed:
                there[name].register()
                stack.callback(there[name].unregister)
                ways[name] = way
            else:
                skipped.append(name)
        clocked, pixels = _clock(ways, path, repeats)
    core = clocked[CORE]
    rows = [
        {
            "host": name,
            "seconds": min(found.seconds),
            "ratio": median(map(truediv, found.processor, core.processor)),
            "own_seconds": min(found.own),
            "same_pixels": bool((pixels[name] == pixels[CORE]).all()),
        }
        for name, found in clocked.items()
    ]
    if json:
        machine = describe_machine(Runtime().device)
        about = {"megapixels": megapixels, "quality": quality}
        answer_json({**about, "hosts": rows, "skipped": skipped, "machine": machine})
    else:
        _print(rows, skipped)


@dataclass
class _Clocked:
    """Seconds of each round: on the clock, of the processor, and of it outside the core's call."""

    seconds: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)


def _clock(
    ways: dict[str, Way], path: Path, repeats: int
) -> tuple[dict[str, _Clocked], dict[str, NDArray[Any]]]:
    """How long each took in every round, and what it gave."""
    clocked = {name: _Clocked() for name in ways}
    pixels: dict[str, NDArray[Any]] = {}
    order = list(ways)
    with bar("rounds") as tick, _shared() as shared:
        tick(0, repeats + 1)
        # In turns, and none always after the same: what else the machine does weighs on all.
        for turn in range(repeats + 1):
            for name in order[turn % len(order) :] + order[: turn % len(order)]:
                shared.clear()
                started, began = time.perf_counter(), time.process_time()
                pixels[name] = ways[name](path)
                processor, seconds = time.process_time() - began, time.perf_counter() - started
                if turn:
                    clocked[name].seconds.append(seconds)
                    clocked[name].processor.append(processor)
                    clocked[name].own.append(processor - sum(shared))
            tick(turn + 1, repeats + 1)
    return clocked, pixels


@contextmanager
def _shared() -> Iterator[list[float]]:
    """The processor times of the core's calls that all ways end in."""
    from gesso import enhancer

    inside: list[float] = []
    call = enhancer.enhance_frame

    def clocked(*arguments: Any, **keywords: Any) -> Any:
        began = time.process_time()
        try:
            return call(*arguments, **keywords)
        finally:
            inside.append(time.process_time() - began)

    enhancer.enhance_frame = clocked
    try:
        yield inside
    finally:
        enhancer.enhance_frame = call


def _code(picture: Path, path: Path, quality: int) -> float:
    """Write ``picture`` as JPEG; its megapixels."""
    from PIL import Image

    try:
        with Image.open(picture) as image:
            image.convert("RGB").save(path, quality=quality)
            return image.width * image.height / 1e6
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot read {picture}: {error}; name a picture") from error


def _core(path: Path) -> NDArray[Any]:
    import numpy as np
    from PIL import Image

    import gesso

    with Image.open(path) as image:
        return np.asarray(gesso.enhance(image))


def _pillow(path: Path) -> NDArray[Any]:
    import numpy as np
    from PIL import Image

    with Image.open(path, formats=["ENHANCED-JPEG"]) as image:
        return np.asarray(image)


def _imageio(path: Path) -> NDArray[Any]:
    import imageio.v3

    return imageio.v3.imread(path, plugin="gesso", enhance=True)


# As users of these hosts call them; the plug-ins themselves are not known here.
WAYS: dict[str, Way] = {"pillow": _pillow, "imageio": _imageio}


def _print(rows: list[dict[str, Any]], skipped: list[str]) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("host")
    for heading in ("seconds", "ratio", "own ms", "same pixels"):
        table.add_column(heading, justify="right")
    for row in rows:
        same = "yes" if row["same_pixels"] else "no"
        numbers = (
            f"{row['seconds']:.3f}",
            f"{row['ratio']:.3f}",
            f"{1000 * row['own_seconds']:.1f}",
        )
        table.add_row(row["host"], *numbers, same)
    answer().print(table)
    for name in skipped:
        answer().print(f"skipped {name}: not installed")
