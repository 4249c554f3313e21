"""The repair of decoded latents: up the probability flow of a prior, and down again.

"Post-processing Based Image Coding via Stable Diffusion": DDIM inversion (Eq. 1), then DDIM
sampling, both at guidance 1; perhaps held to the edges of the decoded picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from gesso.errors import InputError, ModelError
from gesso.frame import mirror
from gesso.latent.edges import canny_condition
from gesso.latent.trajectory import Trajectory, trajectory
from gesso.runtime import Progress, Runtime
from gesso.sampling import ddim_invert, ddim_sample
from gesso.space import fitted, space_of
from gesso.tiling import ramp, tile_starts

if TYPE_CHECKING:
    from gesso.cards import ModelCard
    from gesso.checkpoints.controlnet import ControlNet
    from gesso.denoiser import Denoiser

__all__ = ["RepairOptions", "repair"]


# The notebook's that the paper builds on, for Stable Diffusion.
USUAL: Mapping[str, float] = {"steps": 10, "strength": 0.04, "start": 0.0, "edges": 0.1}


@dataclass(frozen=True, slots=True)
class RepairOptions:
    """How decoded latents are repaired; None is what a prior's card says, else the paper's.

    Attributes:
        steps: evaluations of the prior on the way up, and again on the way down.
        strength: how far up, as a share of the prior's schedule, in [0, 1].
        start: noise level that the latents are taken to be at, in units of what their palette
            may err by. 0 is the paper's plain inversion from the clean end; above it, the
            latents carry the noise of their quantisation, which the way down removes.
        edges: weight of the decoded picture's edges, in [0, 1]; without effect where there is no
            ControlNet.

    Raises:
        InputError: a value out of its range.
    """

    steps: int | None = None
    strength: float | None = None
    start: float | None = None
    edges: float | None = None

    def __post_init__(self) -> None:
        steps, start = self.steps, self.start
        if steps is not None and (
            isinstance(steps, bool) or not isinstance(steps, int) or not 1 <= steps <= 1000
        ):
            raise InputError(f"steps must be a whole number in [1, 1000], got {steps!r}")
        for name in ("strength", "edges"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
                raise InputError(f"{name} must be a number in [0, 1], got {value!r}")
        if start is not None and not (isinstance(start, int | float) and 0 <= start <= 10):
            raise InputError(f"start must be in [0, 10], got {start!r}")

    def completed(self, card: ModelCard | None = None) -> RepairOptions:
        """With what the prior's card says, else the paper's, where there is None."""
        stated = {**USUAL, **(card.settings.get("repair", {}) if card else {})}
        own = {key: value for key, value in asdict(self).items() if value is not None}
        return RepairOptions(**{**stated, **own})


def repair(
    denoiser: Denoiser,
    latents: Tensor,
    options: RepairOptions | None = None,
    control: ControlNet | None = None,
    runtime: Runtime | None = None,
    noise: float = 1.0,
) -> Tensor:
    """Move decoded latents to where the prior expects them. Nothing is drawn at random.

    Latents larger than a tile are repaired in tiles that overlap, and blended; beyond the
    border they are mirrored.

    Args:
        denoiser: of a latent prior.
        latents: (B, C, h, w) of any size, scaled: see
            :meth:`gesso.checkpoints.latent.LatentSpace.scaled`.
        options: see :class:`RepairOptions`.
        control: of the same denoiser; it is shown the edges of the latents' picture.
        runtime: tile and overlap, in pixels, and progress.
        noise: standard deviation in scaled latents that ``options.start`` is in units of.

    Returns:
        Latents of the same shape and device, float32; at strength and start 0 those given.

    Raises:
        InputError: latents that are not of the prior's autoencoder.
        ModelError: a ControlNet of another prior.
    """
    options = (options or RepairOptions()).completed()
    steps, strength, start = (
        cast(Any, value) for value in (options.steps, options.strength, options.start)
    )
    channels = getattr(space_of(denoiser), "channels", latents.shape[1])
    if latents.ndim != 4 or latents.shape[1] != channels:
        raise InputError(
            f"latents are {tuple(latents.shape)}, their prior wants (B, {channels}, h, w); use a "
            "prior of the same autoencoder"
        )
    if control is not None and control.denoiser is not denoiser:
        raise ModelError("the ControlNet was loaded for another prior; load it for this one")
    if strength == 0 and start == 0:
        return latents
    path = trajectory(denoiser, steps, strength, start * noise)
    runtime = runtime or Runtime()
    height, width = latents.shape[2:]
    unit, tile, overlap = _tiles(denoiser, runtime)
    tops, lefts = (tile_starts(length, tile, overlap) for length in (height, width))
    total = len(tops) * len(lefts) * (len(path.up) + len(path.down) - 2)
    model = _Counted(denoiser, total, runtime.progress)
    out = torch.zeros_like(latents, dtype=torch.float32)
    for top in tops:
        rows = min(tile, -(-(height - top) // unit) * unit)
        down = ramp(top, rows, top == tops[-1], overlap)[: height - top, None]
        for left in lefts:
            columns = min(tile, -(-(width - left) // unit) * unit)
            weight = down * ramp(left, columns, left == lefts[-1], overlap)[: width - left]
            part = latents.index_select(2, mirror(top, rows, height, latents.device))
            part = part.index_select(3, mirror(left, columns, width, latents.device))
            found = _one(model, part, path, options, control)[:, :, : height - top, : width - left]
            here = (..., slice(top, top + tile), slice(left, left + tile))
            out[here] += found.to(out.device) * weight.to(out.device)
    return out


def _tiles(denoiser: Denoiser, runtime: Runtime) -> tuple[int, int, int]:
    """The grid, the tile and the overlap, in latents."""
    runtime = fitted(runtime, denoiser, denoiser.grid)
    factor = space_of(denoiser).factor
    unit = max(1, denoiser.grid // factor)
    tile = max(unit, runtime.tile // factor // unit * unit)
    return unit, tile, min(runtime.overlap // factor, tile // 2) // unit * unit


def _one(
    model: _Counted,
    latents: Tensor,
    path: Trajectory,
    options: RepairOptions,
    control: ControlNet | None,
) -> Tensor:
    """A tile, of whole grid cells."""
    # What a schedule without a level of 0 calls clean is sqrt(abar) x.
    least = math.hypot(1, path.clean)
    with torch.inference_mode():
        x = latents.to(model.device, torch.float32)
        x = x.contiguous(memory_format=torch.channels_last)
        if control is not None and options.edges:
            edges = canny_condition(space_of(control.denoiser).decode(x))
            model.denoiser = control.steer(edges, options.edges)
        x = ddim_invert(model, x if options.start else x * least, path.up)
        x = ddim_sample(model, x, path.down) / least
    return x.clone()


class _Counted:
    """A denoiser that reports its evaluations."""

    def __init__(self, denoiser: Denoiser, total: int, progress: Progress | None) -> None:
        self.denoiser, self.total, self.progress, self.done = denoiser, total, progress, 0
        self.grid, self.device = denoiser.grid, denoiser.device

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        clean = self.denoiser(x, sigma)
        self.done += 1
        if self.progress:
            self.progress(self.done, self.total)
        return clean
