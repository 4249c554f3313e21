"""Training pictures: crops that lie in them, drawn reproducibly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from skimage import data

from gesso.errors import InputError
from gesso.training.data import CropSampler, picture_files, validation_crops


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.fromarray(data.astronaut()).save(tmp_path / "b.png")
    Image.fromarray(data.coffee()).save(tmp_path / "a.webp", lossless=True)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_pictures_are_found_in_order(folder: Path) -> None:
    assert [p.name for p in picture_files(folder)] == ["a.webp", "b.png"]


def test_a_folder_without_pictures_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no pictures in"):
        picture_files(tmp_path)
    with pytest.raises(InputError, match="not a folder"):
        picture_files(tmp_path / "nowhere")


def test_crops_are_reproducible_and_in_range(folder: Path) -> None:
    sampler = CropSampler.from_files(picture_files(folder), 64)
    a, b = (sampler.draw(6, np.random.default_rng(5)) for _ in range(2))
    assert a.shape == (6, 3, 64, 64) and bool((a == b).all())
    assert -1 <= float(a.min()) < float(a.max()) <= 1
    other = sampler.draw(6, np.random.default_rng(6))
    assert bool((a != other).any())


def test_a_crop_is_a_piece_of_the_picture_turned_or_flipped(folder: Path) -> None:
    picture = np.asarray(Image.open(folder / "b.png"))
    sampler = CropSampler([picture], np.ones(1), 16)
    crop = sampler.draw(1, np.random.default_rng(0))[0].permute(1, 2, 0)
    pixels = ((crop + 1) * 127.5).round().numpy().astype(np.uint8)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (16, 16, 3))[:, :, 0]
    turned = [np.rot90(p, k) for p in (pixels, pixels[:, ::-1]) for k in range(4)]
    assert any((windows[:, :, 0, 0] == t[0, 0]).all(-1).any() for t in turned)
    assert any((windows == t).all((2, 3, 4)).any() for t in turned)


def test_scales_too_small_for_a_crop_are_left_out(folder: Path) -> None:
    sampler = CropSampler.from_files(picture_files(folder), 300, scales=(1.0, 0.7, 0.5))
    assert sorted(min(p.shape[:2]) for p in sampler.pictures) == [358, 400, 512]
    with pytest.raises(InputError, match="lower --crop"):
        CropSampler.from_files(picture_files(folder), 2048)


def test_validation_takes_the_centre(folder: Path) -> None:
    crops = validation_crops([folder / "b.png"], 256)
    middle = data.astronaut()[128:384, 128:384]
    np.testing.assert_allclose(crops[0].permute(1, 2, 0), middle / 127.5 - 1, atol=1e-6)
    with pytest.raises(InputError, match=r"a\.webp is smaller"):
        validation_crops([folder / "a.webp"], 512)


def test_what_is_enlarged_is_soft_and_the_rest_is_as_before() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (200, 200, 3), dtype=np.uint8)
    soft = CropSampler([picture], np.ones(1), 64, enlarged=1.0)
    half = CropSampler([picture], np.ones(1), 64, enlarged=0.5)

    def step(crop: NDArray[np.uint8]) -> float:
        return float(np.abs(np.diff(crop.astype(float), axis=0)).mean())

    assert step(picture) > 75
    steps = [step(soft.take(rng)) for _ in range(50)]
    assert max(steps) < 70 and min(steps) < 35
    assert {soft.take(rng).shape for _ in range(5)} == {(64, 64, 3)}
    assert 20 < sum(step(half.take(rng)) < 70 for _ in range(80)) < 60
    # one seed gives the crops that it always gave
    plain, named = (CropSampler([picture], np.ones(1), 64, *more) for more in ((), (0.0,)))
    np.testing.assert_array_equal(
        plain.take(np.random.default_rng(3)), named.take(np.random.default_rng(3))
    )
