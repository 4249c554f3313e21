"""Which model does which preset: commands that show presets side by side need one for each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gesso.errors import InputError, ModelError
from gesso_cli import options as o

if TYPE_CHECKING:
    from gesso.cards import ModelCard

__all__ = ["Models", "Presets", "prepare_all", "priors_of"]

Presets = Annotated[str, typer.Option(help="As fast,medium,slow; what no model has is skipped.")]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        help="Name or folder of a prior; again for further ones. The first that has a preset "
        "does it; each preset's default if not given.",
    ),
]


def priors_of(
    presets: Iterable[str], models: Sequence[str] | None, training_free: bool = False
) -> tuple[dict[str, ModelCard], dict[str, str]]:
    """The prior for each preset, and the presets that none has, with the reason.

    Raises:
        InputError: no such preset.
        ModelError: no such model.
    """
    from gesso.cards import default_prior, get_model
    from gesso.options import PRESETS

    named = [get_model(o.known_model(name), "prior") for name in models or ()]
    found, lacking = {}, {}
    for preset in dict.fromkeys(presets):
        if preset not in PRESETS:
            raise InputError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
        try:
            cards = named or [get_model(default_prior(posterior_mean=not training_free), "prior")]
        except ModelError as error:
            lacking[preset] = str(error)
            continue
        able = [card for card in cards if preset in card.settings.get("presets", {})]
        if able:
            found[preset] = able[0]
        else:
            lacking[preset] = f"no such preset of {', '.join(card.name for card in cards)}"
    return found, lacking


def prepare_all(models: Sequence[str] | None) -> None:
    """:func:`gesso_cli.options.prepare` for several models."""
    for model in models or (None,):
        o.prepare(model)
