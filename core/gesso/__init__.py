"""gesso: a generative model on either side of a codec that stays as it is.

>>> import gesso
>>> natural = gesso.enhance(picture, codec="jpeg", quality=20)  # doctest: +SKIP
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gesso.cards import ModelCard, load, models
    from gesso.codec import Codec
    from gesso.enhancer import enhance
    from gesso.errors import GessoError, InputError, ModelError
    from gesso.frame import Frame
    from gesso.latent.codec import LatentCodec
    from gesso.latent.repair import RepairOptions
    from gesso.options import EnhanceOptions, PreprocessOptions
    from gesso.preprocessor import preprocess
    from gesso.runtime import Runtime
    from gesso.target import Target

__version__ = "0.1.0"

__all__ = [
    "Codec",
    "EnhanceOptions",
    "Frame",
    "GessoError",
    "InputError",
    "LatentCodec",
    "ModelCard",
    "ModelError",
    "PreprocessOptions",
    "RepairOptions",
    "Runtime",
    "Target",
    "__version__",
    "enhance",
    "load",
    "models",
    "preprocess",
]

# Resolved on first use (PEP 562): `import gesso` must not wait for torch.
_HOMES = {
    "Codec": "codec",
    "EnhanceOptions": "options",
    "Frame": "frame",
    "GessoError": "errors",
    "InputError": "errors",
    "LatentCodec": "latent.codec",
    "ModelCard": "cards",
    "ModelError": "errors",
    "PreprocessOptions": "options",
    "RepairOptions": "latent.repair",
    "Runtime": "runtime",
    "Target": "target",
    "enhance": "enhancer",
    "load": "cards",
    "models": "cards",
    "preprocess": "preprocessor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'gesso' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"gesso.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
