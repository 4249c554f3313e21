"""Codecs between gesso, and its latent one, for CompressAI's ``bench``; imports CompressAI."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from compressai_gesso.architectures import FILES, LATENT, PREFIX, class_of
from compressai_gesso.asking import ambient
from compressai_gesso.files import image_of, tensor_of
from compressai_gesso.library import library

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["CODECS"]

Codec: Any = library("utils.bench.codecs").Codec


class _Bench(Codec):  # type: ignore[misc]  # CompressAI has no types
    """A codec by the name of its class; processes of ``--num-jobs`` are sent a copy."""

    kind: ClassVar[str]

    def __init__(self, args: Any) -> None:
        super().__init__(args)
        self.sides = ambient()

    @classmethod
    def setup_args(cls, parser: Any) -> None:
        """No arguments of its own."""

    @property
    def name(self) -> str:
        """As in the zoo."""
        return PREFIX + self.kind

    @property
    def description(self) -> str:
        """For the JSON document."""
        return f"{self.kind} between gesso"

    def _run_impl(self, in_filepath: str, quality: int) -> tuple[dict[str, float], Image.Image]:
        image = self._load_img(in_filepath)
        model = class_of(self.kind)(quality, **self.sides).eval()
        with torch.no_grad():
            began = time.time()
            coded = model.compress(tensor_of(image))
            encoded = time.time()
            x_hat = model.decompress(coded["strings"], coded["shape"])["x_hat"]
            decoded = time.time()
        figures = {
            "bpp": 8 * len(coded["strings"][0][0]) / (image.width * image.height),
            "encoding_time": encoded - began,
            "decoding_time": decoded - encoded,
        }
        return figures, image_of(x_hat[0])


CODECS: list[type[Any]] = []
# By name in this module, so that they can be sent to other processes.
for _kind in (*FILES, LATENT):
    _body = {"kind": _kind, "__module__": __name__, "__doc__": f"{_kind} between gesso."}
    CODECS.append(type(PREFIX + _kind, (_Bench,), _body))
    globals()[PREFIX + _kind] = CODECS[-1]
