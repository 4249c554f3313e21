"""How fast a machine computes: operations counted, pictures timed, and the most it can do.

All of one run, so that their ratio means something on a machine that others use, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.evaluate import Treat, side_pipelines
from gesso.options import EnhanceOptions
from gesso.runtime import Runtime

if TYPE_CHECKING:
    import torch
    from PIL import Image

__all__ = ["Speed", "convolution_peak", "count_flops", "measure_speed"]

CHANNELS = (192, 256)
# Pixels and repetitions that fill a CPU's caches and a GPU's cores for some milliseconds.
CPU_SIDE, CPU_RUNS = 96, 1
GPU_SIDE, GPU_RUNS = 512, 10
COUNTED = 128  # side of the picture whose operations are counted, in pixels


@dataclass(frozen=True)
class Speed:
    """What enhancing pictures of one size costs.

    Attributes:
        evaluations: of the prior, for each pixel.
        pixels: of the picture.
        seconds: for one picture, the shortest of several times.
        flops_per_pixel: floating-point operations, two a multiply-add, of all matrix
            products and convolutions: those of other networks than the prior, and of
            gradients, included.
    """

    evaluations: int
    pixels: int
    seconds: float
    flops_per_pixel: float

    @property
    def megapixels_per_second(self) -> float:
        """Of pictures that go through one after another."""
        return self.pixels / self.seconds / 1e6

    @property
    def flops_per_second(self) -> float:
        """What was computed in that time."""
        return self.flops_per_pixel * self.pixels / self.seconds


def convolution_peak(device: torch.device, dtype: torch.dtype, repeats: int = 5) -> float:
    """Operations per second of 3 x 3 convolutions, the best of several of 192 and 256 channels.

    Channels last, as our networks compute. A GPU does many before the clock is read, so
    that launching them does not weigh.
    """
    import torch

    side, runs = (CPU_SIDE, CPU_RUNS) if device.type == "cpu" else (GPU_SIDE, GPU_RUNS)
    best = 0.0
    with torch.inference_mode():
        for channels in CHANNELS:
            network = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False)
            network = network.to(device, dtype).to(memory_format=torch.channels_last)
            x = torch.randn(1, channels, side, side, device=device, dtype=dtype)
            x = x.contiguous(memory_format=torch.channels_last)
            work = 2 * 9 * channels**2 * side**2 * runs
            for attempt in range(repeats + 1):
                _wait(device)
                begun = time.perf_counter()
                for _ in range(runs):
                    network(x)
                _wait(device)
                taken = time.perf_counter() - begun
                if attempt:  # the first one chooses and builds kernels
                    best = max(best, work / taken)
    return best


def count_flops(work: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions in ``work()``."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    # attention as plain products, which every version of torch knows how to count
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def measure_speed(
    codec: Codec,
    quality: float,
    side: int,
    options: EnhanceOptions | None = None,
    runtime: Runtime | None = None,
    treat: Treat | None = None,
    repeats: int = 2,
) -> Speed:
    """Time what comes after the decoder, on a square picture made for it.

    Operations are counted on a smaller one, without compilation.

    Args:
        codec: codes the picture, so that what its file states is there.
        quality: on its scale.
        side: of the picture, in pixels.
        options, runtime, treat: see :func:`gesso.evaluation.evaluate.side_pipelines`.
        repeats: how often it is timed, once it has been done before the clock.

    Raises:
        InputError: a preset that cannot run, or networks that could not be compiled.
    """
    from torch._dynamo.exc import TorchDynamoException

    runtime, counts = runtime or Runtime(), [0]

    def count(done: int, total: int) -> None:
        counts.append(done)

    counting = replace(runtime, compiled=False, progress=count)
    plain, slow = side_pipelines(codec, "enhance", options, counting, treat)
    # one tile, so that none is counted twice where tiles overlap
    small = plain.code(_picture(min(side, COUNTED, runtime.tile)), quality)
    flops = count_flops(lambda: slow.finish(small))
    pipeline = side_pipelines(codec, "enhance", options, runtime, treat)[1]
    coded = plain.code(_picture(side), quality)
    try:
        pipeline.finish(coded)
    except TorchDynamoException as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"torch.compile fails here ({reason}); do without compiling") from error
    return Speed(
        evaluations=counts[-1],
        pixels=side**2,
        seconds=min(pipeline.finish(coded).seconds["after"] for _ in range(repeats)),
        flops_per_pixel=flops / (small.source.width * small.source.height),
    )


def _picture(side: int) -> Image.Image:
    """A square of slopes and noise, which no codec leaves as it is."""
    import numpy as np
    from PIL import Image

    noise = np.random.default_rng(0).normal(0, 20, (side, side, 3))
    slope = np.linspace(60, 200, side)[None, :, None]
    return Image.fromarray((slope + noise).clip(0, 255).astype(np.uint8))


def _wait(device: torch.device) -> None:
    """Until the device has done all that it was given."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
