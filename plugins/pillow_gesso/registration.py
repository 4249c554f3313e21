"""Where gesso takes its places in Pillow, and gives them back."""

from __future__ import annotations

import importlib
import threading
from contextlib import AbstractContextManager
from typing import Any

from PIL import Image

import gesso_hooks
from gesso.errors import InputError
from gesso.latent.codec import LATENT, LatentCodec
from gesso.latent.imagefile import FORMAT
from gesso.options import PreprocessOptions
from pillow_gesso.filtering import Enhance
from pillow_gesso.latent import places
from pillow_gesso.opening import FORMATS, PREFIX, ambient_factory, enhanced_entry
from pillow_gesso.saving import saver
from pillow_gesso.wishes import as_enhance, asked

__all__ = ["Registration", "register", "unregister", "using"]

PLUGINS = ("PIL.JpegImagePlugin", "PIL.WebPImagePlugin", "PIL.AvifImagePlugin")
_lock = threading.Lock()
_current: Registration | None = None


def register(
    enhance: bool | str | Enhance | None = None, latent: LatentCodec | None = None
) -> None:
    """Teach Pillow ``save(..., preprocess=...)``, the formats ``ENHANCED-JPEG``,
    ``ENHANCED-WEBP`` and ``ENHANCED-AVIF``, and the files ``.gsl`` of the latent codec;
    nothing else changes. Safe to call again.

    ``GSL`` is a format as any other: ``im.save("a.gsl", quality=64)``, quality being the
    palette's entries, 16 to 256, takes ``palette=``, ``dither=``, ``refine=`` and ``model=``,
    too, as :class:`gesso.latent.codec.LatentCodec` has them. ``Image.open`` decodes it plainly;
    ``formats=["ENHANCED-GSL"]`` repairs it.

    Args:
        enhance: how pictures opened in these formats are enhanced: True, a preset's name or
            an :class:`Enhance`. None keeps what was set before, at first ``Enhance()``. Its
            ``codec`` and ``quality``, if given, win over what the file states.
        latent: the :class:`Latent` that opens and saves ``.gsl``; its ``repair`` is that of
            ``ENHANCED-GSL``. None keeps what was set before, at first ``Latent()``.
    """
    global _current
    gesso_hooks.load()
    wish = None if enhance is None else as_enhance(enhance)
    if not isinstance(latent, LatentCodec | None):
        raise InputError(f"latent must be a Latent, got {latent!r}")
    with _lock:
        if _current is None:
            _current = Registration()
        if wish is not None:
            _current.enhance = wish
        if latent is not None:
            _current.latent = latent


def unregister() -> None:
    """Give Pillow back what `register` took.

    Where somebody else has wrapped one of our functions meanwhile it stays in their
    chain and passes everything on.
    """
    global _current
    with _lock:
        if _current is not None:
            _current.release()
            _current = None


def using(
    *,
    preprocess: bool | str | PreprocessOptions | None = None,
    enhance: bool | str | Enhance | None = None,
) -> AbstractContextManager[None]:
    """For code that one cannot edit: ``with using(preprocess=True): legacy_code()``.

    Inside, every save as JPEG, MPO, WebP or AVIF is preprocessed, and every JPEG, WebP and
    AVIF that is opened is enhanced when it is loaded. Other formats (GSL among them), lossless
    WebP and modes that cannot be treated are left alone. It counts for the running thread or
    asyncio task alone, and a keyword ``preprocess=`` wins over it. Registers gesso, if need be.

    Args:
        preprocess: True, a model's name or a :class:`Preprocess`; False is none.
        enhance: True, a preset's name or an :class:`Enhance`; False is none.
            None, for both, is whatever holds outside.
    """
    register()
    return asked(preprocess, enhance)


class Registration:
    """Our functions in Pillow's places; once released, they pass everything on.

    Attributes:
        live: not released yet.
        enhance: how the enhanced formats are enhanced.
        latent: what opens and saves ``.gsl``.
    """

    def __init__(self) -> None:
        self.live = True
        self.enhance = Enhance()
        self.latent = LATENT
        # Pillow imports its own plug-ins late, and each would overwrite our entry.
        Image.preinit()
        for module in PLUGINS:
            importlib.import_module(module)
        self._stock_save: Any = Image.Image.save
        self._save: Any = saver(self._stock_save, self)
        Image.Image.save = self._save  # type: ignore[assignment,method-assign]  # on purpose
        self._stock_open = {name: Image.OPEN[name] for name in FORMATS if name in Image.OPEN}
        self._open = {}
        for name, (factory, accept) in self._stock_open.items():
            self._open[name] = ambient_factory(factory, self), accept
            Image.OPEN[name] = self._open[name]
            # Not in Image.ID, so that nothing but formats=[...] finds it.
            Image.OPEN[PREFIX + name] = enhanced_entry(name, self)
        # A name that is taken stays what it is.
        self._places = [p for p in places(self, PREFIX + FORMAT) if p[1] not in p[0]]
        for table, key, value in self._places:
            table[key] = value
        self._listed = FORMAT not in Image.ID
        if self._listed:
            Image.ID.append(FORMAT)

    def release(self) -> None:
        """Give back every place that is still ours."""
        self.live = False
        if Image.Image.save is self._save:
            Image.Image.save = self._stock_save  # type: ignore[method-assign]  # undone
        for name, stock in self._stock_open.items():
            if Image.OPEN.get(name) is self._open[name]:
                Image.OPEN[name] = stock
            Image.OPEN.pop(PREFIX + name, None)
        for table, key, value in self._places:
            if table.get(key) is value:
                del table[key]
        if self._listed and FORMAT in Image.ID and FORMAT not in Image.OPEN:
            Image.ID.remove(FORMAT)
