"""``hf:owner/name``: the one name for which a connection may be opened."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path, PurePosixPath

from gesso.checkpoints.folder import PROMPT
from gesso.checkpoints.weights import choose
from gesso.errors import ModelError

__all__ = ["fetch", "is_hub_name", "needed"]

NAME = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
NETWORKS = {
    "": "diffusion_pytorch_model",
    "unet": "diffusion_pytorch_model",
    "vae": "diffusion_pytorch_model",
    "controlnet": "diffusion_pytorch_model",
    "text_encoder": "model",
}


def is_hub_name(name: str) -> bool:
    """Whether a name asks for the hub."""
    return name.startswith("hf:")


@lru_cache(maxsize=16)
def fetch(name: str) -> Path:
    """The local snapshot of ``hf:owner/name`` or ``hf:owner/name@revision``.

    Files that huggingface_hub keeps already are not fetched again; without a connection an
    earlier snapshot serves.

    Raises:
        ModelError: no such repository, no connection and no snapshot, or no safetensors in it.
    """
    from huggingface_hub import HfApi, snapshot_download

    match = NAME.fullmatch(name)
    if match is None:
        raise ModelError(f"{name!r} is no name on the hub; write hf:owner/name")
    repo, revision = match["repo"], match["revision"]
    # The hub's client raises its own errors, its transport's and OSError.
    try:
        files = HfApi().list_repo_files(repo, revision=revision)
    except Exception as error:
        try:
            return Path(snapshot_download(repo, revision=revision, local_files_only=True))
        except Exception:
            raise ModelError(
                f"{name} cannot be had from the hub ({error}); check the name and the connection, "
                "or pass the folder of a download"
            ) from error
    wanted = needed(files, name)
    try:
        return Path(snapshot_download(repo, revision=revision, allow_patterns=wanted))
    except Exception as error:
        raise ModelError(f"{name} could not be fetched whole: {error}") from error


def needed(files: Iterable[str], name: str) -> list[str]:
    """Which files of a repository are to be fetched: configs, tokenizer, one set of weights.

    Raises:
        ModelError: its weights are pickles, or missing.
    """
    folders: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        path = PurePosixPath(file)
        folders["" if path.parent == PurePosixPath(".") else str(path.parent)].append(path.name)
    networks = dict(NETWORKS)
    if "unet" in folders:
        del networks[""]
    if PROMPT in folders[""]:
        del networks["text_encoder"]
    wanted = [PROMPT] if PROMPT in folders[""] else []
    for folder in ("", "scheduler", "tokenizer", *networks):
        kept = [f for f in folders[folder] if f.endswith((".json", ".txt"))]
        if folder in networks and folder in folders and folders[folder]:
            weights = choose(folders[folder], networks[folder], f"{name}/{folder}".rstrip("/"))
            kept = [f for f in kept if not f.endswith(".json") or ".index" not in f]
            kept += weights.files
        wanted += [f"{folder}/{f}" if folder else f for f in kept]
    return sorted(set(wanted))
