"""`gesso demo`: the main job on real photographs, with pictures and figures to look at."""

from __future__ import annotations

import importlib.util
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar, say
from gesso_cli.evaluate import change

if TYPE_CHECKING:
    from PIL import Image

    from gesso.evaluation.evaluate import Coded
    from gesso.options import EnhanceOptions

__all__ = ["add", "demo", "photograph"]

# They lie in scikit-image's wheel, so that nothing is fetched from anywhere.
PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "coffee": "coffee.png",
    "chelsea": "chelsea.png",
    "rocket": "rocket.jpg",
}
LARGEST = 512
METRICS = ("psnr", "lpips", "dists")


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "demo"
    ),
    pictures: Annotated[
        str, typer.Option(help=f"Of {', '.join(PHOTOGRAPHS)}.")
    ] = "astronaut,coffee,chelsea",
    qualities: Annotated[str, typer.Option(help="Of the JPEG files.")] = "10,20",
    preset: o.PresetOption = o.PresetName.medium,
    model: o.Model = None,
    seed: o.Seed = 0,
    json: o.Json = False,
    steps: o.Steps = None,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
) -> None:
    """Compress real photographs hard, enhance them, and show both side by side."""
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import code
    from gesso.options import EnhanceOptions
    from gesso_hooks import after_decode

    chosen = {name: photograph(name) for name in o.names(pictures)}
    levels = o.numbers(qualities, float)
    options = EnhanceOptions(o.known_model(model), preset.value, seed=seed, steps=steps)
    runtime = o.runtime_of(device, dtype, 1024)
    out.mkdir(parents=True, exist_ok=True)
    done: list[tuple[str, Coded]] = []
    with bar("photographs") as tick:
        tick(0, len(levels) * len(chosen))
        for quality in levels:
            for name, source in chosen.items():
                codec = get_codec("jpeg")
                coded = code(source, codec, quality, METRICS, options, runtime, after_decode)
                _keep(out / f"{name}-q{quality:g}", coded)
                done.append((name, coded))
                tick(len(done), len(levels) * len(chosen))
    sheets = [_sheet(out, quality, done, options) for quality in levels]
    if json:
        rows = [{"picture": name, **asdict(coded.row)} for name, coded in done]
        answer_json({"folder": str(out), "sheets": [str(s) for s in sheets], "pictures": rows})
        return
    _print(done)
    say(f"pictures are in {out.absolute()}; look at {', '.join(s.name for s in sheets)} first")


def photograph(name: str) -> Image.Image:
    """One of scikit-image's photographs, its centre, at most 512 x 512.

    Raises:
        InputError: an unknown name, or scikit-image is not installed.
    """
    from PIL import Image

    if name not in PHOTOGRAPHS:
        raise InputError(f"no photograph named {name!r}; there are {', '.join(PHOTOGRAPHS)}")
    package = importlib.util.find_spec("skimage")
    places = list(package.submodule_search_locations or ()) if package else []
    files = [
        p for p in (Path(place) / "data" / PHOTOGRAPHS[name] for place in places) if p.exists()
    ]
    if not files:
        raise InputError(
            "the photographs are scikit-image's, which is missing; "
            "run: pip install 'gesso[evaluate]'"
        )
    with Image.open(files[0]) as image:
        rgb = image.convert("RGB")
    width, height = min(rgb.width, LARGEST), min(rgb.height, LARGEST)
    left, top = (rgb.width - width) // 2, (rgb.height - height) // 2
    return rgb.crop((left, top, left + width, top + height))


def _keep(stem: Path, coded: Coded) -> None:
    """Write the ordinary JPEG and its enhancement, each whole or not at all."""
    from gesso.files import replacing

    with replacing(f"{stem}.jpg") as path:
        path.write_bytes(coded.data)
    with replacing(f"{stem}-gesso.png") as path:
        coded.gesso.save(path, format="PNG")


def _sheet(
    out: Path, quality: float, done: list[tuple[str, Coded]], options: EnhanceOptions
) -> Path:
    from gesso.evaluation.sheet import save_sheet

    path = out / f"side-by-side-q{quality:g}.png"
    shown = [(name, coded) for name, coded in done if coded.row.quality == quality]
    save_sheet(
        path,
        shown,
        f"gesso on JPEG quality {quality:g}",
        f"model {options.model}, preset {options.preset}",
    )
    return path


def _print(done: list[tuple[str, Coded]]) -> None:
    from rich.table import Table

    from gesso.evaluation.metrics import METRICS as KNOWN

    table = Table(box=None, pad_edge=False)
    table.add_column("picture")
    for heading in ("quality", "bytes", "bpp"):
        table.add_column(heading, justify="right")
    for metric in METRICS:
        for heading in (f"{KNOWN[metric].label} plain", "gesso", "change"):
            table.add_column(heading, justify="right")
    for name, coded in done:
        row = coded.row
        cells = [name, f"{row.quality:g}", f"{row.bytes:,}", f"{row.bpp:.3f}"]
        for metric in METRICS:
            cells += _cells(metric, row.plain[metric], row.gesso[metric])
        table.add_row(*cells)
    answer().print(table)


def _cells(metric: str, plain: float, gesso: float) -> list[Any]:
    from gesso.evaluation.metrics import METRICS as KNOWN

    known = KNOWN[metric]
    colour = "green" if (gesso < plain) == known.lower_is_better else "red"
    figures = [f"{value:.{known.digits}f}" for value in (plain, gesso)]
    return [*figures, f"[{colour}]{change(metric, plain, gesso)}"]
