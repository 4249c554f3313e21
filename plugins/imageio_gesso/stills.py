"""Pictures: ImageIO's own Pillow plug-in, around whose pixels gesso works."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import Context
from dataclasses import replace
from typing import Any

import numpy as np
from imageio.core.request import URI_FILENAME, InitializationError, Request
from imageio.plugins.pillow import PillowPlugin
from numpy.typing import NDArray
from PIL import Image, JpegImagePlugin

import gesso_hooks
from gesso.codec import get_codec
from gesso.destination import CODECS, target_of_save
from gesso.errors import InputError
from gesso.files import replacing
from gesso.jpeg import JpegCoefficients, coefficients_for
from gesso.options import PreprocessOptions
from gesso.rate import bits_per_pixel, target_of_rate
from gesso.target import Target
from imageio_gesso.treatment import treated
from imageio_gesso.wishes import Look, as_preprocess
from imageio_gesso.writing import WholeWriter

__all__ = ["StillReader", "StillWriter"]

# Pillow's formats that one of our codecs writes, pillow-heif's among them.
FORMATS = {**CODECS, "HEIF": "heic"}
HEIF_QUALITY = 50.0  # x265's in libheif, which pillow-heif leaves to it
DEPTHS = {"I;16": "uint16", "I": "int32", "F": "float32"}


class StillReader:
    """Reads with the stock plug-in, and once more for pixels to enhance."""

    def __init__(self, request: Request, **kwargs: Any) -> None:
        self.stock = PillowPlugin(request, **_none(kwargs))
        self._spared = False

    def read(self, look: Look, **kwargs: Any) -> NDArray[Any]:
        """The stock plug-in's ``read``, enhanced."""
        with self._again(look) as enhanced:
            pixels: NDArray[Any] = enhanced.read(**kwargs)
            return pixels

    def iter(self, look: Look, **kwargs: Any) -> Iterator[NDArray[Any]]:
        """The stock plug-in's ``iter``, enhanced."""
        with self._again(look) as enhanced:
            yield from enhanced.iter(**kwargs)

    def close(self, failed: bool = False) -> None:
        """Close the file, but not a stream of the caller's that was read in full."""
        image: Any = self.stock._image
        if self._spared and image is not None:
            image.fp = None  # which Pillow closes where it has not decoded the pixels
        self.stock.close()

    def _again(self, look: Look) -> _Enhanced:
        """The file opened anew: a decoded JPEG no longer knows its coefficients."""
        self._spared = True
        stream = self.stock.request.get_file()
        at = stream.tell()
        stream.seek(0)
        data = stream.read()
        stream.seek(at)
        # An empty context: Pillow itself may have been told to enhance all that it opens.
        return Context().run(_Enhanced, data, look, self.stock.request)


class _Enhanced(PillowPlugin):
    """The stock plug-in on a file's bytes, its frames enhanced as they are decoded."""

    def __init__(self, data: bytes, look: Look, request: Request) -> None:
        super().__init__(Request(data, "r", extension=request.extension))
        image: Any = self._image
        name = request.filename
        self._named = f"this {image.format} file" if name in ("<file>", "<bytes>") else name
        self._look = look
        self._rate: float | None = None
        if FORMATS.get(image.format) not in (None, "jpeg"):
            self._rate = bits_per_pixel(image, io.BytesIO(data))

    def _apply_transforms(self, image: Image.Image, *transforms: Any) -> NDArray[Any]:
        """See the stock plug-in, which calls it for every frame."""
        try:
            picture = self._enhance(image)
        except InputError as error:
            raise InputError(
                f"cannot enhance {self._named} on reading: {error}; or leave enhance= out"
            ) from error
        pixels: NDArray[Any] = super()._apply_transforms(picture, *transforms)
        return pixels

    def _enhance(self, image: Image.Image) -> Image.Image:
        target = self._stated(image)  # the stream is there until the pixels are decoded
        if image.mode == "P":
            image = image.convert(image.palette.mode)  # type: ignore[union-attr]  # P has one
        if self._rate == np.inf and target is None:
            return image  # lossless: there is nothing to mend
        if target is None and self._look.needs_target:
            from gesso.enhancer import target_of

            target = target_of(image)
        options = self._look.options
        return treated(image, lambda frame: gesso_hooks.after_decode(frame, target, options))

    def _stated(self, image: Image.Image) -> Target | None:
        """What coded the picture, by the caller or by the file."""
        look, name = self._look, str(image.format)
        codec = FORMATS.get(name)
        target = look.target(codec, f"{name}, which is lossless,")
        if target is None and codec == "jpeg":
            target = Target.of_jpeg_tables(getattr(image, "quantization", {}))
        elif target is None and codec and self._rate is not None and self._rate < np.inf:
            return target_of_rate(codec, self._rate) if look.needs_target else None
        if target is None or target.codec != "jpeg" or look.options.tradeoff == 0:
            return target
        jpeg = coefficients_for(
            look.options, lambda: JpegCoefficients.of_image(image), look.quality
        )
        return replace(target, jpeg=jpeg)


