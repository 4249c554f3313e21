"""How weights lie in their files: as they are, or in 8 bits each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gesso.errors import InputError
from gesso.files import replacing

if TYPE_CHECKING:
    from gesso.cards import ModelCard

__all__ = ["read_weights", "shrink", "shrunk"]

SCALE = ".scale"
LARGEST = 127
# Those whose factories read their files by read_weights.
ROLES = ("prior", "estimator", "preprocessor")


def shrink(card: ModelCard, folder: Path) -> ModelCard:
    """Write a model into another folder with its weights :func:`shrunk`; its new card.

    Raises:
        InputError: a model of CompressAI's, diffusers' or an autoencoder, one that is shrunk
            already, or a folder that holds something.
        ModelError: damaged weights.
    """
    from safetensors.torch import load_file, save

    ours = (card.folder / "card.json").is_file() and (card.folder / "config.json").is_file()
    if card.role not in ROLES or not ours:
        raise InputError(f"{card.name} cannot be shrunk; only networks of gesso's own can")
    weights = load_file(card.verify())
    if any(weight.dtype == torch.int8 for weight in weights.values()):
        raise InputError(f"the weights of {card.name} are in 8 bits already")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} holds something already; name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{Path(card.weights).stem}.int8.safetensors"
    with replacing(folder / name) as path:
        path.write_bytes(save(shrunk(weights)))
    with replacing(folder / "config.json") as path:
        path.write_bytes((card.folder / "config.json").read_bytes())
    found = replace(card, folder=folder, weights=name)
    found.write()
    return type(found).read(folder)


def shrunk(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in half the bytes of fp16.

    Matrices and kernels become int8 with one fp32 factor per output channel, ``KEY.scale``, so
    that the largest of a channel is exact; vectors become fp16.
    """
    found: dict[str, Tensor] = {}
    for key, weight in weights.items():
        if weight.ndim < 2:
            found[key] = weight.half()
            continue
        scale = weight.float().abs().flatten(1).amax(1) / LARGEST
        steps = weight.float() / _along(scale.clamp_min(torch.finfo().tiny), weight)
        found[key], found[key + SCALE] = steps.round().to(torch.int8), scale
    return found


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, with what is :func:`shrunk` in it as it was, fp32.

    Raises:
        OSError: no such file.
        SafetensorError: not a whole one.
        ValueError: a factor is missing.
    """
    from safetensors.torch import load_file

    stored = load_file(path)
    scales = {key + SCALE for key, weight in stored.items() if weight.dtype == torch.int8}
    if missing := scales - stored.keys():
        raise ValueError(f"8 bits without {min(missing)}")
    return {
        key: weight.float() * _along(stored[key + SCALE], weight)
        if weight.dtype == torch.int8
        else weight
        for key, weight in stored.items()
        if key not in scales
    }


def _along(scale: Tensor, weight: Tensor) -> Tensor:
    return scale.view(-1, *[1] * (weight.ndim - 1))
