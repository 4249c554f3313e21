"""Frame: what goes in comes out, in every form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from gesso.errors import InputError
from gesso.frame import Frame

MODES = ["RGB", "RGBA", "L", "LA"]
sides = st.integers(1, 40)


def random_picture(mode: str, width: int, height: int, seed: int = 0) -> Image.Image:
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
    image = Image.fromarray(pixels[:, :, 0] if bands == 1 else pixels)
    image.info["dpi"] = (72, 72)
    return image


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(MODES), sides, sides)
def test_a_pil_image_comes_back_bit_for_bit(mode: str, width: int, height: int) -> None:
    image = random_picture(mode, width, height)
    frame = Frame.of(image)
    back = frame.with_rgb(frame.rgb).restore()
    assert (back.mode, back.size, back.info) == (mode, (width, height), {"dpi": (72, 72)})
    assert back.tobytes() == image.tobytes()


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]),
    st.sampled_from([(), (1,), (2,), (3,), (4,)]),
    sides,
    sides,
    st.booleans(),
)
def test_an_array_keeps_dtype_shape_and_values(
    dtype: type, bands: tuple[int, ...], width: int, height: int, batched: bool
) -> None:
    rng = np.random.default_rng(1)
    shape = ((2,) if batched and bands else ()) + (height, width, *bands)
    top = np.iinfo(dtype).max if np.issubdtype(dtype, np.integer) else 1
    array = (rng.random(shape) * top).astype(dtype)
    frame = Frame.of(array)
    back = frame.with_rgb(frame.rgb).restore()
    assert back.dtype == array.dtype and back.shape == array.shape
    # The core computes in float32: 16-bit integers survive, float64 to seven digits.
    np.testing.assert_allclose(back, array, rtol=0, atol=0 if top > 1 else 1e-6)


@pytest.mark.parametrize("shape", [(3, 5, 7), (2, 3, 5, 7), (1, 5, 7), (2, 4, 5, 7), (2, 5, 7)])
def test_a_tensor_keeps_its_shape(shape: tuple[int, ...]) -> None:
    tensor = torch.rand(shape)
    frame = Frame.of(tensor)
    torch.testing.assert_close(frame.with_rgb(frame.rgb).restore(), tensor, atol=1e-6, rtol=0)


def test_alpha_is_returned_untouched() -> None:
    image = random_picture("RGBA", 9, 6)
    frame = Frame.of(image)
    back = frame.with_rgb(1 - frame.rgb).restore()
    assert back.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    assert back.getchannel("R").tobytes() != image.getchannel("R").tobytes()


def test_grey_comes_back_as_the_luma_of_rgb() -> None:
    frame = Frame.of(Image.new("L", (4, 4)))
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    assert frame.with_rgb(red).restore().getpixel((0, 0)) == 76
    assert Image.new("RGB", (1, 1), (255, 0, 0)).convert("L").getpixel((0, 0)) == 76


def test_beyond_the_border_the_picture_is_mirrored() -> None:
    array = np.arange(6, dtype=np.uint16).reshape(2, 3) * 1000
    window = Frame.of(array).window(-1, -2, 5, 8)[0, 0] * 65535
    padded = np.pad(array, ((1, 2), (2, 3)), mode="symmetric")
    np.testing.assert_allclose(window.numpy(), padded, atol=0.01)


def test_one_pixel_fills_any_window() -> None:
    window = Frame.of(np.full((1, 1), 51, np.uint8)).window(0, 0, 64, 64)
    torch.testing.assert_close(window, torch.full((1, 3, 64, 64), 0.2))


def test_values_are_clamped_and_rounded() -> None:
    frame = Frame.of(np.zeros((1, 1, 3), np.uint8))
    back = frame.with_rgb(torch.tensor([-0.5, 1.5, 0.4999]).reshape(1, 3, 1, 1)).restore()
    assert back.tolist() == [[[0, 255, 127]]]


@pytest.mark.parametrize(
    ("mode", "mend"),
    [
        ("CMYK", "ICC"),
        ("P", "convert('RGB')"),
        ("1", "convert('L')"),
        ("I;16", "uint16"),
        ("F", "float"),
        ("I", "uint16"),
        ("YCbCr", "convert('RGB')"),
    ],
)
def test_other_modes_raise_with_the_mend(mode: str, mend: str) -> None:
    with pytest.raises(InputError, match=mode.replace(";", ".")) as error:
        Frame.of(Image.new(mode, (4, 4)))
    assert mend in str(error.value)


@pytest.mark.parametrize(
    ("image", "word"),
    [
        (np.full((4, 4, 3), np.nan, np.float32), "finite"),
        (np.full((4, 4, 3), 2.0, np.float32), r"\[0, 1\]"),
        (torch.full((3, 4, 4), float("inf")), "finite"),
        (torch.full((3, 4, 4), -0.1), r"\[0, 1\]"),
        (np.zeros((4, 4, 5), np.uint8), "channels"),
        (np.zeros((3,), np.uint8), "shape"),
        (np.zeros((4, 4), np.int32), "int32"),
        (np.zeros((0, 4, 3), np.uint8), "empty"),
        (torch.zeros(5, 4, 4), "channels"),
        (torch.zeros(3, 4, 4, dtype=torch.int64), "int64"),
        ("a.jpg", "str"),
    ],
)
def test_bad_pictures_raise_and_name_the_trouble(image: object, word: str) -> None:
    with pytest.raises(InputError, match=word):
        Frame.of(image)


def test_pixels_that_do_not_fit_raise() -> None:
    with pytest.raises(InputError, match="do not fit"):
        Frame.of(np.zeros((4, 4, 3), np.uint8)).with_rgb(torch.zeros(1, 3, 4, 5))


def test_the_input_is_never_written_to() -> None:
    array = np.zeros((4, 4, 3), np.uint8)
    frame = Frame.of(array)
    frame.with_rgb(torch.ones(1, 3, 4, 4)).restore()
    assert not array.any()


def test_read_only_arrays_are_accepted() -> None:
    array = np.zeros((4, 4, 3), np.uint8)
    array.setflags(write=False)
    assert Frame.of(array).restore().shape == (4, 4, 3)
