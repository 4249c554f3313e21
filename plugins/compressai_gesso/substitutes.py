"""gesso's own small weights, where those of CompressAI's zoo are not on this machine."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch

from compressai_gesso.checkpoints import FOLDER_VARIABLE
from compressai_gesso.codecs import HYPERPRIOR, WEIGHTS, nearest_level
from compressai_gesso.recipe import LAMBDAS
from gesso.cards import ModelCard
from gesso.errors import ModelError
from gesso.target import Target

__all__ = ["LEVELS", "METRIC", "substitute"]

METRIC = "mse"
# By the architecture's name: the zoo's qualities that have a substitute, and its own quality.
LEVELS = {"bmshj2018-hyperprior": {nearest_level(weight): own for own, weight in LAMBDAS.items()}}


def substitute(
    architecture: str, quality: int, metric: str, missing: ModelError
) -> tuple[Any, dict[str, Any]]:
    """(a network of that architecture, what a sandwich around it is to be told).

    It has fewer channels than CompressAI's and was optimised for about the same lambda; a
    warning says so, the same for every quality.

    Raises:
        ModelError: ``missing``, with what substitutes there are.
    """
    levels = LEVELS.get(architecture)
    if levels is None:
        raise missing
    if metric != METRIC or quality not in levels:
        *most, last = map(str, levels)
        raise ModelError(
            f"{missing}; gesso's own weights stand in for the qualities {', '.join(most)} and "
            f"{last} with metric {METRIC!r} alone"
        ) from missing
    from compressai_gesso.networks import load_hyperprior

    own = levels[quality]
    card = ModelCard.read(WEIGHTS / f"{HYPERPRIOR.name}-{own}")
    network = load_hyperprior(card)
    warnings.warn(
        f"CompressAI's weights of {architecture!r} are not on this machine; gesso's own stand in: "
        f"the same architecture with N={network.N} and M={network.M}, whose rates and figures are "
        "not the published ones. For those pass download=True or checkpoint=, or put CompressAI's "
        f"files into {Path(torch.hub.get_dir()) / 'checkpoints'} or into a folder that "
        f"{FOLDER_VARIABLE} names",
        stacklevel=4,
    )
    told = {
        "target": Target(HYPERPRIOR.name, own),
        "genuine": True,
        "weights": f"gesso's {card.name}",
    }
    return network.requires_grad_(True).train(), told
