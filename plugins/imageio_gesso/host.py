"""The plug-in that ImageIO loads for ``plugin="gesso"``."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from imageio.config.extensions import known_extensions, video_extensions
from imageio.core.legacy_plugin_wrapper import LegacyPlugin
from imageio.core.request import InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties
from numpy.typing import NDArray

from imageio_gesso.latent import LatentReader, LatentWriter, is_latent
from imageio_gesso.legacy import KEYWORDS, Reader, Writer
from imageio_gesso.stills import StillReader, StillWriter
from imageio_gesso.video import Video, again
from imageio_gesso.wishes import as_look

__all__ = ["GessoPlugin"]

# ImageIO counts these as video, too, which are pictures to Pillow.
STILLS = {".j2k", ".mpo", ".rgb"}
VIDEO = {known.extension for known in video_extensions} - STILLS


class GessoPlugin(LegacyPlugin):
    """ImageIO's stock plug-ins (Pillow for pictures, PyAV or FFMPEG for video) with gesso.

    Without a keyword of ours every call goes to the stock plug-in as it came. It is a
    LegacyPlugin so that v2's ``get_reader`` and ``get_writer`` leave their keywords to us.

    Raises:
        InitializationError: no stock plug-in opens the file.
    """

    def __init__(self, request: Request, **kwargs: Any) -> None:
        self._media: Any = None
        self._failed = False
        # No InputError from here: ImageIO would call it an unknown error.
        self._media = _open(_seekable(request), kwargs)

    @property
    def request(self) -> Request:
        """What the stock plug-in was asked for."""
        found: Request = self._media.stock.request
        return found

    @property
    def is_still(self) -> bool:
        """Whether Pillow has it, and not one of the plug-ins for video."""
        return not isinstance(self._media, Video)

    def read(
        self,
        *,
        enhance: object = None,
        codec: str | None = None,
        quality: float | None = None,
        **kwargs: Any,
    ) -> NDArray[Any]:
        """The stock plug-in's ``read``; the same shape and dtype, enhanced if asked for.

        Args:
            enhance: True, a preset's name or an :class:`Enhance`; False is none. For ``.gsl``,
                which is repaired, True, a :class:`Repair` or a :class:`Latent`.
            codec: what coded the picture; None is what the file tells.
            quality: on that codec's own scale; it wins over what the file tells. Video, and
                pictures that were decoded and stored without loss, need it.
            kwargs: the stock plug-in's own.

        Raises:
            InputError: a value that a keyword does not take, a mode that cannot be treated,
                or a file of which nothing tells what it was coded with.
        """
        look = self._look(enhance, codec, quality)
        if look is None:
            pixels: NDArray[Any] = self._media.stock.read(**kwargs)
        else:
            pixels = self._media.read(look, **kwargs)
        return pixels

    def iter(
        self,
        *,
        enhance: object = None,
        codec: str | None = None,
        quality: float | None = None,
        **kwargs: Any,
    ) -> Iterator[NDArray[Any]]:
        """The stock plug-in's ``iter``, frame by frame as :meth:`read`."""
        look = self._look(enhance, codec, quality)
        frames: Iterator[NDArray[Any]]
        if look is None:
            frames = self._media.stock.iter(**kwargs)
        else:
            frames = self._media.iter(look, **kwargs)
        return frames

    def write(self, ndimage: Any, *, preprocess: object = None, **kwargs: Any) -> bytes | None:
        """The stock plug-in's ``write``; the same file, its pixels prepared if asked for.

        Args:
            ndimage: as the stock plug-in takes it; uint8 where it is prepared.
            preprocess: True, a model's name or a :class:`Preprocess`; False is none.
            kwargs: the stock plug-in's own. ``quality`` is the codec's; for video through
                PyAV by libx264 or libx265, whose plug-in has none, the rate factor. For
                ``.gsl`` see :meth:`imageio_gesso.latent.LatentWriter.write`.

        Raises:
            InputError: a value that a keyword does not take, or a file that stores what it is
                given and cannot honour ``preprocess``.
        """
        try:
            written: bytes | None = self._media.write(ndimage, preprocess, **kwargs)
        except BaseException:
            self._failed = True
            raise
        return written

    def _look(self, enhance: object, codec: str | None, quality: float | None) -> Any:
        """What the keywords ask for; None is what the stock plug-in does."""
        look = self._media.look if isinstance(self._media, LatentReader) else as_look
        return look(enhance, codec, quality)

    def properties(self, *args: Any, **kwargs: Any) -> ImageProperties:
        """The stock plug-in's, which hold for enhanced pixels as well."""
        found: ImageProperties = self._media.stock.properties(*args, **kwargs)
        return found

    def metadata(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The stock plug-in's."""
        found: dict[str, Any] = self._media.stock.metadata(*args, **kwargs)
        return found

    def get_meta(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The stock plug-in's."""
        found: dict[str, Any] = self._media.stock.get_meta(*args, **kwargs)
        return found

    def close(self) -> None:
        """Finish the file."""
        if self._media is not None:
            self._media.close(self._failed)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._failed = self._failed or kind is not None
        self.close()

    def __getattr__(self, name: str) -> Any:
        """What else the stock plug-in offers in ``imopen``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._media.stock, name)

    def legacy_get_reader(self, **kwargs: Any) -> Any:
        """What v2's ``get_reader`` returns."""
        if isinstance(self._media.stock, LegacyPlugin) and not KEYWORDS & kwargs.keys():
            return self._media.alone().legacy_get_reader(**kwargs)
        return Reader(self, **kwargs)

    def legacy_get_writer(self, **kwargs: Any) -> Any:
        """What v2's ``get_writer`` returns."""
        if isinstance(self._media.stock, LegacyPlugin) and "preprocess" not in kwargs:
            return self._media.alone().legacy_get_writer(**kwargs)
        return Writer(self, **kwargs)


def _open(request: Request, kwargs: dict[str, Any]) -> Any:
    """The picture or video; what its extension says is tried first."""
    reading = request.mode.io_mode is IOMode.read
    if is_latent(request):
        kind: Any = LatentReader if reading else LatentWriter
        return kind(request, **kwargs)
    kinds: list[Any] = [StillReader if reading else StillWriter, Video]
    if request.extension in VIDEO:
        kinds.reverse()
    elif any("pillow" in known.priority for known in known_extensions.get(request.extension, [])):
        kinds.pop()  # FFmpeg takes any file of that name for a video of one frame
    reasons: list[str] = []
    for kind in kinds:
        if reasons:
            request = again(request)
        try:
            return kind(request, **kwargs)
        except InitializationError as error:
            request.finish()
            reasons.append(str(error))
    raise InitializationError("; ".join(reasons))


def _seekable(request: Request) -> Request:
    """The request, for a stream that was read into memory if it cannot go back."""
    source: Any = request.raw_uri
    seekable = getattr(source, "seekable", None)
    if request.mode.io_mode is not IOMode.read or seekable is None or seekable():
        return request
    return Request(io.BytesIO(source.read()), request.mode, extension=request.extension)