class StillWriter:
    """Writes with the stock plug-in, prepared and in one piece."""

    def __init__(self, request: Request, **kwargs: Any) -> None:
        self.stock = _Prepared(request, **_none(kwargs))

    def write(self, ndimage: Any, preprocess: object, **kwargs: Any) -> bytes | None:
        """The stock plug-in's ``write``; what ``preprocess`` says holds for the whole file."""
        if preprocess is not None:
            self.stock.wish = as_preprocess(preprocess)
        if self.stock.wish is not None:
            self.stock.check(ndimage, kwargs)
        written: bytes | None = self.stock.write(ndimage, **kwargs)
        return written

    def close(self, failed: bool = False) -> None:
        """Write what there is, and close the file."""
        if failed and self.stock.wish is not None:
            self.stock.images_to_write.clear()
        self.stock.close()


class _Prepared(WholeWriter):
    """The stock plug-in, which encodes all frames when it is closed.

    Attributes:
        wish: how frames are prepared, if at all.
    """

    wish: PreprocessOptions | None = None

    def check(self, ndimage: Any, settings: Mapping[str, Any]) -> None:
        """Raise InputError for what cannot be prepared, before anything is written."""
        extension = self.request.extension
        name = settings.get("format") or Image.registered_extensions().get(extension, "")
        if not name:
            raise InputError(
                "nothing says which format to write; pass extension='.jpg' or the like"
            )
        if name.upper() not in FORMATS:
            raise InputError(
                f"{name} cannot honour preprocess=; "
                f"leave it out, or write {', '.join(sorted(FORMATS))}"
            )
        for frame in ndimage if isinstance(ndimage, list) else [ndimage]:
            dtype = np.asarray(frame).dtype
            if dtype != np.uint8:
                raise InputError(
                    f"preprocess= takes pixels of uint8, which is what {name} stores, not of "
                    f"{dtype}; scale them to [0, 255] and convert"
                )
        quality = settings.get("quality")
        if isinstance(quality, int | float):
            low, high = 0, max(get_codec(FORMATS[name.upper()]).qualities)
            lossless = name.upper() == "HEIF" and quality == -1
            default = name.upper() in ("JPEG", "MPO") and quality == -1
            if lossless:
                raise InputError(
                    "quality=-1 stores HEIF without loss, which cannot honour preprocess=; "
                    "leave one of the two out"
                )
            if not default and not low <= quality <= high:
                raise InputError(
                    f"quality {quality:g} is outside {name}'s range [{low:g}, {high:g}]"
                )

    def _flush_writer(self) -> None:
        """See the stock plug-in, which calls it to encode all frames."""
        if not self.images_to_write:
            return
        try:
            if self.wish is not None:
                self._prepare(self.wish)
            with self._destination():
                super()._flush_writer()  # type: ignore[no-untyped-call]
        finally:
            # Or what failed would be tried again when the plug-in is deleted.
            self.images_to_write.clear()

    def _prepare(self, wish: PreprocessOptions) -> None:
        name, images = self.save_args["format"].upper(), self.images_to_write
        settings = {**self.save_args, "append_images": images[1:]}
        target = _target(images[0], name, settings)
        for place, image in enumerate(images):
            if target.codec == "jpeg" and image.mode not in JpegImagePlugin.RAWMODE:
                return  # the encoder is about to raise its own error
            images[place] = treated(
                image, lambda frame: gesso_hooks.before_encode(frame, target, wish)
            )
        # Pillow itself may have been told to prepare all that it saves; it ignores this else.
        self.save_args["preprocess"] = False

    @contextmanager
    def _destination(self) -> Iterator[None]:
        """An existing file survives a write that fails; other formats are left to ImageIO."""
        request: Any = self._request
        path = request.filename
        whole = request._uri_type == URI_FILENAME and request._file is None
        if self.wish is None and os.path.exists(path):
            # ImageIO writes to devices and pipes, too, and raises errors of its own.
            whole = whole and os.path.isfile(path) and os.access(path, os.W_OK)
        if not whole or self.save_args["format"].upper() not in FORMATS:
            yield
            return
        with replacing(path) as temporary:
            request._file = temporary.open("wb")
            try:
                yield
            finally:
                request._file.close()
                request._file = None


def _none(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What the stock plug-in is made with: nothing."""
    if kwargs:
        raise InitializationError(f"pictures are opened without {', '.join(kwargs)}")
    return kwargs


def _target(image: Image.Image, name: str, settings: Mapping[str, Any]) -> Target:
    """The codec and quality that Pillow will use."""
    if name in CODECS:
        return target_of_save(image, name, settings)
    quality = settings.get("quality")
    low, high = sorted(get_codec("heic").qualities)
    return Target("heic", min(max(HEIF_QUALITY if quality is None else quality, low), high))
