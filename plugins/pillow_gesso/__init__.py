"""gesso in Pillow: preprocessing on save, enhancement on open, a filter, and ``.gsl`` files.

>>> import pillow_gesso
>>> pillow_gesso.register()  # doctest: +SKIP
>>> im.save("a.jpg", quality=30, preprocess=True)  # doctest: +SKIP
>>> Image.open("a.jpg", formats=["ENHANCED-JPEG"])  # doctest: +SKIP
>>> im.filter(pillow_gesso.Enhance(preset="medium"))  # doctest: +SKIP
>>> im.save("a.gsl", quality=64)  # doctest: +SKIP
>>> Image.open("a.gsl", formats=["ENHANCED-GSL"])  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gesso.latent.codec import LatentCodec as Latent
    from gesso.latent.repair import RepairOptions as Repair
    from gesso.options import PreprocessOptions as Preprocess
    from pillow_gesso.filtering import Enhance
    from pillow_gesso.registration import register, unregister, using

__all__ = ["Enhance", "Latent", "Preprocess", "Repair", "register", "unregister", "using"]

# Resolved on first use (PEP 562): plug-in discovery must not wait for Pillow.
_HOMES = {
    "Enhance": ("pillow_gesso.filtering", "Enhance"),
    "Latent": ("gesso.latent.codec", "LatentCodec"),
    "Preprocess": ("gesso.options", "PreprocessOptions"),
    "Repair": ("gesso.latent.repair", "RepairOptions"),
    "register": ("pillow_gesso.registration", "register"),
    "unregister": ("pillow_gesso.registration", "unregister"),
    "using": ("pillow_gesso.registration", "using"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pillow_gesso' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
