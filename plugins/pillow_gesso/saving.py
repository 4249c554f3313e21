"""Saving: ``im.save(..., preprocess=...)`` hands the stock encoders a treated clone."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any, Concatenate

from PIL import Image

import gesso_hooks
from gesso.destination import CODECS, target_of_save
from gesso.errors import InputError
from gesso.files import replacing
from gesso.latent import EXTENSION
from gesso.latent.imagefile import FORMAT
from gesso.options import PreprocessOptions
from pillow_gesso.clone import clone
from pillow_gesso.treatment import treatable, treated
from pillow_gesso.wishes import ambient_preprocess, as_preprocess, suspended

if TYPE_CHECKING:
    from PIL._imaging import ImagingCore

    from gesso.target import Target
    from pillow_gesso.registration import Registration

__all__ = ["saver"]

Path = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Save = Callable[Concatenate[Image.Image, Path | IO[bytes], str | None, ...], None]
Treat = Callable[["ImagingCore"], "ImagingCore"]
KEYWORD = "preprocess"
FRAMES = "append_images"


def saver(stock: Save, registration: Registration) -> Save:
    """``Image.save`` that knows ``preprocess=``; without it, ``stock`` gets what came in.

    A ``.gsl`` that is there survives a save that fails: networks run while it is written.

    It stands before ``Image.save`` and not in the ``SAVE`` table, because Pillow opens, and
    empties, the destination before it calls a handler, and because a format that cannot
    honour the keyword would otherwise ignore it.
    """

    @functools.wraps(stock)
    def save(
        self: Image.Image, fp: Path | IO[bytes], format: str | None = None, **params: Any
    ) -> None:
        # Pillow, too, lets encoderinfo win over the keywords.
        said = {**params, **getattr(self, "encoderinfo", {})}.get(KEYWORD)
        if not registration.live:
            return stock(self, fp, format, **params)
        if said is None and ambient_preprocess.get() is None:
            return _plain(stock, self, fp, format, params)
        params.pop(KEYWORD, None)
        wish = ambient_preprocess.get() if said is None else as_preprocess(said)
        # Handlers save frames by themselves; what is asked for here holds for them.
        with suspended():
            if wish is None:
                return _plain(stock, self, fp, format, params)
            _save(stock, self, fp, format, params, wish, strict=said is not None)

    return save


def _save(
    stock: Save,
    image: Image.Image,
    fp: Path | IO[bytes],
    format: str | None,
    params: dict[str, Any],
    wish: PreprocessOptions,
    strict: bool,
) -> None:
    """``stock`` on treated clones; not ``strict``, what cannot be treated is left alone."""
    name = _format(fp, format)
    if name not in CODECS:
        if strict and name in Image.SAVE:
            raise InputError(
                f"{name} cannot honour preprocess=; "
                f"leave it out, or save as {', '.join(sorted(CODECS))}"
            )
        return _plain(stock, image, fp, format, params)
    if params.get(FRAMES):
        params[FRAMES] = list(params[FRAMES])
    own = {key: v for key, v in getattr(image, "encoderinfo", {}).items() if key != KEYWORD}
    try:
        target = target_of_save(image, name, {**params, **own})
    except (TypeError, ValueError):
        if strict:
            raise
        return stock(image, fp, format, **params)
    treat = _treat(target, wish, strict)
    for settings in (params, own):
        if settings.get(FRAMES):
            settings[FRAMES] = [clone(each, treat) for each in settings[FRAMES]]
    picture = clone(image, treat)
    picture.__dict__["encoderinfo"] = own
    with ExitStack() as stack:
        stock(picture, _whole(fp, stack, strict), name, **params)


def _plain(
    stock: Save,
    image: Image.Image,
    fp: Path | IO[bytes],
    format: str | None,
    params: dict[str, Any],
) -> None:
    """``stock``, into a whole file where it is one of ours."""
    if not isinstance(fp, str | bytes | os.PathLike) or not _is_latent(fp, format):
        return stock(image, fp, format, **params)
    with ExitStack() as stack:
        stock(image, _whole(fp, stack, strict=False), format, **params)


def _is_latent(path: Path, format: str | None) -> bool:
    if format:
        return format.upper() == FORMAT
    return os.fsdecode(path).lower().endswith(EXTENSION)


def _whole(fp: Path | IO[bytes], stack: ExitStack, strict: bool) -> Path | IO[bytes]:
    """A file beside ``fp`` that takes its place once the stack is left; a stream itself."""
    if isinstance(fp, str | bytes | os.PathLike):
        try:
            return stack.enter_context(replacing(os.fsdecode(fp)))
        except InputError:
            # Legacy code expects Pillow's own errors, and may write to a pipe.
            if strict:
                raise
    return fp


def _treat(target: Target, options: PreprocessOptions, strict: bool) -> Treat:
    from PIL import JpegImagePlugin

    def treat(core: ImagingCore) -> ImagingCore:
        if target.codec == "jpeg" and core.mode not in JpegImagePlugin.RAWMODE:
            return core  # the stock handler is about to raise its own error
        if not strict and not treatable(core):
            return core
        return treated(core, lambda frame: gesso_hooks.before_encode(frame, target, options))

    return treat


def _format(fp: Path | IO[bytes], format: str | None) -> str:
    """The format that ``Image.save`` will choose; empty where it will raise."""
    extensions = Image.registered_extensions()
    if format:
        return format.upper()
    name = fp if isinstance(fp, str | bytes | os.PathLike) else getattr(fp, "name", "")
    if not isinstance(name, str | bytes | os.PathLike):
        return ""
    return extensions.get(os.path.splitext(os.fsdecode(name))[1].lower(), "")
