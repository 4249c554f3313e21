"""Where and how a model runs: device, dtype, tiles, batches, progress."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gesso.errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import nn

__all__ = ["Progress", "Runtime"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Runtime:
    """How models are run; the pixels differ only by rounding between two runtimes.

    Attributes:
        device_name: ``auto`` (CUDA, then MPS, then CPU) or any name that torch knows.
        dtype_name: ``auto`` (bf16 where the device computes in it natively, else fp32),
            ``fp32`` or ``bf16``.
        tile: side of a tile in pixels; larger pictures are cut into overlapping tiles.
        overlap: pixels that neighbouring tiles share, blended linearly.
        batch: tiles of a picture that go through the model at once.
        progress: called with (done, total) model evaluations.
        compiled: compile networks for each tile size (``torch.compile``; CUDA graphs on CUDA):
            minutes at first, then less time per tile. For many pictures of few sizes.
    """

    device_name: str = "auto"
    dtype_name: str = "auto"
    tile: int = 1024
    overlap: int = 128
    batch: int = 1
    progress: Progress | None = None
    compiled: bool = False

    @property
    def device(self) -> torch.device:
        """The torch device; raises InputError when the machine has none of that name."""
        import torch

        if self.device_name != "auto":
            try:
                device = torch.device(self.device_name)
                torch.empty(0, device=device)
            except (RuntimeError, AssertionError) as error:
                raise InputError(
                    f"device {self.device_name!r} is not to be had here; use 'auto' or 'cpu'"
                ) from error
            return device
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")

    @property
    def dtype(self) -> torch.dtype:
        """What models compute in; raises InputError for another name."""
        import torch

        named = {"fp32": torch.float32, "bf16": torch.bfloat16}
        if self.dtype_name in named:
            return named[self.dtype_name]
        if self.dtype_name != "auto":
            raise InputError(f"dtype must be auto, fp32 or bf16, got {self.dtype_name!r}")
        return torch.bfloat16 if _has_fast_bf16(self.device) else torch.float32

    def prepare(self, network: nn.Module) -> nn.Module:
        """The same network, to be compiled at its first call where that was asked for.

        Raises:
            InputError: this machine lacks the compiler that it takes.
        """
        if self.compiled:
            _check_compiler(self.device)
            # a picture has few tile sizes, and CUDA graphs hold for one
            mode = "reduce-overhead" if self.device.type == "cuda" else "default"
            network.compile(mode=mode, dynamic=False)
        return network


def _has_fast_bf16(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without AVX-512 BF16 or AMX, bf16 is emulated and slower than fp32.
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False


def _check_compiler(device: torch.device) -> None:
    """Raise InputError for what ``torch.compile`` would else fail for amid a picture."""
    if device.type == "cuda" and importlib.util.find_spec("triton") is None:
        raise InputError("compiling for CUDA needs the package triton; install it, or do without")
    # where triton, and torch for a CPU, look for them
    language, variable, usual = "C++", "CXX", ("g++", "clang++")
    if device.type == "cuda":
        language, variable, usual = "C", "CC", ("gcc", "clang")
    named = os.environ.get(variable)
    if not any(map(shutil.which, [named] if named else usual)):
        raise InputError(
            f"compiling a network needs a {language} compiler; install one (as by: apt install "
            f"g++), name yours in the environment as {variable}, or do without compiling"
        )
