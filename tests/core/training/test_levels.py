"""How much noise a preset adds: by what it costs in PSNR, and by what looks best."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import Tensor

from gesso.codec import PillowCodec, get_codec
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.noise import sharpness, softened
from gesso.target import Target
from gesso.training.levels import (
    ENLARGED,
    LEVELS,
    Coding,
    fit_levels,
    fit_noise_scale,
    measure_levels,
    noise_qualities,
    psnr_drops,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("val")
    paths = [folder / f"{name}.png" for name in ("astronaut", "coffee", "rocket")]
    for path in paths:
        Image.fromarray(getattr(data, path.stem)()[:260, :300]).save(path)
    return paths


def louder(frame: Frame, ratio: float) -> Frame:
    """White noise of ``ratio`` times a fiftieth on top: independent of whatever is there."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(frame.rgb.shape, generator=generator)
    return Frame.of((frame.rgb + 0.02 * ratio * noise).clamp(0, 1))


def far(clean: Tensor) -> Callable[[Tensor], float]:
    return lambda picture: float((picture - clean).square().mean())


def test_drops_are_those_of_the_error(files: list[Path]) -> None:
    codec, target = get_codec("jpeg"), Target("jpeg", 20)
    asked: list[tuple[float, int, int]] = []

    def enhanced(frame: Frame, at: Target) -> Frame:
        asked.append((at.quality, frame.height, frame.width))
        return louder(frame, 1.0)

    drops = psnr_drops(files[:2], target, codec, lambda frame, _: frame, enhanced)
    assert asked == [(20, 260, 300)] * 2  # whole pictures
    for path, drop in zip(files, drops, strict=False):
        with Image.open(path) as source:
            clean = Frame.of(source.convert("RGB"))
            decoded = Frame.of(codec.decode(codec.encode(source.convert("RGB"), 20)))
        before = float((decoded.rgb - clean.rgb).square().mean())
        expected = 10 * np.log10((before + 0.02**2) / before)
        assert drop == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize("wanted", [1.0, 2.6])
def test_the_ratio_that_is_found_gives_the_drop_that_was_wanted(
    wanted: float, files: list[Path]
) -> None:
    codec = get_codec("jpeg")

    def error(frame: Frame, target: Target) -> Frame:
        return frame

    def enhanced(ratio: float):  # type: ignore[no-untyped-def]  # a Restore
        return lambda frame, target: louder(frame, ratio)

    told: list[tuple[int, int]] = []
    rows = fit_noise_scale(
        files[:3], codec, (40, 10), wanted, error, enhanced, lambda *step: told.append(step)
    )
    assert [row[0] for row in rows] == [pytest.approx(codec.qp(q), abs=0.01) for q in (40, 10)]
    assert told[-1] == (10, 10)
    # the smaller the error, the sooner the same noise is felt
    assert rows[0][1] < rows[1][1]
    for (_, ratio), quality in zip(rows, (40, 10), strict=True):
        drops = psnr_drops(files[:3], Target("jpeg", quality), codec, error, enhanced(ratio))
        assert sum(drops) / 3 == pytest.approx(wanted, abs=0.25)


def test_a_drop_that_no_noise_costs_is_refused(files: list[Path]) -> None:
    def same(frame: Frame, target: Target) -> Frame:
        return frame

    with pytest.raises(InputError, match=r"jpeg 10 PSNR falls by 0\.00 dB.* ask for less"):
        fit_noise_scale(files[:1], get_codec("jpeg"), (10,), 2.0, same, lambda ratio: same)


def test_noise_is_fitted_at_four_rate_indices() -> None:
    assert noise_qualities(get_codec("jpeg")) == (11, 29, 68, 89)
    for name in ("webp", "avif"):
        codec = get_codec(name)
        indices = [codec.qp(quality) for quality in noise_qualities(codec)]
        assert indices == pytest.approx([44, 37, 31, 24], abs=1)


def test_a_falling_scale_is_named_from_its_worst() -> None:
    found = noise_qualities(PillowCodec("x", ".x", qualities=(50, 0)))
    assert len(found) >= 3 and list(found) == sorted(found, reverse=True)


