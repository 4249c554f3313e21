"""Metrics by formula, without a network: PSNR, SSIM and MS-SSIM."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, cast

from gesso.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["missing_ssim", "ms_ssim", "psnr", "ssim"]

MEND = "run: pip install 'gesso[evaluate]'"


def psnr(reference: Tensor, picture: Tensor) -> Tensor:
    """10 log10(1 / MSE) in dB over all channels; infinite for equal pictures."""
    error = (reference - picture).square().mean((1, 2, 3))
    return -10 * error.log10()


def ssim(reference: Tensor, picture: Tensor) -> Tensor:
    """SSIM (Wang, Bovik, Sheikh, Simoncelli, IEEE TIP 13(4), 2004), 1 for equal pictures.

    Gaussian window of 11 pixels and sigma 1.5, K = (0.01, 0.03), only where the window fits,
    at the pictures' own size, mean over R, G and B. By ``pytorch-msssim``, as CompressAI.
    """
    return cast("Tensor", _library().ssim(reference, picture, data_range=1.0, size_average=False))


def ms_ssim(reference: Tensor, picture: Tensor) -> Tensor:
    """MS-SSIM (Wang, Simoncelli, Bovik, Asilomar 2003), 1 for equal pictures.

    Five scales with the paper's exponents over the SSIM above, mean over R, G and B. By
    ``pytorch-msssim``, which learned compression reports; sides that are no multiple of 16
    are padded with zeros on the way down, which shows in the fifth decimal.
    """
    return cast(
        "Tensor", _library().ms_ssim(reference, picture, data_range=1.0, size_average=False)
    )


def missing_ssim() -> str | None:
    """Why SSIM cannot be had here, with the mend; None when it can."""
    if importlib.util.find_spec("pytorch_msssim") is None:
        return f"SSIM needs the package pytorch-msssim; {MEND}"
    return None


def _library() -> Any:
    try:
        import pytorch_msssim
    except ImportError as error:
        raise ModelError(missing_ssim() or str(error)) from error
    return pytorch_msssim
