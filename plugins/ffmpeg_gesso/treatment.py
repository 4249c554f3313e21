"""Batches of raw frames through the model that a node names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import gesso_hooks
from gesso.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

    from ffmpeg_gesso.pixels import Raw
    from ffmpeg_gesso.wishes import Wish
    from gesso.frame import Frame

__all__ = ["Identity", "Model", "Treatment"]

BATCH_ON_DEVICE = 4


class Treatment(Protocol):
    """What treats batches of pictures.

    Attributes:
        batch: pictures that :meth:`apply` should get at once.
    """

    batch: int

    def apply(self, pictures: Sequence[Any]) -> list[Any]:
        """As many pictures as came in, each a buffer."""
        ...


class Identity:
    """Hands every picture back; loads no model, nor what models need."""

    batch = 1

    def apply(self, pictures: Sequence[Any]) -> list[Any]:
        """The same pictures."""
        return list(pictures)


class Model:
    """A node with a model, at work on one stream, in order.

    Args:
        wish: of the node.
        raw: the pictures of the stream.

    Raises:
        InputError: no such device or dtype.
    """

    def __init__(self, wish: Wish, raw: Raw) -> None:
        from ffmpeg_gesso.following import Follower
        from gesso.runtime import Runtime

        self._wish, self._raw = wish, raw
        gesso_hooks.load()
        # At most half a tile, in steps of 64, which the grids of our models divide.
        overlap = min(Runtime.overlap, wish.tile // 2 // 64 * 64)
        runtime = Runtime(wish.device, wish.dtype, wish.tile, overlap)
        many = BATCH_ON_DEVICE if runtime.device.type != "cpu" else 1
        self.batch = wish.batch or many
        self._runtime = replace(runtime, batch=self.batch)
        follows = wish.mode == "enhance" and wish.noise == "followed"
        self._follower = Follower() if follows else None

    def apply(self, pictures: Sequence[Any]) -> list[Any]:
        """The pictures treated; those left alone are handed back bit for bit.

        Raises:
            ModelError: a plug-in gave pictures of another size or number, or no numbers.
        """
        from gesso.frame import Frame

        rgb = self._raw.rgb(pictures)
        frame = replace(Frame.of(rgb), places=self._places(rgb))
        result = self._step(frame)
        if result is frame:
            return list(pictures)
        found = result.rgb
        if found.shape != rgb.shape:
            raise ModelError(
                f"a plug-in turned {tuple(rgb.shape)} samples into {tuple(found.shape)}; "
                "update or uninstall it"
            )
        change = found.to(rgb.device) - rgb
        if not bool(change.isfinite().all()):
            raise ModelError("a plug-in gave samples that are not finite; update or uninstall it")
        return [self._raw.changed(*pair) for pair in zip(pictures, change, strict=True)]

    def _places(self, rgb: Tensor) -> Tensor | None:
        """Where the noise of each pixel is; None is at the pixel itself."""
        import torch

        if self._follower is None:
            return None
        frames = rgb.to(self._runtime.device)
        return torch.stack([self._follower.follow(frame) for frame in frames])

    def _step(self, frame: Frame) -> Frame:
        wish = self._wish
        if wish.mode == "enhance":
            return gesso_hooks.after_decode(frame, wish.target, wish.enhance, self._runtime)
        if wish.target is None:
            return frame
        return gesso_hooks.before_encode(frame, wish.target, wish.preprocess, self._runtime)
