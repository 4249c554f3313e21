"""Clones: a picture whose pixels are treated as they are loaded, the original untouched."""

from __future__ import annotations

import types
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image

if TYPE_CHECKING:
    from PIL._imaging import ImagingCore

__all__ = ["clone"]

# What Image.save keeps on the picture it is called on.
SAVING = {"encoderinfo", "encoderconfig", "_default_encoderinfo"}


def clone(image: Image.Image, treat: Callable[[ImagingCore], ImagingCore]) -> Image.Image:
    """A stand-in for ``image`` that save handlers cannot tell from it but by its pixels.

    It has the class, attributes and frames of the original and is filled frame by frame:
    ``seek`` moves the original, ``load`` runs ``treat`` on the frame's pixels. ``treat``
    returns other pixels of the same mode and size and leaves those it is given alone.
    """
    kind = _kind(type(image))  # type: ignore[arg-type]  # a picture has no hash, its class has
    stand_in: Image.Image = kind.__new__(kind)
    stand_in.__dict__.update(image.__dict__)
    stand_in.__dict__.update(_gesso_source=image, _gesso_treat=treat, _gesso_made=None)
    return stand_in


class _Clone(Image.Image):
    _gesso_source: Image.Image
    _gesso_treat: Callable[[ImagingCore], ImagingCore]
    _gesso_made: tuple[int, ImagingCore] | None

    def load(self) -> Any:
        source = self._gesso_source
        source.load()
        self._gesso_follow()
        if self._gesso_made is None or self._gesso_made[0] != source.tell():
            self._gesso_made = source.tell(), self._gesso_treat(source.im)
        self._im = self._gesso_made[1]
        return Image.Image.load(self)

    def seek(self, frame: int) -> None:
        self._gesso_source.seek(frame)
        self._gesso_follow()

    def tell(self) -> int:
        return self._gesso_source.tell()

    @property
    def n_frames(self) -> int:
        # An AttributeError where there is none, as in the original.
        return int(self._gesso_source.n_frames)  # type: ignore[attr-defined]  # of sequences

    @property
    def is_animated(self) -> bool:
        return bool(self._gesso_source.is_animated)  # type: ignore[attr-defined]  # as above

    def _gesso_follow(self) -> None:
        """Mode, size, info and tables of the original's frame."""
        state = self._gesso_source.__dict__
        self.__dict__.update({key: state[key] for key in state.keys() - SAVING})


@cache
def _kind(kind: type[Image.Image]) -> type[Image.Image]:
    body = {"__module__": __name__}
    return types.new_class(
        f"Clone{kind.__name__}", (_Clone, kind), exec_body=lambda space: space.update(body)
    )
