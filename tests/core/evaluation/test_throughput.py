"""Operations are counted as they are on paper; speeds are ratios of one run."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from PIL import ImageFilter
from torch.nn import functional as F

from gesso.codec import get_codec
from gesso.errors import InputError
from gesso.evaluation.throughput import Speed, convolution_peak, count_flops, measure_speed
from gesso.frame import Frame
from gesso.runtime import Runtime
from gesso.target import Target

CPU = Runtime("cpu", "fp32")


def convolve(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
    """Stands in for a model: two evaluations, one convolution of 3 to 3 channels."""
    F.conv2d(frame.rgb, torch.ones(3, 3, 3, 3), padding=1)
    if runtime and runtime.progress:
        runtime.progress(2, 2)
    return Frame.of(frame.restore().filter(ImageFilter.SMOOTH))


def test_convolutions_and_attention_are_counted_as_on_paper() -> None:
    x, weight = torch.zeros(1, 8, 16, 16), torch.zeros(4, 8, 3, 3)
    q = torch.zeros(5, 2, 16, 8)

    def work() -> None:
        F.conv2d(x, weight, padding=1)
        F.scaled_dot_product_attention(q, q, q)

    with torch.inference_mode():
        convolution, attention = 2 * 9 * 8 * 4 * 256, 2 * 2 * (5 * 2) * 16 * 16 * 8
        assert count_flops(work) == convolution + attention


def test_gradients_are_counted_too() -> None:
    x, weight = torch.zeros(1, 8, 16, 16, requires_grad=True), torch.zeros(8, 8, 3, 3)
    one = count_flops(lambda: F.conv2d(x, weight, padding=1))
    assert count_flops(lambda: F.conv2d(x, weight, padding=1).sum().backward()) == 2 * one


def test_the_peak_is_above_what_few_channels_reach() -> None:
    peak = convolution_peak(torch.device("cpu"), torch.float32, repeats=1)
    assert 1e8 < peak < 1e15


def test_a_speed_is_that_of_the_picture() -> None:
    found = measure_speed(get_codec("jpeg"), 20, 160, None, CPU, convolve, repeats=1)
    assert found.evaluations == 2
    assert found.pixels == 160**2
    assert found.flops_per_pixel == 2 * 9 * 3 * 3
    assert found.flops_per_second == pytest.approx(162e6 * found.megapixels_per_second)


def test_shares_are_of_the_same_time() -> None:
    speed = Speed(evaluations=1, pixels=2_000_000, seconds=4.0, flops_per_pixel=1e6)
    assert speed.megapixels_per_second == 0.5
    assert speed.flops_per_second == 5e11


def test_what_cannot_be_compiled_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo.exc import BackendCompilerFailed

    calls = []

    def failing(frame: Frame, target: Target, options: Any, runtime: Runtime | None) -> Frame:
        calls.append(runtime and runtime.compiled)
        if runtime and runtime.compiled:
            raise BackendCompilerFailed(lambda: None, RuntimeError("no header\nline two"), None)
        return convolve(frame, target, options, runtime)

    compiled = Runtime("cpu", "fp32", compiled=True)
    with pytest.raises(InputError, match=r"torch\.compile fails here .*do without compiling"):
        measure_speed(get_codec("jpeg"), 20, 64, None, compiled, failing)
    assert calls == [False, True]  # operations are counted without
