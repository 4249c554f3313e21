"""A Pillow core image through a gesso operation and back: same mode, same size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from PIL import Image

from gesso.errors import ModelError
from pillow_gesso.wishes import suspended

if TYPE_CHECKING:
    from PIL._imaging import ImagingCore

    from gesso.frame import Frame

__all__ = ["treatable", "treated"]


def treatable(core: ImagingCore) -> bool:
    """Whether gesso treats pictures of this mode and size."""
    from gesso.frame import PIL_MODES

    return core.mode in PIL_MODES and 0 not in core.size


def treated(core: ImagingCore, step: Callable[[Frame], Frame]) -> ImagingCore:
    """``step`` on the pixels of ``core``, which stays as it is.

    Raises:
        InputError: a mode that cannot be treated; the message names the conversion.
        ModelError: ``step`` gave back a picture of another kind.
    """
    from gesso.frame import Frame

    frame = Frame.of(Image.Image()._new(core))
    # A model may encode and decode with Pillow itself; that must not be treated again.
    with suspended():
        result = step(frame)
    if result is frame:
        return core
    picture = cast(Image.Image, result.restore())
    if (picture.mode, picture.size) != (core.mode, core.size):
        raise ModelError(
            f"a plug-in turned a {core.mode} picture of {core.size[0]}x{core.size[1]} into "
            f"{picture.mode}, {picture.size[0]}x{picture.size[1]}; update or uninstall it"
        )
    return picture.im
