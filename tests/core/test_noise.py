"""Noise levels: from tables, from gradients, from pixels without their file."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage import data

from gesso import codec
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.noise import (
    estimated_rmse,
    gradient,
    jpeg_quality_of_pixels,
    quality_of_rate,
    sharpness,
    sigma_for,
    softened,
)
from gesso.target import Target

TABLE = {"jpeg": [[10, -1.0, 0.5, -2.0], [30, -2.0, 0.3, -1.0], [90, -3.0, 0.4, 1.0]]}


def test_gradient_is_the_mean_step_between_neighbours() -> None:
    ramp = torch.arange(8.0).expand(1, 3, 8, 8) / 10
    # 56 steps of 0.1 across, 56 of 0 down.
    assert float(gradient(Frame.of(ramp))[0]) == pytest.approx(0.05)


def test_gradient_in_bands_is_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame.of(torch.rand(2, 3, 50, 20))
    whole = gradient(frame)
    monkeypatch.setattr("gesso.noise.BAND", 7)
    torch.testing.assert_close(gradient(frame), whole)
    assert len(whole) == 2


def test_one_pixel_has_a_level_too() -> None:
    assert float(estimated_rmse(TABLE, Target("jpeg", 20), Frame.of(torch.zeros(3, 1, 1)))) > 0


def test_the_table_is_interpolated_and_held_at_its_ends() -> None:
    frame = Frame.of(torch.arange(8.0).expand(1, 3, 8, 8) / 10)
    g = np.log2(0.05)
    for quality, a, b in (
        (10, -1, 0.5),
        (20, -1.5, 0.4),
        (90, -3, 0.4),
        (5, -1, 0.5),
        (99, -3, 0.4),
    ):
        got = float(estimated_rmse(TABLE, Target("jpeg", quality), frame)[0])
        assert got == pytest.approx(2 ** (a + b * g), rel=1e-5)


def test_sigma_is_the_error_times_the_ratio_at_its_rate() -> None:
    frame, target = Frame.of(torch.rand(3, 8, 8)), Target("jpeg", 20)
    error = estimated_rmse(TABLE, target, frame)
    torch.testing.assert_close(sigma_for(TABLE, 2.0, target, frame), 2 * error)
    rows = [[target.qp - 1, 1.0], [target.qp + 3, 3.0]]
    torch.testing.assert_close(sigma_for(TABLE, rows, target, frame), 1.5 * error)
    torch.testing.assert_close(
        sigma_for(TABLE, rows, Target("jpeg", 1), frame),
        3 * estimated_rmse(TABLE, Target("jpeg", 1), frame),
    )


def test_a_ratio_by_codec_may_be_a_number_and_that_of_hevc_serves_the_rest() -> None:
    frame, target = Frame.of(torch.rand(3, 8, 8)), Target("jpeg", 20)
    error = estimated_rmse(TABLE, target, frame)
    scale = {"hevc": 0.5, "webp": [[40, 9.0]]}
    torch.testing.assert_close(sigma_for(TABLE, scale, target, frame), 0.5 * error)
    scale = {"jpeg": [[target.qp, 1.5]]}  # which needs no HEVC beside it
    torch.testing.assert_close(sigma_for(TABLE, scale, target, frame), 1.5 * error)


def test_sharpness_is_how_soon_a_step_is_over() -> None:
    edge = torch.zeros(1, 3, 64, 64)
    edge[..., 32:] = 1
    # One pair of neighbours straddles the edge, and four pairs of pixels four apart.
    pairs = 64 * 63 + 63 * 64, 64 * 60 + 60 * 64
    expected = ((64 / pairs[0]) / (4 * 64 / pairs[1])) ** 0.5
    assert float(sharpness(Frame.of(edge))[0]) == pytest.approx(expected, rel=1e-4)
    noise = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(sharpness(Frame.of(noise)).float(), torch.ones(2), atol=0.05, rtol=0)
    ramp = torch.arange(64.0).expand(1, 3, 64, 64) / 64
    assert float(sharpness(Frame.of(ramp))[0]) == pytest.approx(0.25, rel=0.05)


def test_sharpness_of_a_photograph_falls_when_it_is_enlarged() -> None:
    photo = Image.fromarray(data.astronaut()).crop((100, 0, 356, 256))
    found = [
        float(sharpness(Frame.of(photo.resize((256 * k, 256 * k), Image.Resampling.BICUBIC)))[0])
        for k in (1, 2, 3)
    ]
    assert found[0] > 1.2 * found[1] and found[1] > 1.1 * found[2]


def test_sharpness_in_bands_is_the_whole_one(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = Frame.of(torch.rand(2, 3, 50, 20))
    whole = sharpness(frame)
    for band in (3, 7, 49):
        monkeypatch.setattr("gesso.noise.BAND", band)
        torch.testing.assert_close(sharpness(frame), whole)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (3, 2), (5, 4), (4, 64)])
def test_sharpness_of_flat_and_of_tiny_pictures(size: tuple[int, int]) -> None:
    assert float(sharpness(Frame.of(torch.full((1, 3, *size), 0.4)))[0]) == pytest.approx(1)
    assert float(sharpness(Frame.of(torch.rand(1, 3, *size)))[0]) > 0


def test_a_soft_picture_wants_less_noise() -> None:
    ramp, noise = torch.arange(64.0).expand(3, 64, 64) / 64, torch.rand(3, 64, 64)
    frame = Frame.of(torch.stack([ramp, noise]))
    curve = {"reference": 0.5, "power": 2.0, "least": 0.1}
    soft, sharp = (float(value) for value in softened(curve, frame))
    assert soft == pytest.approx(0.25, rel=0.1) and sharp == 1
    assert float(softened({**curve, "least": 0.4}, frame)[0]) == pytest.approx(0.4)


@dataclass(frozen=True)
class Scale:
    """A third party's codec: quality is the QP, 51 the worst."""

    name: str
    extension: str = ".x"
    qualities: tuple[float, float] = (51.0, 0.0)

    def encode(self, image: Image.Image, quality: float) -> bytes:
        raise NotImplementedError

    def decode(self, data: bytes) -> Image.Image:
        raise NotImplementedError

    def qp(self, quality: float) -> float:
        return quality


