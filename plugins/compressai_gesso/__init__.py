"""Learned codecs for gesso through CompressAI, and the training of a small one.

    from compressai_gesso import HYPERPRIOR
    data = HYPERPRIOR.encode(image, 2)

CompressAI is imported when a codec is first used, and missing weights are never fetched.
"""

from __future__ import annotations

from compressai_gesso.codecs import HYPERPRIOR, ZOO, Hyperprior, LearnedCodec, ZooCodec

__all__ = ["HYPERPRIOR", "ZOO", "Hyperprior", "LearnedCodec", "ZooCodec"]
