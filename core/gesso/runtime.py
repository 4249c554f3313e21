"""Where and how a model runs: device, dtype, tiles, batches, progress."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gesso.errors import InputError

if TYPE_CHECKING:
    import torch

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
    """

    device_name: str = "auto"
    dtype_name: str = "auto"
    tile: int = 1024
    overlap: int = 128
    batch: int = 1
    progress: Progress | None = None

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


def _has_fast_bf16(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # Without AVX-512 BF16 or AMX, bf16 is emulated and slower than fp32.
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return False
