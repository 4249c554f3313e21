"""gesso in ImageIO: ``plugin="gesso"`` reads enhanced pictures and writes preprocessed ones.

>>> import imageio_gesso
>>> imageio_gesso.register()  # doctest: +SKIP
>>> iio.imread("a.jpg", plugin="gesso", enhance="fast")  # doctest: +SKIP
>>> iio.imwrite("a.webp", x, plugin="gesso", quality=40, preprocess=True)  # doctest: +SKIP
>>> iio.imwrite("a.gsl", x, plugin="gesso", quality=64)  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gesso.latent.codec import LatentCodec as Latent
    from gesso.latent.repair import RepairOptions as Repair
    from gesso.options import EnhanceOptions as Enhance
    from gesso.options import PreprocessOptions as Preprocess
    from imageio_gesso.registration import register, unregister

__all__ = ["Enhance", "Latent", "Preprocess", "Repair", "register", "unregister"]

# Resolved on first use (PEP 562): plug-in discovery must not wait for ImageIO.
_HOMES = {
    "Enhance": ("gesso.options", "EnhanceOptions"),
    "Latent": ("gesso.latent.codec", "LatentCodec"),
    "Preprocess": ("gesso.options", "PreprocessOptions"),
    "Repair": ("gesso.latent.repair", "RepairOptions"),
    "register": ("imageio_gesso.registration", "register"),
    "unregister": ("imageio_gesso.registration", "unregister"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'imageio_gesso' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
