"""No seams: what enhancement does has as much gradient energy at tile borders as elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import gesso.space
import gesso.tiling
from gesso.enhancer import enhance_frame
from gesso.field import noise_field
from gesso.frame import Frame
from gesso.options import EnhanceOptions
from gesso.runtime import Runtime

SIDE, TILE, OVERLAP = 448, 256, 64
START, END = TILE - OVERLAP, TILE  # of the one overlap that the picture has along each axis
BORDERS = (START, START + OVERLAP // 4, END - OVERLAP // 4, END)  # of tiles, and of the blend


def clouds() -> Tensor:
    """A stationary random field, so that nothing but tiles tells one column from another."""
    torch.manual_seed(0)
    rows, columns = torch.fft.fftfreq(SIDE)[:, None], torch.fft.rfftfreq(SIDE)[None]
    fall = (rows**2 + columns**2).clamp_min(1 / 64**2)
    field = torch.fft.irfft2(torch.fft.rfft2(torch.randn(3, SIDE, SIDE)) / fall, s=(SIDE, SIDE))
    return (0.15 * field / field.std() + 0.5).clamp(0, 1)[None]


def profile(steps: int) -> Tensor:
    """Gradient energy of what enhancement changes across each line, over its median.

    Entry c is that of the step from column (and row) c - 1 to c.
    """
    source = clouds()
    runtime = Runtime("cpu", "fp32", tile=TILE, overlap=OVERLAP)
    options = EnhanceOptions(sigma=0.1, steps=steps)
    change = enhance_frame(Frame.of(source), None, options, runtime).rgb - source
    across, down = (change.diff(dim=axis).square() for axis in (3, 2))
    energy = (across.mean((0, 1, 2)) + down.mean((0, 1, 3))) / 2
    return torch.cat([energy[:1], energy]) / energy.median()


def seams(energy: Tensor) -> list[str]:
    """Where the energy is unlike that elsewhere; lines scatter by 0.07, the band's mean by 0.02."""
    found = [f"line {at}: {energy[at]:.2f}" for at in BORDERS if not 0.75 < energy[at] < 1.25]
    middle = (START + END) // 2
    band = float(energy[middle - 8 : middle + 8].mean())
    return found + [f"blend: {band:.2f}"] * (not 0.9 < band < 1.1)


def noise_of_each_tile(top: int, left: int, height: int, width: int, **about: Any) -> Tensor:
    return noise_field(0, 0, height, width, **{**about, "seed": 1000 * top + left})


def no_blending(start: int, size: int, last: bool, overlap: int) -> Tensor:
    """The later tile covers the earlier one."""
    weight = torch.ones(size)
    if not last:
        weight[size - overlap :] = 0
    return weight


def test_tiles_leave_no_seam() -> None:
    assert seams(profile(2)) == []


@pytest.mark.parametrize(
    ("module", "name", "wrong", "where"),
    [
        (gesso.space, "noise_field", noise_of_each_tile, "blend"),
        (gesso.tiling, "ramp", no_blending, f"line {START}"),
    ],
)
def test_a_seam_would_be_seen(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, wrong: Any, where: str
) -> None:
    monkeypatch.setattr(module, name, wrong)
    assert any(seam.startswith(where) for seam in seams(profile(1)))
