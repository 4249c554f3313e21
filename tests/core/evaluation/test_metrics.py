"""What holds for every full-reference metric, and for the registry."""

from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gesso.errors import InputError
from gesso.evaluation import metrics, networks
from gesso.evaluation.metrics import METRICS, Metric, get_metrics

Pairs = dict[str, tuple[torch.Tensor, torch.Tensor]]

HERE = [name for name, metric in METRICS.items() if metric.missing() is None]
# without a program of others, so differentiable
TORCH = ("psnr", "ssim", "ms_ssim", "lpips", "lpips_vgg", "dists", "ssimulacra2")
BEST = {
    "psnr": float("inf"),
    "ssim": 1,
    "ms_ssim": 1,
    "lpips": 0,
    "lpips_vgg": 0,
    "dists": 0,
    "ssimulacra2": 100,
    "butteraugli": 0,
    "vmaf": 97.43,  # a still has no motion to make up for it
    "vmaf_neg": 97.43,
}


def crop(x: torch.Tensor, metric: Metric) -> torch.Tensor:
    """The smallest piece that the metric takes, or 48 pixels, to be quick."""
    side = max(48, metric.smallest)
    return x[:, :, :side, :side]


def test_everything_that_needs_no_program_can_run_here() -> None:
    assert set(TORCH) <= set(HERE), "run: make venv"


@pytest.mark.parametrize("name", HERE)
def test_an_equal_picture_is_the_best_there_is(pairs: Pairs, name: str) -> None:
    x = pairs["astronaut"][0]
    assert METRICS[name](x, x.clone()).item() == pytest.approx(BEST[name], abs=0.01)


@pytest.mark.parametrize("name", HERE)
def test_noise_worsens_it(pairs: Pairs, name: str) -> None:
    metric = METRICS[name]
    x = crop(pairs["astronaut"][0], metric)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    values = [metric(x, (x + a * noise).clamp(0, 1)).item() for a in (0.0, 0.01, 0.05, 0.2)]
    assert values == sorted(values, reverse=not metric.lower_is_better)
    assert len(set(values)) == 4


@pytest.mark.parametrize("name", ["psnr", "ssim", "lpips", "lpips_vgg", "dists"])
@settings(max_examples=6, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(31, 50), st.integers(31, 50))
def test_is_symmetric(name: str, seed: int, height: int, width: int) -> None:
    metric = METRICS[name]
    one, two = torch.rand(2, 1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    two = 0.8 * one + 0.2 * two
    assert metric(one, two).item() == pytest.approx(metric(two, one).item(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("name", HERE)
def test_a_batch_gives_each_picture_its_own_value(pairs: Pairs, name: str) -> None:
    metric = METRICS[name]
    x, coarse = (crop(x, metric) for x in pairs["astronaut"])
    y = torch.cat([coarse, x * 0.9, 1 - x])
    together = metric(x.expand(3, -1, -1, -1), y)
    assert together.shape == (3,)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, torch.cat([metric(x, one[None]) for one in y]))


@pytest.mark.parametrize("name", HERE)
def test_against_a_reference_gives_the_same_values(pairs: Pairs, name: str) -> None:
    metric = METRICS[name]
    x, coarse = (crop(x, metric) for x in pairs["astronaut"])
    compare = metric.against(x)
    assert compare(coarse).item() == metric(x, coarse).item()
    with pytest.raises(InputError, match=r"of one shape"):
        compare(coarse[:, :, 1:])


def test_of_large_references_nothing_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(reference: torch.Tensor) -> None:
        raise AssertionError("must not be held")

    metric = Metric("x", "X", True, 1, lambda a, b: (a - b).mean((1, 2, 3)), prepare=prepare)  # type: ignore[arg-type,return-value]
    monkeypatch.setattr(metrics, "HELD", 99)
    x = torch.rand(1, 3, 10, 10)
    assert metric.against(x)(x).item() == 0
    with pytest.raises(AssertionError):
        metric.against(x[:, :, 1:])


@pytest.mark.parametrize("name", TORCH)
def test_serves_as_a_loss_even_when_first_used_in_inference_mode(
    monkeypatch: pytest.MonkeyPatch, pairs: Pairs, name: str
) -> None:
    metric = METRICS[name]
    x, coarse = (crop(x, metric) for x in pairs["astronaut"])
    monkeypatch.setattr(networks, "_built", {})
    with torch.inference_mode():
        metric(x, x)
    y = coarse.clone().requires_grad_()
    before = metric(x, y).sum()
    (slope,) = torch.autograd.grad(before, y)
    assert slope.isfinite().all()
    assert slope.abs().max() > 0
    better = -slope if metric.lower_is_better else slope
    after = metric(x, y + 1e-3 * better / better.abs().max())
    assert (after < before) == metric.lower_is_better


@pytest.mark.parametrize(
    ("one", "two"),
    [((1, 3, 40, 40), (1, 3, 40, 41)), ((3, 40, 40), (3, 40, 40)), ((1, 1, 40, 40),) * 2],
)
def test_shapes_that_do_not_fit_are_named(one: tuple[int, ...], two: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\(B, 3, H, W\).*40"):
        METRICS["psnr"](torch.zeros(one), torch.zeros(two))


@pytest.mark.parametrize("name", [n for n in METRICS if METRICS[n].smallest > 1])
def test_a_picture_that_is_too_small_is_named_with_the_size_that_helps(name: str) -> None:
    metric = METRICS[name]
    side = metric.smallest
    x = torch.zeros(1, 3, side, side - 1)
    message = (
        f"{metric.label.replace('(', '[(]').replace(')', '[)]')} needs {side} x {side} pixels "
        f"or more, got {side - 1} x {side}; leave the picture or the metric out"
    )
    for call in (lambda: metric(x, x), lambda: metric.against(x)):
        with pytest.raises(InputError, match=message):
            call()


@pytest.mark.parametrize("name", HERE)
def test_measures_the_smallest_picture_it_says_it_does(name: str) -> None:
    side = METRICS[name].smallest
    x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(1))
    assert METRICS[name](x, 0.5 * x).isfinite().all()


def test_the_registry_survives_the_way_to_another_process() -> None:
    assert pickle.loads(pickle.dumps(METRICS)) == METRICS


def test_get_metrics_keeps_the_order_and_names_what_there_is() -> None:
    assert [m.name for m in get_metrics(["dists", "psnr", "dists"])] == ["dists", "psnr"]
    with pytest.raises(InputError, match="'psnrr'; there are psnr, ssim, ms_ssim, lpips"):
        get_metrics(["psnr", "psnrr"])
    with pytest.raises(InputError, match="no metric asked for"):
        get_metrics([])
