"""`gesso demo`: the main job on real photographs, with pictures and figures to look at."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar, say
from gesso_cli.pairing import caption
from gesso_cli.tables import change

if TYPE_CHECKING:
    from PIL import Image

    from gesso.evaluation.pipeline import Coded
    from gesso.evaluation.report import Report
    from gesso.evaluation.sheet import Exhibit
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
    preset: o.PresetOption = o.PresetName.fast,
    model: o.Model = None,
    seed: o.Seed = 0,
    json: o.Json = False,
    steps: o.Steps = None,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
) -> None:
    """Compress real photographs hard, enhance them, and show both side by side."""
    from gesso.codec import get_codec
    from gesso.evaluation.evaluate import evaluate
    from gesso_hooks import after_decode

    chosen = {name: photograph(name) for name in o.names(pictures)}
    levels = o.numbers(qualities, float)
    options = o.enhance_options(model, preset, seed=seed, steps=steps)
    runtime = o.runtime_of(device, dtype, 1024)
    out.mkdir(parents=True, exist_ok=True)
    coded: dict[tuple[str, float, str], Coded] = {}

    def keep(file: str, one: Coded) -> None:
        coded[file, one.quality, one.pipeline] = one

    with bar("codings of photographs") as tick:
        report = evaluate(
            [_save(out / f"{name}.png", picture) for name, picture in chosen.items()],
            get_codec("jpeg"),
            "enhance",
            levels,
            METRICS,
            options,
            runtime,
            treat=after_decode,
            progress=tick,
            keep=keep,
        )
    exhibits = [
        exhibit for quality in report.qualities for exhibit in _hang(report, quality, coded)
    ]
    for exhibit in exhibits:
        _keep(out / f"{exhibit.name}-q{exhibit.plain.quality:g}", exhibit)
    sheets = [_sheet(out, quality, exhibits, options) for quality in report.qualities]
    page = _page(out, report, coded)
    if json:
        rows = [
            {"picture": Path(p.file).stem, **asdict(row)}
            for p in report.pictures
            for row in p.points
        ]
        answer_json(
            {
                "folder": str(out),
                "page": str(page),
                "sheets": [str(s) for s in sheets],
                "pictures": rows,
            }
        )
        return
    _print(exhibits)
    first = ", ".join(path.name for path in (page, *sheets))
    say(f"pictures are in {out.absolute()}; look at {first} first")


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


def _save(path: Path, picture: Image.Image) -> Path:
    from gesso.files import replacing

    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")
    return path


def _hang(
    report: Report, quality: float, coded: Mapping[tuple[str, float, str], Coded]
) -> Iterator[Exhibit]:
    """The pictures of one quality, with what was measured of them."""
    from gesso.evaluation.sheet import Exhibit

    for picture in report.pictures:
        rows = {row.variant: row for row in picture.points if row.quality == quality}
        yield Exhibit(
            Path(picture.file).stem,
            report.codec,
            coded[picture.file, quality, "plain"],
            coded[picture.file, quality, "gesso"],
            rows["plain"].values,
            rows["gesso"].values,
        )


def _keep(stem: Path, exhibit: Exhibit) -> None:
    """Write the ordinary JPEG and its enhancement, each whole or not at all."""
    from gesso.files import replacing

    with replacing(f"{stem}.jpg") as path:
        path.write_bytes(exhibit.plain.data)
    _save(Path(f"{stem}-gesso.png"), exhibit.gesso.picture)


def _sheet(out: Path, quality: float, exhibits: Sequence[Exhibit], options: EnhanceOptions) -> Path:
    from gesso.evaluation.sheet import save_sheet

    path = out / f"side-by-side-q{quality:g}.png"
    save_sheet(
        path,
        [exhibit for exhibit in exhibits if exhibit.plain.quality == quality],
        f"gesso on JPEG quality {quality:g}",
        f"model {options.model}, preset {options.preset}",
    )
    return path


def _page(out: Path, report: Report, coded: Mapping[tuple[str, float, str], Coded]) -> Path:
    from gesso.evaluation.page import Pair, save_page

    pairs = []
    for picture in report.pictures:
        rows = {(row.variant, row.quality): row for row in picture.points}
        for quality in report.qualities:
            plain, gesso = (coded[picture.file, quality, v] for v in ("plain", "gesso"))
            one, two = caption(rows["plain", quality]), caption(rows["gesso", quality])
            name, shown = Path(picture.file).stem, (plain.source, plain.picture, gesso.picture)
            pairs.append(Pair(name, quality, one, two, *shown))
    path = out / "compare.html"
    save_page(path, "JPEG with and without gesso", report.to_json(), pairs)
    return path


def _print(exhibits: Sequence[Exhibit]) -> None:
    from rich.table import Table

    from gesso.evaluation.metrics import METRICS as KNOWN

    table = Table(box=None, pad_edge=False)
    table.add_column("picture")
    for heading in ("quality", "bytes", "bpp"):
        table.add_column(heading, justify="right")
    for metric in METRICS:
        for heading in (f"{KNOWN[metric].label} plain", "gesso", "change"):
            table.add_column(heading, justify="right")
    for exhibit in exhibits:
        plain = exhibit.plain
        cells = [exhibit.name, f"{plain.quality:g}", f"{len(plain.data):,}", f"{plain.bpp:.3f}"]
        for metric in METRICS:
            cells += _cells(metric, exhibit.plain_values[metric], exhibit.gesso_values[metric])
        table.add_row(*cells)
    answer().print(table)


def _cells(metric: str, plain: float, gesso: float) -> list[Any]:
    from gesso.evaluation.metrics import METRICS as KNOWN

    known = KNOWN[metric]
    colour = "green" if (gesso < plain) == known.lower_is_better else "red"
    figures = [f"{value:.{known.digits}f}" for value in (plain, gesso)]
    return [*figures, f"[{colour}]{change(metric, plain, gesso)}"]
