"""Which safetensors of a folder hold its weights: whole, sharded, or a variant such as fp16."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gesso.errors import ModelError

__all__ = ["Weights", "choose", "find"]

# The first of these that is there; then any other by name.
PREFERRED = (None, "fp32", "bf16", "fp16")
PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Weights:
    """The weights of one network.

    Attributes:
        variant: as diffusers calls it, such as ``fp16``; None is the plain one.
        files: names in their folder; the index first where they are sharded.
    """

    variant: str | None
    files: tuple[str, ...]


def choose(names: Iterable[str], stem: str, place: str) -> Weights:
    """The weights among file names of one folder; diffusers' and transformers' naming.

    Args:
        names: of files, without their folder.
        stem: ``diffusion_pytorch_model`` or ``model``.
        place: the folder, for messages.

    Raises:
        ModelError: there are none, or none but pickles.
    """
    there = set(names)
    name = re.escape(stem)
    whole = re.compile(rf"{name}(?:\.([^.]+))?\.safetensors")
    index = re.compile(rf"{name}\.safetensors\.index(?:\.([^.]+))?\.json")
    found: dict[str | None, tuple[str, ...]] = {}
    for file in sorted(there):
        if match := index.fullmatch(file):
            part = re.compile(_shards(name, match[1]))
            found[match[1]] = (file, *sorted(f for f in there if part.fullmatch(f)))
    for file in sorted(there):
        # a shard of a variant looks like a variant of its own
        if (match := whole.fullmatch(file)) and not re.search(r"-\d{5}-of-\d{5}", file):
            found[match[1]] = (file,)
    for variant in (*PREFERRED, *sorted(v for v in found if v)):
        if variant in found:
            return Weights(variant, found[variant])
    pickles = sorted(file for file in there if file.endswith(PICKLES))
    if pickles:
        raise ModelError(
            f"{place} has its weights as {pickles[0]} only, a pickle, which may run code and is "
            "never loaded; convert it with the package safetensors, as by diffusers' "
            "save_pretrained(..., safe_serialization=True)"
        )
    raise ModelError(f"{place} has no {stem}.safetensors; complete the download")


def _shards(name: str, variant: str | None) -> str:
    middle = rf"\.{re.escape(variant)}" if variant else ""
    return rf"{name}{middle}-\d{{5}}-of-\d{{5}}\.safetensors"


def find(folder: Path, stem: str) -> Weights:
    """:func:`choose` in a folder, with every shard that the index names.

    Raises:
        ModelError: no safetensors, a damaged index or a missing shard.
    """
    weights = choose((path.name for path in folder.iterdir()), stem, str(folder))
    if not weights.files[0].endswith(".json"):
        return weights
    path = folder / weights.files[0]
    try:
        shards = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is no index of shards ({error}); download it anew") from error
    for shard in shards:
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise ModelError(f"{path} names {shard!r}; only safetensors beside it are loaded")
        if not (folder / shard).is_file():
            raise ModelError(f"{folder / shard} is missing, which {path.name} names; download it")
    return Weights(weights.variant, (path.name, *shards))
