"""Checkpoints without pickles: tensors in safetensors, everything else in JSON."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from gesso.errors import InputError

__all__ = ["load_checkpoint", "save_checkpoint"]

Tensors = dict[str, dict[str, Tensor]]


def save_checkpoint(
    folder: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    generator: torch.Generator,
    state: Mapping[str, Any],
) -> None:
    """Write all of it, then swap the finished folder in: a killed run keeps its last one."""
    groups = {name: dict(group) for name, group in tensors.items()}
    moments = optimizer.state_dict()["state"]
    groups["optimizer"] = {
        f"{index}.{name}": value for index, slot in moments.items() for name, value in slot.items()
    }
    groups["generator"] = {"state": generator.get_state()}
    flat = {
        f"{group}/{name}": value.detach().cpu().contiguous()
        for group, members in groups.items()
        for name, value in members.items()
    }
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file(flat, fresh / "state.safetensors")
    (fresh / "state.json").write_text(json.dumps(state), encoding="utf-8")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(fresh, folder)
    shutil.rmtree(old, ignore_errors=True)


def load_checkpoint(
    folder: Path, optimizer: torch.optim.Optimizer, generator: torch.Generator
) -> tuple[Tensors, dict[str, Any]]:
    """Fill ``optimizer`` and ``generator`` from ``folder``; return the other tensors and state."""
    try:
        flat = load_file(folder / "state.safetensors")
        state: dict[str, Any] = json.loads((folder / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(
            f"{folder} is not a checkpoint ({error}); remove it to start anew"
        ) from error
    groups: Tensors = {}
    for key, value in flat.items():
        group, name = key.split("/", 1)
        groups.setdefault(group, {})[name] = value
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in groups.pop("optimizer", {}).items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(
        {"state": slots, "param_groups": optimizer.state_dict()["param_groups"]}
    )
    generator.set_state(groups.pop("generator")["state"])
    return groups, state
