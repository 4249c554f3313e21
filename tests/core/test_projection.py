"""True to the file: coding the projected picture again gives the file's own coefficients."""

from __future__ import annotations

import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from skimage import data

from gesso.errors import InputError
from gesso.frame import Frame
from gesso.jpeg import JpegCoefficients
from gesso.projection import project, project_rgb
from gesso.tiling import Box

# Photographs, flat parts, saturated colours and pure noise.
PHOTO = data.astronaut()[:150, 150:330]
COFFEE = data.coffee()[150:300, 100:280]
GRAPHIC = np.zeros((120, 150, 3), np.uint8)
GRAPHIC[20:70, 30:99], GRAPHIC[50:, 60:80], GRAPHIC[90:, :40] = (255, 0, 0), (0, 255, 40), 255
NOISE = np.random.default_rng(5).integers(0, 256, (96, 112, 3)).astype(np.uint8)
PICTURES = {"photo": PHOTO, "coffee": COFFEE, "noise": NOISE}
# Flat, steep and odd tables, as other encoders write them.
FLAT = [[16] * 64, [20] * 64]
STEEP = [
    [3 + (i // 8 + i % 8) ** 2 for i in range(64)],
    [7 + 11 * (i // 8 + i % 8) for i in range(64)],
]


def coded(picture: NDArray[np.uint8], subsampling: int | None, **options: Any) -> bytes:
    """``subsampling`` as Pillow has it; None is a grey file."""
    stream, image = io.BytesIO(), Image.fromarray(picture)
    if subsampling is None:
        image.convert("L").save(stream, "JPEG", **options)
    else:
        image.convert("RGB").save(stream, "JPEG", subsampling=subsampling, **options)
    return stream.getvalue()


def decoded(raw: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(raw)) as image:
        return np.asarray(image)


def natural(picture: NDArray[Any], seed: int) -> NDArray[np.uint8]:
    """What an enhancer might make of a decode: other pixels, near by."""
    rng = np.random.default_rng(seed)
    return (
        np.clip(picture + rng.normal(0, rng.uniform(1, 8), picture.shape), 0, 255)
        .round()
        .astype(np.uint8)
    )


def strays(jpeg: JpegCoefficients, raw: bytes) -> float:
    """The share of coefficients in which a file differs."""
    other = JpegCoefficients.of_file(raw)
    pairs = list(zip(jpeg.components, other.components, strict=True))
    return sum(int((a.levels != b.levels).sum()) for a, b in pairs) / sum(
        a.levels.size for a, _ in pairs
    )


def psnr(one: NDArray[Any], other: NDArray[Any]) -> float:
    return 10 * math.log10(255**2 / float(np.square(one.astype(float) - other).mean()))


def again(picture: NDArray[np.uint8], raw: bytes, subsampling: int | None) -> bytes:
    with Image.open(io.BytesIO(raw)) as image:
        tables: Any = image.quantization  # type: ignore[attr-defined]
    return coded(picture, subsampling, qtables=tables)


@settings(deadline=None, max_examples=24)
@given(
    st.sampled_from(sorted(PICTURES)),
    st.integers(5, 85),
    st.sampled_from([0, 1, 2, None]),
    st.integers(33, 96),
    st.integers(33, 112),
    st.integers(0, 99),
)
def test_coding_it_again_gives_the_files_coefficients(
    name: str, quality: int, subsampling: int | None, height: int, width: int, seed: int
) -> None:
    source = PICTURES[name][:height, :width]
    raw = coded(source, subsampling, quality=quality)
    jpeg = JpegCoefficients.of_file(raw)
    start = natural(decoded(raw), seed)
    found = project(Frame.of(start), jpeg).restore()
    # 1 in 1,000, but that pictures this small have few thousands.
    assert strays(jpeg, again(found, raw, subsampling)) <= 2e-3
    truth = np.asarray(Image.fromarray(source).convert("L")) if subsampling is None else source
    # The margin is put between coefficients and the walls that the source may be at.
    assert psnr(found, truth) >= psnr(start, truth) - 0.05


@pytest.mark.parametrize("subsampling", [0, 1, 2, None])
@pytest.mark.parametrize(("quality", "most"), [(5, 1e-4), (20, 1e-4), (50, 2e-4), (80, 4e-4)])
def test_less_than_one_in_a_thousand_strays(
    quality: int, most: float, subsampling: int | None
) -> None:
    for picture in (PHOTO[:141, :175], COFFEE):
        raw = coded(picture, subsampling, quality=quality)
        jpeg = JpegCoefficients.of_file(raw)
        start = natural(decoded(raw), quality)
        found = project(Frame.of(start), jpeg).restore()
        assert strays(jpeg, again(found, raw, subsampling)) <= most
        truth = np.asarray(Image.fromarray(picture).convert("L" if subsampling is None else "RGB"))
        assert psnr(found, truth) >= psnr(start, truth) - 0.005


@pytest.mark.parametrize("quality", [10, 50])
@pytest.mark.parametrize("subsampling", [0, 2])
def test_the_corners_of_the_gamut_leave_few_strays(quality: int, subsampling: int) -> None:
    raw = coded(GRAPHIC, subsampling, quality=quality)
    jpeg = JpegCoefficients.of_file(raw)
    start = natural(decoded(raw), 4)
    found = project(Frame.of(start), jpeg).restore()
    assert strays(jpeg, again(found, raw, subsampling)) <= 4e-3
    assert psnr(found, GRAPHIC) >= psnr(start, GRAPHIC)


@pytest.mark.parametrize("tables", [FLAT, STEEP], ids=["flat", "steep"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_custom_tables(tables: list[list[int]], subsampling: int) -> None:
    raw = coded(PHOTO, subsampling, qtables=tables)
    jpeg = JpegCoefficients.of_file(raw)
    blurred = np.asarray(Image.fromarray(decoded(raw)).filter(ImageFilter.GaussianBlur(1)))
    found = project(Frame.of(blurred), jpeg).restore()
    assert strays(jpeg, again(blurred, raw, subsampling)) > 0.01
    assert strays(jpeg, again(found, raw, subsampling)) <= 1e-3
    assert psnr(found, PHOTO) > psnr(blurred, PHOTO)


@pytest.mark.parametrize(("quality", "most"), [(90, 1e-3), (93, 4e-3), (95, 0.02), (98, 0.08)])
def test_where_steps_are_as_small_as_rounding_most_still_hold(quality: int, most: float) -> None:
    raw = coded(PHOTO, 2, quality=quality)
    jpeg = JpegCoefficients.of_file(raw)
    start = natural(decoded(raw), 3)
    found = project(Frame.of(start), jpeg).restore()
    share = strays(jpeg, again(found, raw, 2))
    assert share <= most
    # No worse than coding the plain decode again.
    assert share <= strays(jpeg, again(decoded(raw), raw, 2))
    assert psnr(found, PHOTO) > psnr(start, PHOTO)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_other_dtypes_hold_in_8_bits_too(dtype: type) -> None:
    raw = coded(PHOTO, 2, quality=40)
    jpeg = JpegCoefficients.of_file(raw)
    full = 65535 if dtype == np.uint16 else 1.0
    start = (natural(decoded(raw), 1) / 255 * full).astype(dtype)
    found = project(Frame.of(start), jpeg).restore()
    assert found.dtype == dtype
    eight = (found.astype(float) / full * 255).round().astype(np.uint8)
    assert strays(jpeg, again(eight, raw, 2)) <= 1e-3


def test_a_picture_in_its_cells_stays_as_it_is() -> None:
    raw = coded(PHOTO[:144, :176], 0, quality=30)
    # 4:4:4 and no clipping near: the decode lies in the middle of every cell.
    dull = coded((decoded(raw) // 2 + 64).astype(np.uint8), 0, quality=30)
    frame = Frame.of(decoded(dull))
    assert torch.equal(project(frame, JpegCoefficients.of_file(dull)).samples, frame.samples)


def test_bands_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = coded(PHOTO, 2, quality=20)
    jpeg, frame = JpegCoefficients.of_file(raw), Frame.of(natural(decoded(raw), 2))
    whole = project(frame, jpeg)
    monkeypatch.setattr("gesso.projection.BAND", 1)
    assert torch.equal(project(frame, jpeg).samples, whole.samples)


def test_tiles_are_the_pictures_and_what_lies_beyond_the_border_stays() -> None:
    raw = coded(PHOTO, 2, quality=20)  # 180 x 150
    jpeg, frame = JpegCoefficients.of_file(raw), Frame.of(natural(decoded(raw), 2))
    boxes = [Box(0, 0, 128, 128), Box(64, 64, 128, 128)]
    tiles = torch.cat([frame.window(b.top, b.left, b.height, b.width) for b in boxes])
    found = project_rgb(tiles, jpeg, boxes)
    [whole] = project_rgb(frame.rgb, jpeg, [Box(0, 0, frame.height, frame.width)])
    for tile, box in zip(found, boxes, strict=True):
        height, width = min(box.height, 150 - box.top), min(box.width, 180 - box.left)
        expected = whole[:, box.top : box.top + height, box.left : box.left + width]
        assert torch.allclose(tile[:, :height, :width], expected, atol=1e-5)
    assert torch.equal(found[1, :, 86:], tiles[1, :, 86:])
    assert torch.equal(found[1, :, :, 116:], tiles[1, :, :, 116:])
    assert not torch.equal(found[1, :, :86, :116], tiles[1, :, :86, :116])


def test_what_does_not_fit_raises() -> None:
    jpeg = JpegCoefficients.of_file(coded(PHOTO, 2, quality=20))
    frame = Frame.of(PHOTO)
    with pytest.raises(InputError, match="uncropped"):
        project(Frame.of(PHOTO[1:]), jpeg)
    with pytest.raises(InputError, match="2 picture"):
        project(Frame.of(np.stack([PHOTO, PHOTO])), jpeg)
    with pytest.raises(InputError, match="grey"):
        project(Frame.of(PHOTO[..., 0]), jpeg)
    with pytest.raises(InputError, match="tile and overlap"):
        project_rgb(frame.window(0, 8, 64, 64), jpeg, [Box(0, 8, 64, 64)])
