"""Checkpoints from a folder, through enhance() and the command line, end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import CMStochasticIterativeScheduler, DDPMScheduler, EDMEulerScheduler
from PIL import Image

import gesso
from gesso.errors import InputError
from gesso.frame import Frame
from gesso.runtime import Runtime
from gesso.sampling import denoise, low_frequencies_of
from gesso.space import PIXELS, fitted
from gesso.tiling import Box, run_tiled
from gesso.trajectory import LOW_PASS

FP32 = Runtime("cpu", "fp32")


@pytest.mark.parametrize("scheduler", [DDPMScheduler(), EDMEulerScheduler()])
@pytest.mark.parametrize("preset", ["medium", "slow"])
def test_presets_run(pixel: Any, picture: Image.Image, scheduler: Any, preset: Any) -> None:
    folder = pixel(scheduler)
    given: dict[str, Any] = {"model": str(folder), "posterior_mean": False, "runtime": FP32}
    out = gesso.enhance(picture, "jpeg", 20, preset, steps=2, **given)
    assert isinstance(out, Image.Image) and out.size == picture.size
    again = gesso.enhance(picture, "jpeg", 20, preset, steps=2, **given)
    assert np.array_equal(np.asarray(out), np.asarray(again))
    assert not np.array_equal(np.asarray(out), np.asarray(picture))


def test_fast_is_one_evaluation_of_each_tile(pixel: Any, picture: Image.Image) -> None:
    folder = str(pixel(CMStochasticIterativeScheduler()))
    done: list[tuple[int, int]] = []
    runtime = Runtime("cpu", "fp32", progress=lambda now, all_: done.append((now, all_)))
    given: dict[str, Any] = {"model": folder, "posterior_mean": False, "runtime": runtime}
    out = gesso.enhance(picture, "jpeg", 20, "fast", **given)
    assert done == [(i, 6) for i in range(1, 7)]
    assert isinstance(out, Image.Image) and out.size == picture.size
    with pytest.raises(InputError, match="no preset 'medium', only fast"):
        gesso.enhance(picture, "jpeg", 20, "medium", **given)


def test_every_tile_has_the_size_that_was_trained_at(pixel: Any, picture: Image.Image) -> None:
    denoiser = gesso.load(str(pixel(DDPMScheduler())), runtime=FP32)
    runtime = fitted(Runtime(), denoiser, denoiser.grid)
    assert (runtime.tile, runtime.overlap) == (32, 8)
    seen: list[tuple[int, ...]] = []

    def process(pixels: torch.Tensor, boxes: list[Box], index: int) -> torch.Tensor:
        seen.append((*pixels.shape[2:], boxes[0].height, boxes[0].width))
        return pixels

    frame = Frame.of(picture)
    out = run_tiled(frame, process, denoiser.grid, runtime, whole=True)
    assert seen == [(32, 32, 32, 32)] * 6
    assert torch.equal(out.samples, frame.samples)


@pytest.mark.parametrize(
    ("asked", "tile", "grid", "expected"),
    [
        (Runtime(), None, 16, (1024, 128)),
        (Runtime(), 256, 32, (256, 64)),
        (Runtime(), 768, 64, (768, 128)),
        (Runtime(), 64, 8, (64, 16)),
        (Runtime(), 32, 8, (32, 8)),
        (Runtime(), 32, 16, (32, 16)),
        (Runtime(tile=128, overlap=0), 256, 32, (128, 0)),
        (Runtime(overlap=0), 16, 16, (16, 0)),
    ],
)
def test_tiles_fit_the_model(
    asked: Runtime, tile: int | None, grid: int, expected: tuple[int, int]
) -> None:
    class Stub:
        device = torch.device("cpu")

        def __call__(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return x

    stub: Any = Stub()
    stub.grid, stub.tile = grid, tile
    found = fitted(asked, stub, grid)
    assert (found.tile, found.overlap) == expected
    assert (found.tile - found.overlap) % grid == 0 and found.overlap % 4 == 0


def test_one_step_is_the_denoiser_on_picture_plus_noise(pixel: Any) -> None:
    folder = str(pixel(EDMEulerScheduler()))
    pixels = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(8))
    out = gesso.enhance(pixels, sigma=0.3, steps=1, seed=4, model=folder, runtime=FP32)
    noise = PIXELS.noise(Box(0, 0, 32, 32), 4, 0, torch.device("cpu"))
    with torch.inference_mode():
        denoiser = gesso.load(folder, runtime=FP32)
        start = pixels[None] * 2 - 1
        clean = denoise(denoiser, start + 0.3 * noise, 0.3).clamp(-1, 1)
        held = low_frequencies_of(start, clean, LOW_PASS).clamp(-1, 1)
    torch.testing.assert_close(out, (held[0] + 1) / 2, rtol=0, atol=1e-5)


def test_the_command_takes_a_folder(pixel: Any, picture: Image.Image, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from gesso_cli.app import build

    picture.save(tmp_path / "in.jpg", quality=20)
    target = tmp_path / "out.png"
    folder = str(pixel(EDMEulerScheduler()))
    command = ["enhance", str(tmp_path / "in.jpg"), "-o", str(target), "--model", folder]
    result = CliRunner().invoke(build(), [*command, "--steps", "1", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    with Image.open(target) as written:
        assert written.size == picture.size
