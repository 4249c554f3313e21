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
    from gesso.training.calibrate import Restore

__all__ = ["add", "calibrate"]

Rows = list[list[float]]
# What a prior's card starts with.
PRESETS = {"fast": {"steps": 1}, "medium": {"steps": 10}}


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(calibrate)


def calibrate(
    folder: Annotated[Path, typer.Argument(metavar="MODELFOLDER", help="What gesso train wrote.")],
    val: Annotated[Path, typer.Argument(metavar="VAL", help="Folder of eight or more pictures.")],
    codecs: Annotated[str, typer.Option(help="Names of codecs.")] = "jpeg,webp,avif",
    name: Annotated[
        str | None, typer.Option(help="Name of the model, where the folder has no card yet.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Print how well left-out pictures are predicted.")
    ] = False,
    json: o.Json = False,
) -> None:
    """Measure how far pictures of each codec are from their sources, and write it to the card.

    In a prior's card these are decodes, in an estimator's its estimates. How much noise that
    error calls for is what gesso noise finds.
    """
    from gesso.codec import get_codec
    from gesso.training.calibrate import qp_equivalents
    from gesso.training.data import picture_files

    files = picture_files(val)
    card = _card(folder, name)
    chosen = [get_codec(codec) for codec in dict.fromkeys(o.names(codecs))]
    if not chosen:
        raise InputError("no codec asked for; pass --codecs jpeg, for instance")
    restore = _restore(card)
    tables = {codec.name: _fit(files, codec, restore) for codec in chosen}
    # HEVC's own QP is the scale; where HEVC is not asked for, JPEG's place on it will do.
    scale = get_codec("hevc" if "hevc" in tables else "jpeg")
    reference = tables.get(scale.name) or _fit(files, scale, restore)
    # An estimate tells nothing of where a codec's own decodes lie.
    anchors = {
        codec: qp_equivalents(rows, reference, scale.qp)
        for codec, rows in tables.items()
        if codec != scale.name and restore is None
    }
    errors = {codec.name: _check(files, codec, restore) for codec in chosen} if check else {}
    written = _write(card, tables)
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
        raise InputError(f"{folder} holds no model; give what gesso train wrote")
    called = name or folder.absolute().name
    return ModelCard(called, "prior", "gesso.denoiser:load_prior", folder, weights[0].name, "")


def _restore(card: ModelCard) -> Restore | None:
    """What the model makes of a decode, where that is its role."""
    if card.role != "estimator":
        return None
    from gesso.estimator import estimate
    from gesso.runtime import Runtime

    runtime = Runtime()
    estimator = card.make(runtime)
    return lambda frame, target: estimate(frame, target, estimator, runtime)


def _fit(files: list[Path], codec: Codec, restore: Restore | None) -> Rows:
    from gesso.training.calibrate import calibration_qualities, fit_noise_table

    with bar(codec.name) as tick:
        return fit_noise_table(files, codec, calibration_qualities(codec), tick, restore)


def _check(files: list[Path], codec: Codec, restore: Restore | None) -> tuple[float, float]:
    from gesso.evaluation.evaluate import default_qualities
    from gesso.training.calibrate import residual_db

    with bar(f"{codec.name}, left out in turn") as tick:
        return residual_db(files, codec, default_qualities(codec), tick, restore)


def _write(card: ModelCard, tables: Mapping[str, Rows]) -> Path:
    settings: dict[str, Any] = dict(card.settings)
    settings["noise"] = {
        **settings.get("noise", {}),
        **{codec: [row[:4] for row in rows] for codec, rows in tables.items()},
    }
    if card.role == "prior":
        settings.setdefault("presets", PRESETS)
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
