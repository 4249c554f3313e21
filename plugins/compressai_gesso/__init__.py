"""gesso in CompressAI: its zoo with a generative model on either side, and learned codecs.

>>> import compressai_gesso
>>> from compressai.zoo import image_models  # doctest: +SKIP
>>> net = image_models["gesso-hyperprior"](quality=2, pretrained=True)  # doctest: +SKIP
>>> net = image_models["gesso-jpeg"](quality=4, preset="medium")  # doctest: +SKIP

The entries ``gesso-...`` are in the zoo as soon as this package and ``compressai.zoo`` have
both been imported, in whichever order; `unregister` takes them out. Importing this package
imports neither CompressAI nor torch, and missing weights are never fetched unasked.

    from compressai_gesso import HYPERPRIOR
    data = HYPERPRIOR.encode(image, 2)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from compressai_gesso.codecs import HYPERPRIOR, ZOO, Hyperprior, LearnedCodec, ZooCodec
from compressai_gesso.registration import register, register_on_import, unregister

if TYPE_CHECKING:
    from compressai_gesso.asking import using
    from compressai_gesso.files import FileModel
    from compressai_gesso.sandwich import Sandwich

__all__ = [
    "HYPERPRIOR",
    "ZOO",
    "FileModel",
    "Hyperprior",
    "LearnedCodec",
    "Sandwich",
    "ZooCodec",
    "register",
    "unregister",
    "using",
]

# Resolved on first use (PEP 562): plug-in discovery must not wait for torch.
_HOMES = {"FileModel": "files", "Sandwich": "sandwich", "using": "asking"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'compressai_gesso' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"compressai_gesso.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


register_on_import()
