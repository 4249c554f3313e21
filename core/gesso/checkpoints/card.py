"""The model card of a folder that somebody else wrote."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from gesso.cards import ModelCard, Role
from gesso.checkpoints.autoencoders import autoencoder_folder, read_autoencoder
from gesso.checkpoints.folder import AUTOENCODERS, Checkpoint, Part, class_of, read
from gesso.checkpoints.hub import fetch, is_hub_name
from gesso.errors import ModelError

__all__ = ["CheckpointCard", "card_of"]

# As the embedded models' presets; a consistency model goes all the way in one evaluation.
FAST: Mapping[str, Any] = {"fast": {"steps": 1, "sampler": "one-step"}}
ALL: Mapping[str, Any] = {
    **FAST,
    "medium": {"steps": 10, "sampler": "ode"},
    "slow": {"steps": 30, "sampler": "dps"},
}
PREDICTS = {"epsilon": "noise", "v_prediction": "velocity", "sample": "the picture"}


@dataclass(frozen=True)
class CheckpointCard(ModelCard):
    """The card of a checkpoint in diffusers' format; made when it is asked for, never stored.

    Attributes:
        files: whatever decides the result, weights first, relative to ``folder``; ``sha256``
            is the digest of them all.
        latent: it is a prior of latents, and brings their autoencoder.
    """

    files: tuple[str, ...] = ()
    latent: bool = False

    @property
    def path(self) -> Path:
        """The U-Net's weights, or a shard of them."""
        return self.folder / self.files[0]

    def verify(self) -> Path:
        """The U-Net's weights, once all files are what they were; else raises ModelError."""
        if _digest(self.folder, self.files) != self.sha256:
            raise ModelError(f"{self.folder} has changed since it was first used; start anew")
        return self.path


def card_of(name: str, role: Role = "prior") -> ModelCard | None:
    """The card of a folder or of ``hf:owner/name``; None where the name is neither.

    A folder with ``card.json`` is one of ours; else it is read as diffusers'. Either goes by
    its absolute path from then on. A folder that holds but one model is that, whatever ``role``
    says; of a pipeline, ``autoencoder`` is its ``vae``.

    Raises:
        ModelError: the folder holds no model that gesso can run.
    """
    folder = fetch(name) if is_hub_name(name) else Path(name).expanduser()
    if not folder.is_dir():
        return None
    folder = folder.resolve()
    if (folder / "card.json").is_file():
        return replace(ModelCard.read(folder), name=str(folder))
    if not any((folder / file).is_file() for file in ("model_index.json", "config.json")):
        raise ModelError(
            f"{folder} holds no model: neither card.json, which is gesso's, nor model_index.json "
            "or config.json, which are diffusers'"
        )
    if role == "autoencoder":
        folder = autoencoder_folder(folder)
    if role == "autoencoder" or class_of(folder) in AUTOENCODERS:
        return _autoencoder_card(read_autoencoder(folder))
    return _card(read(folder))


def _autoencoder_card(part: Part) -> CheckpointCard:
    config, files = part.config, (*part.weights.files[-1:], *part.weights.files[:-1], "config.json")
    return CheckpointCard(
        name=str(part.folder),
        role="autoencoder",
        factory="gesso.autoencoder:load_autoencoder",
        folder=part.folder,
        weights=files[0],
        sha256=_digest(part.folder, files),
        summary=f"{part.kind} in diffusers' format, {config.get('latent_channels', 4)} channels",
        licence="its publisher's",
        files=files,
    )


def _card(checkpoint: Checkpoint) -> CheckpointCard:
    """Without tables of noise: the default prior's say what codecs do, whatever the model."""
    folder, wishes = checkpoint.folder, checkpoint.wishes
    scheduler = checkpoint.scheduler
    family = f"predicts {PREDICTS[str(scheduler.get('prediction_type', 'epsilon'))]}"
    if checkpoint.kind == "consistency":
        family = "consistency model"
    return CheckpointCard(
        name=str(folder),
        role="prior",
        factory="gesso.checkpoints:load_checkpoint",
        folder=folder,
        weights=Path(checkpoint.files[0]).name,
        sha256=_digest(folder, checkpoint.files),
        summary=(
            f"{'latent ' if checkpoint.vae else ''}{checkpoint.unet.kind} in diffusers' format, "
            f"{scheduler.get('_class_name')}, {family}"
        ),
        licence="its publisher's",
        settings={
            "noise_scale": dict.fromkeys(("decoded", "posterior_mean"), wishes.noise_scale),
            "presets": wishes.presets or (FAST if checkpoint.kind == "consistency" else ALL),
        },
        files=checkpoint.files,
        latent=checkpoint.vae is not None,
    )


def _digest(folder: Path, files: tuple[str, ...]) -> str:
    """SHA-256 over every file's name and SHA-256; files that did not change are hashed once."""
    whole = hashlib.sha256()
    for name in files:
        try:
            state = (folder / name).stat()
            part = _hash(folder / name, state.st_size, state.st_mtime_ns)
        except OSError as error:
            raise ModelError(f"{folder / name} cannot be read: {error}") from error
        whole.update(f"{Path(name).as_posix()}\0{part}\n".encode())
    return whole.hexdigest()


@lru_cache(maxsize=64)
def _hash(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
