"""Autoencoders of a folder: what it holds, and the network in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gesso.checkpoints.folder import AUTOENCODERS, Part, read_part
from gesso.checkpoints.network import build
from gesso.errors import ModelError

if TYPE_CHECKING:
    from gesso.autoencoder import Autoencoder
    from gesso.runtime import Runtime

__all__ = ["autoencoder_folder", "build_autoencoder", "read_autoencoder"]


def autoencoder_folder(folder: Path) -> Path:
    """Where a folder's autoencoder is: a pipeline's in ``vae``, a bare one in the folder itself.

    Raises:
        ModelError: a pipeline without one.
    """
    if not (folder / "model_index.json").is_file():
        return folder
    if not (folder / "vae").is_dir():
        raise ModelError(
            f"{folder} has no vae; pass the folder of an {' or '.join(AUTOENCODERS)}, or of a "
            "pipeline that has one"
        )
    return folder / "vae"


def read_autoencoder(folder: Path) -> Part:
    """What a bare autoencoder's folder holds; raises ModelError for anything else."""
    part = read_part(folder)
    if part.kind not in AUTOENCODERS:
        raise ModelError(
            f"{folder} holds a {part.kind}; as autoencoders gesso runs {' and '.join(AUTOENCODERS)}"
        )
    return part


def build_autoencoder(part: Part, runtime: Runtime) -> Autoencoder:
    """The autoencoder of a part; AutoencoderKL in float32 whatever the runtime's dtype.

    Raises:
        ModelError: weights that do not fit, or no autoencoder of RGB pictures.
    """
    import torch

    from gesso.autoencoder import Autoencoder

    dtype = runtime.dtype if part.kind == "AutoencoderTiny" else torch.float32
    return Autoencoder(build(part, runtime, dtype), dtype)
