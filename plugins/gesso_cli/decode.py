"""`gesso decode`: files of the latent codec to pictures, plainly or repaired."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer_json
from gesso_cli.each import each, picture_places
from gesso_cli.latent import REPAIR, Autoencoder, ControlNet, Prior, codec_of, decode_file

if TYPE_CHECKING:
    from gesso.latent.repair import RepairOptions

__all__ = ["add", "decode", "told"]


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(decode)


def decode(
    sources: Annotated[list[Path], typer.Argument(metavar="SRC", help="Files .gsl.")],
    out: Annotated[
        str, typer.Option("--out", "-o", help="A file for one SRC, or a folder (PNG files).")
    ],
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Let a prior of the latents repair them; so does any option here.",
            rich_help_panel=REPAIR,
        ),
    ] = False,
    steps: Annotated[
        int | None,
        typer.Option(min=1, max=1000, help="Evaluations each way.", rich_help_panel=REPAIR),
    ] = None,
    strength: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="How far up, share of the schedule.", rich_help_panel=REPAIR
        ),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=10.0,
            help="Noise the latents are taken to have, in units of the palette's; 0: the paper's.",
            rich_help_panel=REPAIR,
        ),
    ] = None,
    edges: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Weight of a ControlNet's edges.", rich_help_panel=REPAIR
        ),
    ] = None,
    prior: Prior = None,
    controlnet: ControlNet = None,
    autoencoder: Autoencoder = None,
    overwrite: o.Overwrite = False,
    json: o.Json = False,
    device: o.Device = "auto",
    dtype: o.Dtype = o.DtypeName.auto,
    tile: o.Tile = 1024,
) -> None:
    """Decode .gsl files to pictures.

    A file names the autoencoder that coded it; one that is not registered is told by
    --autoencoder. Without --repair the latents are decoded as they are.
    """
    if edges is not None and controlnet is None:
        raise InputError("--edges is the weight of a ControlNet; pass --controlnet, too")
    runtime = o.runtime_of(device, dtype, tile)
    given = {"steps": steps, "strength": strength, "start": start, "edges": edges}
    wanted = repair or prior is not None or controlnet is not None
    codec = codec_of(
        autoencoder,
        runtime,
        repair=_options(given, wanted),
        prior=prior,
        controlnet=controlnet,
    )

    def work(source: Path, place: Path) -> dict[str, Any]:
        return decode_file(source, place, codec)

    pairs = list(zip(sources, picture_places(sources, out), strict=True))
    results = each(pairs, work, overwrite, None if json else told)
    if json:
        answer_json({"repaired": codec.repair is not None, "pictures": results})
    if any("error" in result for result in results):
        raise typer.Exit(1)


def told(result: Mapping[str, Any]) -> str:
    """A decoded file in words."""
    return f"{result['quality']} entries{', repaired' if result['repaired'] else ''}"


def _options(given: Mapping[str, Any], wanted: bool) -> RepairOptions | None:
    """How to repair; None where nothing asks for it."""
    said = {name: value for name, value in given.items() if value is not None}
    if not said and not wanted:
        return None
    from gesso.latent.repair import RepairOptions

    return RepairOptions(**said)
