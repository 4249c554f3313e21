"""Opening: files whose pixels are enhanced when they are loaded, and nothing else changes."""

from __future__ import annotations

import math
import os
import threading
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile

from gesso.errors import InputError
from gesso.rate import bits_per_pixel, target_of_rate
from gesso.target import Target
from pillow_gesso.filtering import Enhance
from pillow_gesso.treatment import treatable
from pillow_gesso.wishes import ambient_enhance

if TYPE_CHECKING:
    from gesso.jpeg import JpegCoefficients
    from pillow_gesso.registration import Registration

__all__ = ["FORMATS", "PREFIX", "Factory", "ambient_factory", "enhanced_entry"]

FORMATS = ("JPEG", "WEBP", "AVIF")
PREFIX = "ENHANCED-"
Factory = Callable[[IO[bytes], "str | bytes"], ImageFile.ImageFile]
Accept = Callable[[bytes], "bool | str"]
_lock = threading.Lock()


def ambient_factory(stock: Factory, registration: Registration) -> Factory:
    """``stock``, whose pictures are enhanced while `using` asks for it."""

    def factory(fp: IO[bytes], filename: str | bytes) -> ImageFile.ImageFile:
        image = stock(fp, filename)
        wish = ambient_enhance.get()
        if wish is not None and registration.live:
            _begin(image, fp, wish, strict=False)
        return image

    return factory


def enhanced_entry(name: str, registration: Registration) -> tuple[Factory, Accept]:
    """An entry for ``Image.OPEN`` whose pictures are always enhanced."""

    # Whatever opens that format when it is needed: others may have wrapped it since.
    def factory(fp: IO[bytes], filename: str | bytes) -> ImageFile.ImageFile:
        image = Image.OPEN[name][0](fp, filename)
        _begin(image, fp, registration.enhance, strict=True)
        return image

    def accept(prefix: bytes) -> bool | str:
        stock = Image.OPEN[name][1]
        return stock is None or stock(prefix)

    return factory, accept


@dataclass(frozen=True)
class _Wish:
    """What is to happen to the pixels of an opened file.

    Attributes:
        enhance: how.
        strict: raise where it cannot be done; otherwise leave the pixels alone.
        rate: bits per pixel of the file; None where it states its quality.
    """

    enhance: Enhance
    strict: bool
    rate: float | None


def _begin(image: ImageFile.ImageFile, fp: IO[bytes], enhance: Enhance, strict: bool) -> None:
    """Make ``image``, as the stock factory gave it, one that is enhanced at load()."""
    stated = hasattr(image, "quantization")
    wish = _Wish(enhance, strict, None if stated else bits_per_pixel(image, fp))
    with _lock:  # two classes of one kind would make equal pictures unequal
        image.__class__ = _enhanced(type(image))
    image.__dict__["_gesso_wish"] = wish


class _Enhanced(ImageFile.ImageFile):
    """Mixed into a stock class: pixels are enhanced each time they have been decoded."""

    _gesso_kind: type[ImageFile.ImageFile]
    _gesso_wish: _Wish
    _gesso_due = False
    _gesso_jpeg: JpegCoefficients | None = None

    def load_prepare(self) -> None:
        super().load_prepare()
        # The stream is still there; it is closed before the pixels are all decoded.
        self._gesso_jpeg = self._gesso_stated()

    def load_end(self) -> None:
        super().load_end()
        self._gesso_due = True

    def load(self) -> Any:
        access = super().load()
        if self._gesso_due:
            # Still due when this raises: plain pixels must not pass for enhanced ones.
            self.im = self._gesso_pixels()
            self._gesso_due, self._gesso_jpeg = False, None
            access = super().load()
        return access

    def _gesso_pixels(self) -> Any:
        wish = self._gesso_wish
        if not wish.strict and not treatable(self.im):
            return self.im
        with self._gesso_named():
            if wish.rate == math.inf and wish.enhance.target is None:
                return self.im  # lossless: there is nothing to mend
            return wish.enhance.apply(self.im, self._gesso_target())

    def _gesso_stated(self) -> JpegCoefficients | None:
        """What a JPEG file states, where it is asked for."""
        from gesso.jpeg import JpegCoefficients, coefficients_for

        wish = self._gesso_wish
        if wish.rate is not None or wish.enhance.tradeoff == 0:
            return None
        if not wish.strict and self.mode not in ("RGB", "L"):
            return None
        with self._gesso_named():
            read = partial(JpegCoefficients.of_image, self)
            return coefficients_for(wish.enhance.options, read, wish.enhance.quality)

    @contextmanager
    def _gesso_named(self) -> Iterator[None]:
        """Say of which file an error tells."""
        try:
            yield
        except InputError as error:
            name = os.fsdecode(self.filename) or f"this {self.format} file"
            raise InputError(
                f"cannot enhance {name} on opening: {error}; or open it plainly"
            ) from error

    def _gesso_target(self) -> Target | None:
        """What the file was coded with; None where it cannot be told and does not matter."""
        wish = self._gesso_wish
        if wish.enhance.target is not None:
            if wish.enhance.codec == "jpeg":
                return replace(wish.enhance.target, jpeg=self._gesso_jpeg)
            return wish.enhance.target
        try:
            if wish.rate is None:
                target = Target.of_jpeg_tables(self.__dict__["quantization"])
                return replace(target, jpeg=self._gesso_jpeg)
            return target_of_rate(str(self.format).lower(), wish.rate)
        except InputError:
            if wish.enhance.needs_target:
                raise
            return None

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _revive, (self._gesso_kind,), self.__getstate__()


@cache
def _enhanced(kind: type[ImageFile.ImageFile]) -> type[ImageFile.ImageFile]:
    """The subclass of a stock class that enhances; of itself, if it does already."""
    if issubclass(kind, _Enhanced):
        return kind
    body = {"_gesso_kind": kind, "__module__": __name__}
    name = f"Enhanced{kind.__name__}"
    return types.new_class(name, (_Enhanced, kind), exec_body=lambda space: space.update(body))


def _revive(kind: type[ImageFile.ImageFile]) -> ImageFile.ImageFile:
    """An unpickled picture: its pixels are what they were, and equal to the original's."""
    with _lock:
        enhanced = _enhanced(kind)
    return enhanced.__new__(enhanced)
