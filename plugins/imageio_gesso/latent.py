"""``.gsl``, the latent codec's files: pictures that gesso itself codes, whatever Pillow knows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from imageio.core.request import URI_FILENAME, InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import PluginV3
from imageio.plugins.pillow import PillowPlugin
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.files import replacing
from gesso.latent import EXTENSION
from gesso.latent.codec import LATENT, LatentCodec
from gesso.latent.imagefile import FORMAT, LatentImageFile
from imageio_gesso.writing import WholeWriter

__all__ = ["LatentReader", "LatentWriter", "is_latent"]

QUALITY = 64  # entries of the palette
WRITING = ("model", "palette", "dither", "refine")


def is_latent(request: Request) -> bool:
    """Whether a file that is read begins as ours do, or one that is written is called so."""
    if request.mode.io_mode is not IOMode.read:
        return bool(request.extension == EXTENSION)
    if request.extension not in (EXTENSION, None, ""):
        return False
    from gesso.latent.stream import MAGIC

    stream = request.get_file()
    found = stream.read(len(MAGIC)) == MAGIC
    stream.seek(0)
    return found


class LatentReader:
    """Reads a file, whose header tells its properties; a codec that repairs reads it anew."""

    def __init__(self, request: Request, **kwargs: Any) -> None:
        if kwargs:
            raise InitializationError(f"{EXTENSION} is opened without {', '.join(kwargs)}")
        self.stock = _Decoded(request, LATENT)

    def look(self, enhance: object, codec: str | None, quality: float | None) -> LatentCodec | None:
        """What decodes, for the keywords of a read; None is the default, without a repair.

        Raises:
            InputError: another value than the keyword takes.
        """
        if codec is not None or quality is not None:
            raise InputError(f"a {EXTENSION} file says how it was coded; leave codec= and quality=")
        if enhance is None or enhance is False:
            return None
        if isinstance(enhance, LatentCodec):
            return enhance
        from gesso.latent.repair import RepairOptions

        if enhance is True:
            return replace(LATENT, repair=RepairOptions())
        if isinstance(enhance, RepairOptions):
            return replace(LATENT, repair=enhance)
        raise InputError(
            f"a {EXTENSION} file is repaired: enhance must be True, False, a Repair or a Latent, "
            f"got {enhance!r}"
        )

    def read(self, look: LatentCodec, **kwargs: Any) -> NDArray[Any]:
        """The stock plug-in's ``read``, of another codec."""
        found: NDArray[Any] = self._again(look).read(**kwargs)
        return found

    def iter(self, look: LatentCodec, **kwargs: Any) -> Iterator[NDArray[Any]]:
        """The stock plug-in's ``iter``, of another codec."""
        yield from self._again(look).iter(**kwargs)

    def close(self, failed: bool = False) -> None:
        """Close the file, but not a stream of the caller's."""
        self.stock.close()

    def _again(self, look: LatentCodec) -> _Decoded:
        request = self.stock.request
        return _Decoded(Request(self.stock.data, "r", extension=request.extension), look)


class _Decoded(PillowPlugin):
    """ImageIO's Pillow plug-in around a picture that Pillow need not know.

    Attributes:
        data: the whole file.
    """

    def __init__(self, request: Request, codec: LatentCodec) -> None:
        PluginV3.__init__(self, request)
        self._image, self.images_to_write = None, []
        self.data: bytes = request.get_file().read()
        try:
            self._image = LatentImageFile(io.BytesIO(self.data), codec=codec)
        except SyntaxError as error:
            raise InitializationError(str(error)) from error


class LatentWriter:
    """Writes one picture, in one piece when the file is closed."""

    def __init__(self, request: Request, **kwargs: Any) -> None:
        if kwargs:
            raise InitializationError(f"{EXTENSION} is opened without {', '.join(kwargs)}")
        self.stock = _Coded(request)

    def write(self, ndimage: Any, preprocess: object, **kwargs: Any) -> bytes | None:
        """See the stock plug-in; ``quality`` is the palette's entries, 16 to 256, else 64.

        Args:
            ndimage: uint8 (H, W) or (H, W, 3).
            preprocess: nothing; there is nothing to prepare a picture for.
            kwargs: ``quality``, ``model``, ``palette``, ``dither`` and ``refine``, of
                :class:`gesso.latent.codec.LatentCodec`, and ``mode`` and ``is_batch`` of
                ImageIO's.

        Raises:
            InputError: another keyword, an option out of its range, or several pictures.
        """
        if preprocess not in (None, False):
            raise InputError(f"{FORMAT} cannot honour preprocess=; leave it out")
        if (name := kwargs.pop("format", None) or FORMAT).upper() != FORMAT:
            raise InputError(f"{EXTENSION} is a name for {FORMAT}, not for {name}; change one")
        known = ("quality", *WRITING, "mode", "is_batch")
        if odd := set(kwargs) - set(known):
            raise InputError(
                f"{EXTENSION} takes no {', '.join(sorted(odd))}; there are {', '.join(known)}"
            )
        quality = kwargs.pop("quality", QUALITY)
        if isinstance(quality, bool) or not isinstance(quality, int | float):
            raise InputError(f"quality is the palette's entries, 16 to 256, got {quality!r}")
        given = {k: kwargs.pop(k) for k in WRITING if k in kwargs}
        self.stock.codec, self.stock.quality = replace(LATENT, **given), quality
        written: bytes | None = self.stock.write(ndimage, format=FORMAT, **kwargs)
        return written

    def close(self, failed: bool = False) -> None:
        """Write the picture; after a failure an existing file stays as it was."""
        if failed:
            self.stock.images_to_write.clear()
        self.stock.close()


class _Coded(WholeWriter):
    """ImageIO's Pillow plug-in, whose pictures we code ourselves.

    Attributes:
        codec, quality: how.
    """

    codec: LatentCodec = LATENT
    quality: float = QUALITY

    def __init__(self, request: Request) -> None:
        PluginV3.__init__(self, request)
        self._image = None
        self.images_to_write = []
        self.save_args = {}

    def _flush_writer(self) -> None:
        """See the stock plug-in, which calls it when all is there."""
        images, request = list(self.images_to_write), self._request
        # Or what failed would be tried again when the plug-in is deleted.
        self.images_to_write.clear()
        if not images:
            return
        if len(images) > 1:
            raise InputError(f"a {EXTENSION} file holds one picture, got {len(images)}; write each")
        data = self.codec.encode(images[0], self.quality)
        if request._uri_type == URI_FILENAME and request._file is None:  # type: ignore[attr-defined]  # as the stock one
            with replacing(request.filename) as temporary:
                temporary.write_bytes(data)
        else:
            request.get_file().write(data)
