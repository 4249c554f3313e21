"""CompressAI, imported on first use, with what it says about others' deprecations kept out."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from gesso.errors import InputError

__all__ = ["library"]

# CompressAI's point-cloud models import torch_geometric, which is what these come from.
DEPRECATED = ("`torch.jit.script` is deprecated",)


def library(module: str) -> Any:
    """The module ``compressai.<module>``.

    Raises:
        InputError: CompressAI is not installed, or does not load.
    """
    with warnings.catch_warnings():
        for message in DEPRECATED:
            warnings.filterwarnings("ignore", message=message)
        try:
            return importlib.import_module(f"compressai.{module}")
        except ImportError as error:
            raise InputError(
                f"learned codecs need CompressAI ({error}); run: pip install 'gesso[compressai]'"
            ) from error
