"""CompressAI's own pretrained checkpoints, from this machine only; nothing is downloaded."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from compressai_gesso.library import library
from gesso.errors import InputError, ModelError

__all__ = [
    "FOLDER_VARIABLE",
    "build",
    "find_checkpoint",
    "load_checkpoint",
    "network_class",
    "read_network",
]

FOLDER_VARIABLE = "GESSO_COMPRESSAI"
# What torch.load and CompressAI's from_state_dict raise for files that are none of theirs.
ODD = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError,
    pickle.UnpicklingError,
)  # fmt: skip


# CompressAI's class of what it has under another name.
CLASSES = {"hyperprior": "bmshj2018-hyperprior"}
NESTED = ("network", "state_dict", "model_state_dict")


def find_checkpoint(
    architecture: str, quality: int, folder: str | None = None, metric: str = "mse"
) -> Path:
    """The file of CompressAI's zoo for a model that was optimised for ``metric``, by the zoo's
    own name. Models of variable rate have one file for every quality.

    Looked for in ``folder``, in that of the environment variable GESSO_COMPRESSAI, and in
    torch hub's cache, where CompressAI's own ``pretrained=True`` puts it.

    Raises:
        ModelError: it is in none of them; the message says where to put it.
        InputError: CompressAI is not installed, or has no such weights to point to.
    """
    known = library("zoo.image").model_urls | library("zoo.image_vbr").model_urls
    found = known.get(architecture, {}).get(metric, {})
    if isinstance(found, Mapping):
        found = found.get(quality)
    if found is None:
        raise InputError(
            f"CompressAI has no pretrained weights of {architecture!r} for metric {metric!r} and "
            f"quality {quality}; choose others, or pass checkpoint="
        )
    url: str = found
    name = url.rsplit("/", 1)[-1]
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    given = [Path(place) for place in (folder, os.environ.get(FOLDER_VARIABLE)) if place]
    for place in (*given, cache):
        if (place / name).is_file():
            return place / name
    raise ModelError(
        f"no weights of {architecture!r} quality {quality} here, and gesso downloads none; "
        f"put {name} (from {url}) into {cache} or into a folder that {FOLDER_VARIABLE} names, "
        "or use the codec 'hyperprior', which needs none (in the zoo: 'gesso-hyperprior')"
    )


def load_checkpoint(path: Path, architecture: str) -> tuple[Any, str]:
    """(the network, ready to code on the CPU; SHA-256 of the file in hex).

    Only tensors are unpickled. Tables for the entropy coder are the file's, where it has
    them, as the zoo's have.

    Raises:
        ModelError: the file is damaged, or of another architecture.
    """
    network, digest = read_network(path, architecture)
    return network.eval().requires_grad_(False), digest


def read_network(path: Path, architecture: str) -> tuple[Any, str]:
    """As :func:`load_checkpoint`, ready to be trained on; raises as that does."""
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        state = torch.load(path, map_location="cpu", weights_only=True)
        # Training scripts nest it so.
        state = next((state[key] for key in NESTED if key in state), state)
        network = build(architecture, library("zoo.pretrained").load_pretrained(state))
    except ODD as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path} holds no weights of {architecture!r} ({reason}); get the file anew"
        ) from error
    network.update()
    return network, digest


def build(architecture: str, state: Mapping[str, Any]) -> Any:
    """The network of that name in CompressAI's registry with the weights ``state``."""
    kind = network_class(architecture)
    # Which kind of hyperprior a network of variable rate has, only its weights tell.
    if any(name.startswith("gayn2zqstep") for name in state):
        return kind.from_state_dict(dict(state), vr_entbttlnck=True)
    return kind.from_state_dict(dict(state))


def network_class(architecture: str) -> Any:
    """Its class; raises InputError where this CompressAI has none."""
    models = library("registry").MODELS
    # Whoever asks for the registry alone has not filled it.
    library("models")
    name = CLASSES.get(architecture, architecture)
    if name not in models:
        raise InputError(f"this CompressAI has no {name!r}; run: pip install -U compressai")
    return models[name]
