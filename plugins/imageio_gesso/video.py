"""Video: ImageIO's own PyAV and FFMPEG plug-ins, around whose frames gesso works one by one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from imageio.config import known_plugins
from imageio.core.request import URI_FILENAME, InitializationError, IOMode, Request
from numpy.typing import NDArray

import gesso_hooks
from gesso.errors import InputError
from gesso.files import replacing
from gesso.options import PreprocessOptions
from gesso.target import Target
from imageio_gesso.treatment import treated_array
from imageio_gesso.wishes import Look, as_preprocess

__all__ = ["Video", "again"]

PLUGINS = ("pyav", "FFMPEG")
MISSING = "video needs PyAV or imageio-ffmpeg; run: pip install 'gesso[imageio,ffmpeg]'"
# Whose frames err as those of our codec at the same quantiser: H.264's steps are HEVC's.
DECODERS = {"h264": "hevc", "hevc": "hevc", "vvc": "vvc", "mjpeg": "jpeg"}
# Encoders, and the rate factor that they take when told nothing.
ENCODERS = {"libx264": 23.0, "h264": 23.0, "libx265": 28.0, "hevc": 28.0}
PIXELS = ("rgb24", "rgba", "gray", "gray8", "rgb48le", "rgba64le", "gray16le")


class Video:
    """Reads and writes with the stock plug-in, each frame treated by itself.

    A file is written beside its destination and takes its place when it is whole.

    Raises:
        InitializationError: no stock plug-in there is can open it.
    """

    def __init__(self, request: Request, **kwargs: Any) -> None:
        self._whole = ExitStack()
        self._request = destination = request
        if request.mode.io_mode is IOMode.write and request._uri_type == URI_FILENAME:
            try:
                path = self._whole.enter_context(replacing(request.filename))
            except InputError:
                pass  # a device, or what ImageIO raises an error of its own for
            else:
                destination = Request(path, request.mode, extension=request.extension)
        try:
            self.stock: Any = _stock(destination, kwargs)
        except BaseException as error:
            self._whole.__exit__(type(error), error, None)
            raise

    def read(self, look: Look, **kwargs: Any) -> NDArray[Any]:
        """The stock plug-in's ``read``, enhanced."""
        target = self._coded(look, kwargs)
        pixels: NDArray[Any] = np.asarray(self.stock.read(**kwargs))
        if isinstance(kwargs.get("index"), int):
            return _enhance(pixels, target, look)
        whole = np.empty_like(pixels)
        for place, frame in enumerate(pixels):
            whole[place] = _enhance(frame, target, look)
        return whole

    def iter(self, look: Look, **kwargs: Any) -> Iterator[NDArray[Any]]:
        """The stock plug-in's ``iter``, enhanced."""
        target = self._coded(look, kwargs)
        for frame in self.stock.iter(**kwargs):
            yield _enhance(np.asarray(frame), target, look)

    def write(
        self, ndimage: Any, preprocess: object, *, quality: float | None = None, **kwargs: Any
    ) -> bytes | None:
        """The stock plug-in's ``write``; ``quality`` is the encoder's constant rate factor.

        Without ``codec``, PyAV is told the container's own, as FFMPEG takes it by itself.
        """
        wish = as_preprocess(preprocess)
        if hasattr(self.stock, "init_video_stream") and kwargs.get("codec") is None:
            stream, container = self.stock._video_stream, self.stock._container
            begun = stream is not None
            kwargs["codec"] = stream.codec_context.name if begun else container.default_video_codec
        if wish is not None or quality is not None:
            if hasattr(self.stock, "init_video_stream"):
                ndimage = self._prepare(ndimage, wish, quality, kwargs)
            elif wish is None:
                kwargs["quality"] = quality  # on that plug-in's own scale
            else:
                raise InputError(
                    "preprocess= for video needs PyAV; run: pip install 'gesso[imageio,ffmpeg]'"
                )
        written: bytes | None = self.stock.write(ndimage, **kwargs)
        return written

    def close(self, failed: bool = False) -> None:
        """Finish the file; after a failure an existing one stays as it was."""
        try:
            with self._whole:
                self.stock.close()
                if failed:
                    raise _Failed
        except _Failed:
            pass

    def alone(self) -> Any:
        """The stock plug-in by itself, for v2's readers and writers, which outlive this."""
        self.close(failed=True)
        return _stock(again(self._request), {})

    def _prepare(
        self,
        ndimage: Any,
        wish: PreprocessOptions | None,
        quality: float | None,
        kwargs: Mapping[str, Any],
    ) -> Any:
        """The frames to write through PyAV, whose stream takes ``quality``."""
        encoder, pixels = kwargs.get("codec"), kwargs.get("out_pixel_format")
        if encoder not in ENCODERS:
            raise InputError(
                f"preprocess= and quality= know the encoders {', '.join(ENCODERS)}, not "
                f"{encoder!r}; pass one of these as codec=, or leave them out"
            )
        target = Target("hevc", ENCODERS[encoder] if quality is None else float(quality))
        if quality is not None and self.stock._video_stream is None:
            self.stock.init_video_stream(encoder, fps=kwargs.get("fps", 24), pixel_format=pixels)
            stream: Any = self.stock._video_stream
            stream.options = {"crf": f"{quality:g}"}
        if wish is None:
            return ndimage
        _check_pixels("in_pixel_format", kwargs.get("in_pixel_format", "rgb24"))
        several = kwargs.get("is_batch", True) or isinstance(ndimage, list)
        return [
            treated_array(
                np.asarray(frame), lambda each: gesso_hooks.before_encode(each, target, wish)
            )
            for frame in (ndimage if several else [ndimage])
        ]

    def _coded(self, look: Look, kwargs: Mapping[str, Any]) -> Target | None:
        """What coded the frames, as far as it must be known."""
        _check_pixels("format", kwargs.get("format", "rgb24"))
        metadata = self.stock.metadata(index=...)
        coder = str(metadata.get("codec", "unknown"))
        target = look.target(DECODERS.get(coder), f"{coder} video")
        if target is None and look.needs_target:
            raise InputError(
                f"{coder} video does not state the quality of its frames; pass quality= (the "
                "QP or rate factor that it was coded with), or an Enhance with sigma="
            )
        return target


class _Failed(Exception):
    """Leaves the block that would put the file in its place."""


def _stock(request: Request, kwargs: dict[str, Any]) -> Any:
    """The first stock plug-in that opens the file."""
    reasons: list[str] = []
    for place, name in enumerate(PLUGINS):
        if place:
            request = again(request)
        try:
            opened: Any = known_plugins[name].plugin_class
            return opened(request, **kwargs)
        except (InitializationError, ImportError) as error:
            request.finish()
            reasons.append(str(error))
    raise InitializationError(f"{'; '.join(reasons)}; {MISSING}")


def again(request: Request) -> Request:
    """The same request for another plug-in, since one that fails finishes its own."""
    if hasattr(request.raw_uri, "seek"):
        request.raw_uri.seek(0)
    return Request(request.raw_uri, request.mode, extension=request.extension)


def _enhance(frame: NDArray[Any], target: Target | None, look: Look) -> NDArray[Any]:
    return treated_array(frame, lambda each: gesso_hooks.after_decode(each, target, look.options))


def _check_pixels(keyword: str, pixels: str | None) -> None:
    if pixels not in PIXELS:
        raise InputError(f"{keyword}={pixels!r} cannot be treated; pass one of {', '.join(PIXELS)}")
