"""The Frechet distance has its closed form, and features are taken of the right patches."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gesso.errors import InputError
from gesso.evaluation import fid, networks
from gesso.evaluation.fid import SET_METRICS, frechet_distance

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]


def whitened(count: int, size: int, seed: int) -> NDArray[np.float64]:
    """Vectors whose mean is exactly zero and whose covariance is exactly the identity."""
    draws = np.random.default_rng(seed).normal(size=(count, size))
    draws -= draws.mean(0)
    return np.asarray(np.linalg.qr(draws)[0] * math.sqrt(count - 1))


@pytest.mark.parametrize("count", [9, 40])
def test_of_gaussians_along_the_axes_it_is_a_sum_of_squares(count: int) -> None:
    one, two = np.array([1.0, 2.0, 0.5, 0.0]), np.array([2.0, 2.0, 3.0, 1.0])
    means = np.array([0.3, -1.0, 2.0, 0.0]), np.array([0.0, 0.0, 2.0, -1.0])
    expected = np.square(means[0] - means[1]).sum() + np.square(one - two).sum()
    vectors = [
        whitened(count + s, 4, s) * spread + mean
        for s, (spread, mean) in enumerate(zip((one, two), means, strict=True))
    ]
    assert frechet_distance(*vectors) == pytest.approx(expected, rel=1e-9)


def test_of_gaussians_that_do_not_commute_it_is_the_closed_form_in_two_dimensions() -> None:
    # tr (AB)^(1/2) = (tr AB + 2 (det AB)^(1/2))^(1/2) for 2 x 2
    a, b = np.array([[2.0, 0.7], [0.7, 1.0]]), np.array([[1.0, -0.9], [-0.9, 3.0]])
    product = a @ b
    root = math.sqrt(np.trace(product) + 2 * math.sqrt(np.linalg.det(product)))
    vectors = [whitened(50, 2, s) @ np.linalg.cholesky(m).T for s, m in enumerate((a, b))]
    expected = np.trace(a) + np.trace(b) - 2 * root
    assert frechet_distance(*vectors) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", [(200, 300), (30, 300), (20, 25)])
def test_agrees_with_the_root_of_a_matrix(counts: tuple[int, int]) -> None:
    """As pytorch-fid computes it, also where the covariances are not of full rank."""
    random = np.random.default_rng(5)
    mix = random.normal(size=(48, 48)) / 7
    one = np.abs(random.normal(size=(counts[0], 48)) @ mix)
    two = np.abs(random.normal(size=(counts[1], 48)) @ mix * 1.3 + 0.1)
    covariances: list[Any] = [np.cov(x, rowvar=False) + 1e-9 * np.eye(48) for x in (one, two)]
    root: Any = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    mean = np.square(one.mean(0) - two.mean(0)).sum()
    expected = mean + np.trace(sum(covariances)) - 2 * np.trace(root).real
    assert frechet_distance(one, two) == pytest.approx(expected, abs=1e-3)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.integers(2, 12), st.integers(1, 6))
def test_is_a_distance(seed: int, one: int, two: int, size: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(one, size)), random.normal(size=(two, size)) + 0.5
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), abs=1e-9)
    assert frechet_distance(a, b) >= 0
    # moving one set moves its mean and nothing else
    assert frechet_distance(a, a + 2.0) == pytest.approx(4 * size)
    turned, _ = np.linalg.qr(random.normal(size=(size, size)))
    assert frechet_distance(a @ turned, b @ turned) == pytest.approx(frechet_distance(a, b))


def test_tensors_and_arrays_are_alike_and_single_precision_suffices() -> None:
    a, b = torch.rand(2, 30, 8, generator=torch.Generator().manual_seed(0))
    value = SET_METRICS["fid"].distance(a, b)
    assert value == SET_METRICS["fid"].distance(a.numpy(), b.numpy().astype(np.float64))
    assert value > 0


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((1, 8), (5, 8)), r"two or more on each side; got \(1, 8\)"),
        (((5, 8), (8,)), r"\(n, d\) vectors.*got \(8,\)"),
        (((5, 8), (5, 9)), "vectors of one length; got 8 and 9"),
    ],
)
def test_sets_that_do_not_fit_are_named(shapes: tuple[Any, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        frechet_distance(*(torch.zeros(shape) for shape in shapes))


class Corners(torch.nn.Module):
    """In the network's place: the first and last value of each picture, and its side."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        side = torch.full((len(x),), float(x.shape[-1]))
        return torch.stack([x[:, 0, 0, 0], x[:, 2, -1, -1], side], 1)


