"""Butteraugli by libjxl's own program, where it is installed.

J. Alakuijala et al., "Guetzli: Perceptually Guided JPEG Encoder", 2017 (arXiv 1703.04421), as
libjxl has developed it since.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.errors import InputError
from gesso.programs import ProgramError, program, run

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["butteraugli", "missing_butteraugli"]

PROGRAM = "butteraugli_main"
MEND = "install libjxl-devtools (Debian), or leave butteraugli out"


def butteraugli(reference: Tensor, picture: Tensor) -> Tensor:
    """The 3-norm of libjxl's Butteraugli of (B, 3, H, W) stills in [0, 1] -> (B,); 0 is equal.

    Of 8-bit sRGB pictures seen at 80 cd/m2, the program's default. About 1 is hard to see.
    The 3-norm is libjxl's summary of the whole picture; the maximum, which the older program
    ``butteraugli`` prints, is that of the worst spot. Without gradient.
    """
    import torch

    command = program(PROGRAM, MEND)
    scores = []
    with tempfile.TemporaryDirectory(prefix="gesso-") as folder:
        files = [Path(folder) / "reference.png", Path(folder) / "picture.png"]
        for pair in zip(reference, picture, strict=True):
            for tensor, file in zip(pair, files, strict=True):
                _save(tensor, file)
            scores.append(_score(command, files))
    return torch.tensor(scores, device=picture.device)


def missing_butteraugli() -> str | None:
    """Why Butteraugli cannot be had here, with the mend; None when it can."""
    try:
        program(PROGRAM, MEND)
    except InputError as error:
        return str(error)
    return None


def _save(tensor: Tensor, file: Path) -> None:
    from PIL import Image

    data = tensor.detach().mul(255).round().clamp(0, 255).byte().permute(1, 2, 0)
    Image.fromarray(data.cpu().contiguous().numpy()).save(file, compress_level=1)


def _score(command: str, files: list[Path]) -> float:
    said = run([command, *files]).decode("utf-8", "replace")
    for line in said.splitlines():
        label, _, value = line.partition(":")
        if label == "3-norm":
            return float(value)
    raise ProgramError(f"{PROGRAM} printed no 3-norm: {said.strip()[-200:]}")
