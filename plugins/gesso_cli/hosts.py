"""`gesso bench hosts`: what enhancing through a host costs over the bare core call."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
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
    repeats: Annotated[
        int, typer.Option(min=1, help="Times of which the shortest counts, after one unclocked.")
    ] = 3,
    json: o.Json = False,
) -> None:
    """Print the time of decoding and enhancing a JPEG through each host, over the core's.

    All take turns in one process, with the default model and preset, from a file to pixels in
    memory; whether the pixels are the core's is told, too. Hosts that are not installed are
    skipped.
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
        seconds, pixels = _clock(ways, path, repeats)
    rows = [
        {
            "host": name,
            "seconds": seconds[name],
            "ratio": seconds[name] / seconds[CORE],
            "same_pixels": bool((pixels[name] == pixels[CORE]).all()),
        }
        for name in ways
    ]
    if json:
        machine = describe_machine(Runtime().device)
        about = {"megapixels": megapixels, "quality": quality}
        answer_json({**about, "hosts": rows, "skipped": skipped, "machine": machine})
    else:
        _print(rows, skipped)


def _clock(
    ways: dict[str, Way], path: Path, repeats: int
) -> tuple[dict[str, float], dict[str, NDArray[Any]]]:
    """The shortest time of each, and what it gave."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    pixels: dict[str, NDArray[Any]] = {}
    with bar("rounds") as tick:
        tick(0, repeats + 1)
        # In turns, so that what else the machine does weighs on all of them.
        for turn in range(repeats + 1):
            for name, way in ways.items():
                started = time.perf_counter()
                pixels[name] = way(path)
                if turn:
                    seconds[name].append(time.perf_counter() - started)
            tick(turn + 1, repeats + 1)
    return {name: min(times) for name, times in seconds.items()}, pixels


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
    for heading in ("seconds", "ratio", "same pixels"):
        table.add_column(heading, justify="right")
    for row in rows:
        same = "yes" if row["same_pixels"] else "no"
        table.add_row(row["host"], f"{row['seconds']:.3f}", f"{row['ratio']:.3f}", same)
    answer().print(table)
    for name in skipped:
        answer().print(f"skipped {name}: not installed")
