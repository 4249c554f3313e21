"""CompressAI's own pretrained checkpoints, from this machine only; nothing is downloaded."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from compressai_gesso.library import library
from gesso.errors import ModelError

__all__ = ["FOLDER_VARIABLE", "find_checkpoint", "load_checkpoint"]

FOLDER_VARIABLE = "GESSO_COMPRESSAI"
# What torch.load and CompressAI's from_state_dict raise for files that are none of theirs.
ODD = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, EOFError,
    pickle.UnpicklingError,
)  # fmt: skip


def find_checkpoint(architecture: str, quality: int, folder: str | None = None) -> Path:
    """The file of CompressAI's zoo for an MSE-optimised model, by the zoo's own name.

    Looked for in ``folder``, in that of the environment variable GESSO_COMPRESSAI, and in
    torch hub's cache, where CompressAI's own ``pretrained=True`` puts it.

    Raises:
        ModelError: it is in none of them; the message says where to put it.
        InputError: CompressAI is not installed.
    """
    url: str = library("zoo.image").model_urls[architecture]["mse"][quality]
    name = url.rsplit("/", 1)[-1]
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    given = [Path(place) for place in (folder, os.environ.get(FOLDER_VARIABLE)) if place]
    for place in (*given, cache):
        if (place / name).is_file():
            return place / name
    raise ModelError(
        f"no weights of {architecture!r} quality {quality} here, and gesso downloads none; "
        f"put {name} (from {url}) into {cache} or into a folder that {FOLDER_VARIABLE} names, "
        "or use the codec 'hyperprior', which needs none"
    )


def load_checkpoint(path: Path, architecture: str) -> tuple[Any, str]:
    """(the network, ready to code on the CPU; SHA-256 of the file in hex).

    Only tensors are unpickled. Tables for the entropy coder are the file's, where it has
    them, as the zoo's have.

    Raises:
        ModelError: the file is damaged, or of another architecture.
    """
    zoo = library("zoo.image")
    try:
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        state = torch.load(path, map_location="cpu", weights_only=True)
        # Training scripts nest it so.
        state = state.get("state_dict", state)
        state = library("zoo.pretrained").load_pretrained(state)
        network = zoo.model_architectures[architecture].from_state_dict(state)
    except ODD as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"{path} holds no weights of {architecture!r} ({reason}); get the file anew"
        ) from error
    network.update()
    return network.eval().requires_grad_(False), digest
