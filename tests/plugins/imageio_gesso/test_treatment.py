"""Pictures and arrays through a step and back."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

import numpy as np
import pytest
from PIL import Image

from gesso.errors import InputError, ModelError
from gesso.frame import Frame
from imageio_gesso.treatment import treated, treated_array

ambient: ContextVar[str] = ContextVar("ambient", default="nothing")


def negative(frame: Frame) -> Frame:
    return frame.with_rgb(1 - frame.rgb)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA"])
def test_a_picture_keeps_its_mode_and_stays_as_it_is(
    mode: str, photo: Callable[..., Image.Image]
) -> None:
    image = photo(mode)
    before = image.tobytes()
    found = treated(image, negative)
    assert (found.mode, found.size) == (mode, image.size)
    assert image.tobytes() == before != found.tobytes()
    assert treated(image, lambda frame: frame) is image


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 3), (9, 7, 4)])
def test_an_array_keeps_its_shape_and_dtype(shape: tuple[int, ...], dtype: type) -> None:
    array = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape).astype(dtype)
    found = treated_array(array, negative)
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    assert np.array_equal(found[..., :3], np.iinfo(dtype).max - array[..., :3])
    assert treated_array(array, lambda frame: frame) is array


def test_a_step_of_another_size_is_refused() -> None:
    def smaller(frame: Frame) -> Frame:
        return Frame.of(Image.new("RGB", (3, 3)))

    def narrower(frame: Frame) -> Frame:
        return Frame.of(np.zeros((3, 3, 3), np.uint8))

    with pytest.raises(ModelError, match="RGB picture of 8x9 into RGB, 3x3; update or uninstall"):
        treated(Image.new("RGB", (8, 9)), smaller)
    with pytest.raises(ModelError, match="update or uninstall"):
        treated_array(np.zeros((9, 8, 3), np.uint8), narrower)


def test_what_cannot_be_treated_raises() -> None:
    with pytest.raises(InputError, match="mode CMYK"):
        treated(Image.new("CMYK", (8, 8)), negative)
    with pytest.raises(InputError, match="has no agreed range"):
        treated_array(np.zeros((8, 8, 3), np.int32), negative)


def test_the_step_sees_nothing_that_others_asked_for() -> None:
    seen = []

    def step(frame: Frame) -> Frame:
        seen.append(ambient.get())
        return frame

    token = ambient.set("everything")
    try:
        treated(Image.new("RGB", (8, 8)), step)
        treated_array(np.zeros((8, 8, 3), np.uint8), step)
    finally:
        ambient.reset(token)
    assert seen == ["nothing"] * 2
