"""A picture through a gesso operation and back: the same kind, size and mode."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gesso.errors import ModelError

if TYPE_CHECKING:
    from gesso.frame import Frame

__all__ = ["treated", "treated_array"]

Step = Callable[["Frame"], "Frame"]


def treated(image: Image.Image, step: Step) -> Image.Image:
    """``step`` on the pixels of ``image``, which stays as it is.

    Raises:
        InputError: a mode that cannot be treated; the message names the conversion.
        ModelError: ``step`` gave back a picture of another kind.
    """
    from gesso.frame import Frame

    frame = Frame.of(image)
    # An empty context: what another host was told to do with every picture it codes must
    # not be done to those that a model codes by itself.
    result = Context().run(step, frame)
    if result is frame:
        return image
    picture: Image.Image = result.restore()
    if (picture.mode, picture.size) != (image.mode, image.size):
        raise ModelError(
            f"a plug-in turned a {image.mode} picture of {image.width}x{image.height} into "
            f"{picture.mode}, {picture.width}x{picture.height}; update or uninstall it"
        )
    return picture


def treated_array(array: NDArray[Any], step: Step) -> NDArray[Any]:
    """``step`` on an array (H, W) or (H, W, C), C 1 to 4.

    Raises:
        InputError: another shape or dtype.
        ModelError: ``step`` gave back a picture of another kind.
    """
    from gesso.frame import Frame

    frame = Frame.of(array)
    result = Context().run(step, frame)
    if result is frame:
        return array
    found: NDArray[Any] = np.asarray(result.restore())
    if (found.shape, found.dtype) != (array.shape, array.dtype):
        raise ModelError(
            f"a plug-in turned {array.dtype} pixels of shape {array.shape} into {found.dtype} of "
            f"{found.shape}; update or uninstall it"
        )
    return found
