"""`gesso calibrate`: what a prior must know of real codecs, measured and written to its card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar, say

if TYPE_CHECKING:
    from gesso.cards import ModelCard
    from gesso.codec import Codec

__all__ = ["add", "calibrate"]

Rows = list[list[float]]
# What a card starts with; both are kept where a card states them.
NOISE_SCALE, MEDIUM_STEPS = 1.0, 10


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(calibrate)


def calibrate(
    folder: Annotated[
        Path, typer.Argument(metavar="MODELFOLDER", help="What gesso train prior wrote.")
    ],
    val: Annotated[Path, typer.Argument(metavar="VAL", help="Folder of eight or more pictures.")],
    codecs: Annotated[str, typer.Option(help="Names of codecs.")] = "jpeg,webp,avif",
    noise_scale: Annotated[
        float | None, typer.Option(min=0.0, help="Sigma over the estimated error at tradeoff 1.")
    ] = None,
    medium: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Steps of the preset medium.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the model, where the folder has no card yet.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Print how well left-out pictures are predicted.")
    ] = False,
    json: o.Json = False,
) -> None:
    """Measure how far each codec's decodes are from their sources, and write it to the card."""
    from gesso.codec import get_codec
    from gesso.training.calibrate import qp_equivalents
    from gesso.training.data import picture_files

    files = picture_files(val)
    card = _card(folder, name)
    chosen = [get_codec(codec) for codec in dict.fromkeys(o.names(codecs))]
    if not chosen:
        raise InputError("no codec asked for; pass --codecs jpeg, for instance")
    tables = {codec.name: _fit(files, codec) for codec in chosen}
    # HEVC's own QP is the scale; where HEVC is not asked for, JPEG's place on it will do.
    scale = get_codec("hevc" if "hevc" in tables else "jpeg")
    reference = tables.get(scale.name) or _fit(files, scale)
    anchors = {
        codec: qp_equivalents(rows, reference, scale.qp)
        for codec, rows in tables.items()
        if codec != scale.name
    }
    errors = {codec.name: _check(files, codec) for codec in chosen} if check else {}
    written = _write(card, tables, noise_scale, medium)
    if json:
        found = {"noise": tables, "anchors": anchors, "residual_db": errors}
        answer_json({"card": str(written), "images": len(files), **found})
        return
    for codec, rows in tables.items():
        _print(codec, rows, dict(anchors.get(codec, ())))
        if codec in errors:
            alone, informed = errors[codec]
            answer().print(
                f"error of the predicted MSE, left out in turn: {informed:.2f} dB "
                f"({alone:.2f} dB by quality alone)\n"
            )
    say(f"{len(files)} pictures, written to {written}")


def _card(folder: Path, name: str | None) -> ModelCard:
    """The model's card, or a first one for a folder that holds a model and no card."""
    from gesso.cards import ModelCard

    if (folder / "card.json").exists():
        card = ModelCard.read(folder)
        # Writing a card states the hash of the weights as they are: they must be its own.
        card.verify()
        return card
    weights = sorted(folder.glob("*.safetensors"))
    if len(weights) != 1 or not (folder / "config.json").exists():
        raise InputError(f"{folder} holds no model; give what gesso train prior wrote")
    called = name or folder.absolute().name
    return ModelCard(called, "prior", "gesso.denoiser:load_prior", folder, weights[0].name, "")


def _fit(files: list[Path], codec: Codec) -> Rows:
    from gesso.training.calibrate import calibration_qualities, fit_noise_table

    with bar(codec.name) as tick:
        return fit_noise_table(files, codec, calibration_qualities(codec), tick)


def _check(files: list[Path], codec: Codec) -> tuple[float, float]:
    from gesso.evaluation.evaluate import default_qualities
    from gesso.training.calibrate import residual_db

    with bar(f"{codec.name}, left out in turn") as tick:
        return residual_db(files, codec, default_qualities(codec), tick)


def _write(
    card: ModelCard, tables: Mapping[str, Rows], scale: float | None, medium: int | None
) -> Path:
    settings: dict[str, Any] = dict(card.settings)
    settings["noise"] = {
        **settings.get("noise", {}),
        **{codec: [row[:4] for row in rows] for codec, rows in tables.items()},
    }
    settings["noise_scale"] = scale or settings.get("noise_scale", NOISE_SCALE)
    presets = dict(settings.get("presets", {}))
    if medium or "medium" not in presets:
        presets["medium"] = {**presets.get("medium", {}), "steps": medium or MEDIUM_STEPS}
    settings["presets"] = presets
    return replace(card, settings=settings).write()


def _print(codec: str, rows: Rows, anchors: Mapping[float, float]) -> None:
    from rich.table import Table

    table = Table(title=codec, title_justify="left", box=None, pad_edge=False)
    headings = ["quality", "a", "b", "log2 bpp", "log2 rmse"]
    for heading in [*headings, "QP"] if anchors else headings:
        table.add_column(heading, justify="right")
    for row in rows:
        anchor = [f"{anchors[row[0]]:.1f}"] if anchors else []
        table.add_row(f"{row[0]:g}", *(f"{value:.4f}" for value in row[1:]), *anchor)
    answer().print(table, "")