@pytest.fixture
def scales(monkeypatch: pytest.MonkeyPatch) -> None:
    """``hevc`` and ``mine``, known for one test."""
    known = {codec.name: codec for codec in (Scale("hevc"), Scale("mine"))}
    monkeypatch.setattr(codec, "_registry", {**codec._registry, **known})


def test_a_codec_without_a_table_is_taken_for_jpeg_at_equal_qp(scales: None) -> None:
    frame = Frame.of(torch.rand(3, 8, 8))
    for quality in (10, 30, 90):
        alike = Target("mine", Target("jpeg", quality).qp)
        torch.testing.assert_close(
            estimated_rmse(TABLE, alike, frame),
            estimated_rmse(TABLE, Target("jpeg", quality), frame),
        )
    between = [float(estimated_rmse(TABLE, Target("mine", qp), frame)[0]) for qp in range(52)]
    assert between == sorted(between) and between[0] < between[-1]


def test_a_codec_without_a_table_is_taken_for_hevc_first(scales: None) -> None:
    frame = Frame.of(torch.rand(3, 8, 8))
    table = {**TABLE, "hevc": [[20, -5.0, 0.3, 1.0], [40, -3.0, 0.3, -2.0]]}
    for qp in (10, 20, 25, 51):
        torch.testing.assert_close(
            estimated_rmse(table, Target("mine", qp), frame),
            estimated_rmse(table, Target("hevc", qp), frame),
        )


def test_any_table_is_better_than_none(scales: None) -> None:
    frame, avif = Frame.of(torch.rand(3, 8, 8)), {"avif": TABLE["jpeg"]}
    assert float(estimated_rmse(avif, Target("mine", 30), frame)) > 0
    # A table of a codec that is not there cannot be read: nothing tells its QP index.
    for table in ({}, {"gone": TABLE["jpeg"]}):
        with pytest.raises(InputError, match=r"never calibrated for codec 'mine'.*pass sigma="):
            estimated_rmse(table, Target("mine", 30), frame)


def test_the_rate_of_an_unknown_codec_tells_nothing() -> None:
    with pytest.raises(InputError, match="pass quality="):
        quality_of_rate(TABLE, "webp", 1.0)


def test_the_rate_tells_the_quality_on_a_falling_scale_too() -> None:
    table = {"hevc": [[20, -5.0, 0.3, 1.0], [30, -4.0, 0.3, 0.0], [40, -3.0, 0.3, -2.0]]}
    found = [quality_of_rate(table, "hevc", bpp) for bpp in (8, 2, 2**0.5, 0.5, 0.1)]
    assert found == pytest.approx([20, 20, 25, 35, 40])


def test_the_rate_tells_the_quality() -> None:
    assert quality_of_rate(TABLE, "jpeg", 0.5) == pytest.approx(30)
    assert quality_of_rate(TABLE, "jpeg", 2**-1.5) == pytest.approx(20)
    assert quality_of_rate(TABLE, "jpeg", 0.0) == 10 and quality_of_rate(TABLE, "jpeg", 24) == 90


@settings(deadline=None, max_examples=12)
@given(st.integers(4, 88), st.sampled_from(["astronaut", "coffee", "chelsea"]))
def test_a_decoded_jpeg_tells_its_quality(quality: int, name: str) -> None:
    picture = Image.fromarray(getattr(data, name)()).crop((0, 0, 400, 300))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    found = jpeg_quality_of_pixels(Frame.of(Image.open(stream)))
    assert found is not None and abs(found - quality) <= 1


@pytest.mark.parametrize("kind", ["photo", "webp", "flat", "noise", "small", "shifted"])
def test_other_pictures_tell_none(kind: str) -> None:
    photo = Image.fromarray(data.astronaut())
    stream = io.BytesIO()
    if kind == "webp":
        photo.save(stream, "WEBP", quality=20)
        photo = Image.open(stream)
    if kind == "flat":
        photo = Image.new("RGB", (64, 64), (90, 90, 90))
    if kind == "noise":
        photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    if kind == "small":
        photo = photo.crop((0, 0, 12, 12))
    if kind == "shifted":
        photo.save(stream, "JPEG", quality=30)
        photo = Image.open(stream).crop((3, 5, 400, 400))
    assert jpeg_quality_of_pixels(Frame.of(photo.convert("RGB"))) is None
