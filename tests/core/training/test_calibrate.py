"""Calibration against real codecs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from gesso.codec import PillowCodec, get_codec
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.noise import estimated_rmse
from gesso.target import Target
from gesso.training.calibrate import (
    QUALITIES,
    calibration_qualities,
    fit_noise_table,
    qp_equivalents,
    residual_db,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("val")
    paths = []
    for index, name in enumerate(["astronaut", "coffee", "chelsea", "rocket"] * 2):
        path = folder / f"{index}.png"
        picture = getattr(data, name)()
        left = 0 if index < 4 else 150
        Image.fromarray(picture[:200, left : left + 200]).save(path)
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((1, 100), QUALITIES),
        ((0, 100), QUALITIES),
        ((51, 0), (15, 20, 26, 31, 36, 41, 43, 46, 48)),
        ((63, 0), (19, 25, 32, 38, 44, 50, 54, 57, 60)),
        ((1, 8), (1, 2, 3, 4, 5, 6, 7, 8)),
        ((1, 3), (1, 2, 3)),
        ((0, 1), tuple(quality / 100 for quality in QUALITIES)),
    ],
)
def test_any_scale_is_covered(ends: tuple[float, float], expected: tuple[float, ...]) -> None:
    found = calibration_qualities(PillowCodec("x", ".x", qualities=ends))
    assert found == pytest.approx(expected) and list(found) == sorted(found)


@pytest.mark.parametrize("name", ["jpeg", "webp"])
def test_the_table_predicts_the_error(files: list[Path], name: str) -> None:
    codec = get_codec(name)
    rows = fit_noise_table(files, codec, (20, 60))
    assert [row[0] for row in rows] == [20, 60]
    # More quality, more bits and less error.
    assert rows[0][3] < rows[1][3] and rows[0][4] > rows[1][4]
    source = Image.open(files[0]).convert("RGB")
    decoded = Frame.of(codec.decode(codec.encode(source, 20)))
    truth = 2 * float((decoded.rgb - Frame.of(source).rgb).square().mean().sqrt())
    guess = float(estimated_rmse({name: rows}, Target(name, 20), decoded)[0])
    assert guess == pytest.approx(truth, rel=0.35)


def test_equivalents_map_a_codec_to_itself(files: list[Path]) -> None:
    rows = fit_noise_table(files, get_codec("jpeg"), (10, 30, 60, 90))
    scale = get_codec("jpeg").qp
    for quality, qp in qp_equivalents(rows, rows, scale):
        assert qp == pytest.approx(scale(quality), abs=0.06)


def test_a_handful_of_pictures_is_refused(files: list[Path]) -> None:
    with pytest.raises(InputError, match="eight or more"):
        fit_noise_table(files[:3], get_codec("jpeg"))
    with pytest.raises(InputError, match="nine or more"):
        residual_db(files, get_codec("jpeg"), (20,))


def test_left_out_pictures_are_predicted_by_the_others(files: list[Path], tmp_path: Path) -> None:
    ninth = tmp_path / "9.png"
    Image.fromarray(data.astronaut()[300:500, 300:500]).save(ninth)
    codec, paths = get_codec("jpeg"), [*files, ninth]
    alone, informed = [], []
    for path in paths:
        [row] = fit_noise_table([p for p in paths if p != path], codec, (20,))
        source = Image.open(path).convert("RGB")
        decoded = Frame.of(codec.decode(codec.encode(source, 20)))
        truth = float((decoded.rgb - Frame.of(source).rgb).square().mean())
        guess = float(estimated_rmse({"jpeg": [row]}, Target("jpeg", 20), decoded)[0]) ** 2 / 4
        alone.append(10 * np.log10(4 ** row[4] / 4 / truth) ** 2 * 10)
        informed.append(10 * np.log10(guess / truth) ** 2 * 10)
    found = residual_db(paths, codec, (20,))
    assert found == pytest.approx((np.mean(alone) ** 0.5, np.mean(informed) ** 0.5), rel=1e-3)


def louder(frame: Frame, ratio: float) -> Frame:
    """White noise of ``ratio`` times a fiftieth on top: independent of whatever is there."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(frame.rgb.shape, generator=generator)
    return Frame.of((frame.rgb + 0.02 * ratio * noise).clamp(0, 1))


def test_an_estimate_is_calibrated_by_its_own_error(files: list[Path]) -> None:
    codec = get_codec("jpeg")
    plain = fit_noise_table(files, codec, (20,))
    worse = fit_noise_table(files, codec, (20,), restore=lambda frame, target: louder(frame, 5.0))
    # 2 * 0.1 on [-1, 1] pixels, which outweighs the decode's own error
    assert worse[0][4] == pytest.approx(np.log2(0.2), abs=0.4)
    assert worse[0][3] == plain[0][3] and worse[0][4] > plain[0][4] + 0.5
