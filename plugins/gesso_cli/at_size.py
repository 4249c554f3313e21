"""`gesso at-size`: codecs and the latent codec at one file size."""

from __future__ import annotations

import json as json_format
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gesso.errors import ModelError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar, one_line, say
from gesso_cli.latent import (
    LATENT,
    REPAIR,
    Autoencoder,
    ControlNet,
    Dither,
    Palette,
    Prior,
    Refine,
    codec_of,
)
from gesso_cli.reports import check_free
from gesso_cli.tables import digits, label

if TYPE_CHECKING:
    from gesso.evaluation.at_size import AtSize, Contestant
    from gesso.latent.codec import LatentCodec
    from gesso.latent.repair import RepairOptions

__all__ = ["add", "at_size"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command(name="at-size")(at_size)


def at_size(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of source pictures.")],
    size: Annotated[int, typer.Option("--bytes", min=1, help="Of a file.")] = 3400,
    side: Annotated[
        int, typer.Option(min=0, help="Of the square coded in the middle; 0: the whole picture.")
    ] = 512,
    codecs: Annotated[
        str, typer.Option(help="To compare with; see gesso codecs. Empty for none.")
    ] = "jpeg,webp,avif,hevc,vvc",
    metrics: o.Metrics = "ssim,lpips,dists",
    autoencoder: Autoencoder = None,
    palette: Palette = None,
    dither: Dither = None,
    refine: Refine = None,
    prior: Prior = None,
    controlnet: ControlNet = None,
    steps: Annotated[
        str | None, typer.Option(help="Evaluations each way, as 4,8.", rich_help_panel=REPAIR)
    ] = None,
    strength: Annotated[
        str | None,
        typer.Option(help="How far up, share of the schedule, as 0,0.05.", rich_help_panel=REPAIR),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            help="Noise the latents are taken to have, in units of the palette's; 0: the paper's.",
            rich_help_panel=REPAIR,
        ),
    ] = None,
    edges: Annotated[
        str | None, typer.Option(help="Weights of a ControlNet's edges.", rich_help_panel=REPAIR)
    ] = None,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write the table there; - prints it on stdout.")
    ] = None,
    overwrite: o.Overwrite = False,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Tabulate codecs at one file size, the latent codec with and without its repair among them.

    Every codec codes every picture at the quality whose file is nearest to that size. A line
    for each setting of the repair, where several are given.
    """
    from gesso.codec import get_codec
    from gesso.evaluation.at_size import Contestant
    from gesso.evaluation.at_size import at_size as measure
    from gesso.training.data import picture_files

    check_free(None if str(json) == "-" else json, overwrite)
    runtime = o.runtime_of(device, dtype, tile)
    own = codec_of(
        autoencoder,
        runtime,
        palette=palette,
        dither=dither,
        refine=refine,
        prior=prior,
        controlnet=controlnet,
    )
    contestants = [Contestant(name, get_codec(name)) for name in o.names(codecs)] if codecs else []
    latent, lacking = _latent(own, _settings(steps, strength, start, edges))
    contestants.append(latent)
    files = picture_files(folder)
    with bar("pictures") as tick:
        found = measure(
            files, contestants, size, o.metrics(metrics), side or None, runtime, progress=tick
        )
    if str(json) == "-":
        answer_json(found.to_json())
    else:
        _print(found)
    for line, reason in (lacking | dict(found.skipped)).items():
        say(f"skipped {line}: {one_line(reason)}")
    if json is not None and str(json) != "-":
        from gesso.files import replacing

        with replacing(json) as temporary:
            text = json_format.dumps(found.to_json(), indent=1, allow_nan=False)
            temporary.write_text(text + "\n", encoding="utf-8")
        say(f"written: {json}")


def _settings(*given: str | None) -> dict[str, RepairOptions]:
    """Every combination of what is given, by what is said of it; {"": defaults} for none."""
    from gesso.latent.repair import RepairOptions

    names = ("steps", "strength", "start", "edges")
    kinds = (int, float, float, float)
    lists = {
        name: o.numbers(text, kind)
        for name, text, kind in zip(names, given, kinds, strict=True)
        if text is not None
    }
    found = {}
    for values in product(*lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        told = ", ".join(f"{name} {value:g}" for name, value in chosen.items())
        found[told] = RepairOptions(**chosen)
    return found


def _latent(
    codec: LatentCodec, settings: dict[str, RepairOptions]
) -> tuple[Contestant, dict[str, str]]:
    """The latent codec, decoded plainly and repaired; why it is not, where there is no prior."""
    from dataclasses import replace

    from gesso.cards import get_model
    from gesso.evaluation.at_size import Contestant
    from gesso.latent.codec import latent_prior

    card = get_model(codec.model, "autoencoder")
    sizes = sorted(map(int, card.settings.get("palettes", {})))
    levels = tuple(map(float, sizes)) if codec.palette == "shared" else ()
    decoders = {LATENT: codec.decode}
    lacking: dict[str, str] = {}
    try:
        latent_prior(card, codec.prior)
    except ModelError as error:
        lacking = {f"{LATENT} + inversion": str(error)}
    else:
        for told, options in settings.items():
            line = f"{LATENT} + inversion{f' ({told})' if told else ''}"
            decoders[line] = replace(codec, repair=options).decode
    return Contestant(LATENT, codec, levels, decoders), lacking


def _print(found: AtSize) -> None:
    from rich.table import Table
    from rich.text import Text

    pictures = len({shown.picture for shown in found.shown})
    what = f"{found.side} x {found.side} in the middle" if found.side else "whole"
    title = f"{pictures} pictures, {what}, at {found.size} bytes"
    answer().print(Text(title, style="italic"))
    metrics = list(found.shown[0].values)
    table = Table(box=None, pad_edge=False)
    for heading in ("", "bytes", *map(label, metrics), "encode s", "decode s"):
        table.add_column(heading, justify="right" if heading else "left")
    for line in found.lines:
        cells = [f"{found.mean(line, 'size'):.0f}"]
        cells += [digits(metric, found.mean(line, metric)) for metric in metrics]
        cells += [f"{found.mean(line, step):.2f}" for step in ("encode", "decode")]
        table.add_row(line, *cells)
    answer().print(table)