def test_every_coding_is_looked_at_with_every_level(files: list[Path]) -> None:
    codec = get_codec("jpeg")
    told: list[tuple[int, int]] = []
    codings = measure_levels(
        files[:2],
        codec,
        (50, 20),
        lambda frame, _: frame,
        lambda ratio: lambda frame, _: louder(frame, ratio),
        far,
        lambda *step: told.append(step),
    )
    assert [(c.quality, c.enlarged) for c in codings[:6]] == [
        (quality, factor) for factor in ENLARGED for quality in (20, 50)
    ]
    assert told == [(n, 12) for n in range(1, 13)]
    whole = Image.open(files[0]).convert("RGB")
    source = whole.crop((22, 2, 278, 258))
    decoded = Frame.of(codec.decode(codec.encode(source, 20)))
    first, looks = codings[0], far(Frame.of(source).rgb)
    assert first.qp == codec.qp(20) and first.sharpness == float(sharpness(decoded)[0])
    for ratio, cost in zip(LEVELS, first.costs, strict=True):
        worse = looks(louder(decoded, ratio).rgb) / looks(decoded.rgb)
        assert cost == pytest.approx(math.log(worse))
    # what was enlarged has softer edges
    assert codings[4].sharpness < codings[2].sharpness < first.sharpness


def test_a_small_picture_is_named(tmp_path: Path) -> None:
    path = tmp_path / "small.png"
    Image.new("RGB", (255, 400)).save(path)
    codec = get_codec("jpeg")

    def same(frame: Frame, target: Target) -> Frame:
        return frame

    with pytest.raises(InputError, match=r"small\.png is smaller than 256 x 256 .* leave it out"):
        measure_levels([path], codec, (20,), same, lambda _: same, far)


def coding(codec: str, qp: float, edges: float, best: float) -> Coding:
    """Whose cost is least with ``best`` times the error."""
    costs = tuple((math.log(ratio) - math.log(best)) ** 2 - 1 for ratio in LEVELS)
    return Coding(codec, 100 - qp, qp, 1.0, edges, costs)


@pytest.mark.parametrize(
    "rule",
    [
        {"reference": 0.42, "power": 4.0, "least": 0.15},
        {"reference": 0.51, "power": 2.0, "least": 0.25},
    ],
)
def test_the_rule_that_made_the_codings_is_found_again(rule: dict[str, float]) -> None:
    codings, bests = [], {("jpeg", 44): 1.0, ("jpeg", 28): 0.5, ("hevc", 36): 0.7}
    for (codec, qp), level in bests.items():
        for edges in np.linspace(0.25, 0.6, 8):
            share = float(np.clip((edges / rule["reference"]) ** rule["power"], rule["least"], 1))
            codings.append(coding(codec, qp, float(edges), level * share))
    found = fit_levels(codings)
    # between the levels that were measured the parabola is taken for straight
    assert found.rows == {
        "jpeg": [[28, pytest.approx(0.5, rel=0.15)], [44, pytest.approx(1.0, rel=0.15)]],
        "hevc": [[36, pytest.approx(0.7, rel=0.15)]],
    }
    for edges in np.linspace(0.25, 0.6, 8):
        one, other = (
            np.clip((edges / r["reference"]) ** r["power"], r["least"], 1)
            for r in (rule, found.softness)
        )
        assert other == pytest.approx(one, rel=0.2)
    assert found.costs == pytest.approx([-1.0] * len(codings), abs=0.15)


def test_where_edges_tell_nothing_there_is_no_rule() -> None:
    codings = [coding("jpeg", 40, edges, 0.7) for edges in (0.3, 0.4, 0.5)]
    found = fit_levels(codings)
    assert found.softness["power"] == 0
    frame = Frame.of(torch.rand(1, 3, 32, 32).cumsum(3) / 32)
    assert float(softened(found.softness, frame)[0]) == 1
    assert found.rows == {"jpeg": [[40, pytest.approx(0.7, rel=0.05)]]}


def test_nothing_to_fit_on_is_refused() -> None:
    with pytest.raises(InputError, match="no codings"):
        fit_levels([])