@pytest.fixture
def corners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "_built", {})
    monkeypatch.setattr(fid, "inception", Corners)


def ramp(height: int, width: int) -> torch.Tensor:
    """Every value tells its row and column: 1000 row + column."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    return (1000.0 * rows + columns).expand(1, 3, -1, -1)


def test_patches_are_a_grid_and_the_same_grid_shifted_by_half(corners: None) -> None:
    found = SET_METRICS["patch_fid"].features(ramp(150, 200))
    firsts = [(int(v) // 1000, int(v) % 1000) for v in found[:, 0].tolist()]
    assert firsts == [
        *((0, 0), (0, 64), (0, 128), (64, 0), (64, 64), (64, 128)),
        *((32, 32), (32, 96)),
    ]
    assert (found[:, 1] - found[:, 0] == 63_063).all()
    assert (found[:, 2] == 64).all()


def test_kodak_gives_enough_patches_for_a_covariance(corners: None) -> None:
    for height, width in ((512, 768), (768, 512)):
        count = len(SET_METRICS["patch_fid"].features(ramp(height, width)))
        assert count == 12 * 8 + 11 * 7
        assert 24 * count >= SET_METRICS["patch_fid"].fewest


def test_a_picture_below_one_and_a_half_patches_has_one_grid(corners: None) -> None:
    assert len(SET_METRICS["patch_fid"].features(ramp(95, 200))) == 3
    assert len(SET_METRICS["patch_fid"].features(ramp(96, 200))) == 3 + 2
    assert len(SET_METRICS["patch_fid"].features(ramp(64, 64))) == 1


def test_every_picture_of_a_batch_is_taken_whole(corners: None) -> None:
    batch = torch.cat([ramp(30, 40) + 10 * i for i in range(19)])
    found = SET_METRICS["fid"].features(batch)
    assert found[:, 0].tolist() == [10.0 * i for i in range(19)]
    assert replace(SET_METRICS["fid"], patch=10).features(batch).shape == (19 * (12 + 6), 3)


def test_bad_pictures_are_named_with_the_size_that_helps() -> None:
    with pytest.raises(InputError, match=r"FID needs \(B, 3, H, W\), got \(3, 70, 70\)"):
        SET_METRICS["fid"].features(torch.zeros(3, 70, 70))
    message = "FID/64 needs 64 x 64 pixels or more, got 63 x 70; leave the picture or the metric"
    with pytest.raises(InputError, match=message):
        SET_METRICS["patch_fid"].features(torch.zeros(1, 3, 70, 63))


def test_coarser_patches_are_farther_away(pairs: Pairs) -> None:
    metric = SET_METRICS["patch_fid"]
    assert metric.missing() is None
    source, coarse = (x[:, :, :96, :160] for x in pairs["astronaut"])
    reference = metric.features(source)
    assert reference.shape == (2 + 2, 2048)
    assert reference.dtype == torch.float32
    assert not reference.requires_grad
    far = metric.distance(reference, metric.features(coarse))
    near = metric.distance(reference, metric.features((3 * source + coarse) / 4))
    assert metric.distance(reference, reference) == pytest.approx(0, abs=1e-6)
    assert 1 < near < far


def test_half_precision_around_it_does_not_change_the_features(pairs: Pairs) -> None:
    x = pairs["coffee"][0]
    expected = SET_METRICS["fid"].features(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(SET_METRICS["fid"].features(x), expected)


def test_the_registry_survives_the_way_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(SET_METRICS)) == SET_METRICS
    assert all(name == metric.name for name, metric in SET_METRICS.items())
