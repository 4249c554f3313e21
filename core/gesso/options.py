"""What a user may ask of the two operations; hosts build these, hooks receive them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gesso.errors import InputError

__all__ = [
    "EFFORTS",
    "PRESETS",
    "SAMPLERS",
    "Effort",
    "EnhanceOptions",
    "PreprocessOptions",
    "Preset",
    "Sampler",
]

Preset = Literal["fast", "medium", "slow"]
PRESETS: tuple[str, ...] = get_args(Preset)
Effort = Literal["fast", "medium", "max"]
EFFORTS: tuple[str, ...] = get_args(Effort)
Sampler = Literal["one-step", "multistep", "ode", "sde", "dps"]
SAMPLERS: tuple[str, ...] = get_args(Sampler)


def _check_unit(name: str, value: float) -> None:
    if not isinstance(value, int | float) or not 0.0 <= value <= 1.0:
        raise InputError(f"{name} must be a number in [0, 1], got {value!r}")


def _check_seed(seed: int) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise InputError(f"seed must be an integer in [0, 2**64), got {seed!r}")


@dataclass(frozen=True, slots=True)
class PreprocessOptions:
    """Options of :func:`gesso.preprocess`.

    Attributes:
        model: name of a preprocessor; None is the default one.
        strength: in [0, 1]; 0 returns the picture bit for bit.
        guard: keep the result only where a trial encode shows that it helps, and leave the
            decode of a JPEG of quality 30 or less as it is.
        seed: of the noise field, in [0, 2**64).
        effort: ``fast`` is one evaluation of a model; ``medium`` and ``max`` start from the
            picture, or from what a model that is named makes of it, and improve it by gradient
            descent through the codec, in 12 and in 50 steps. None is ``fast`` for a model that
            is named and where the descent lacks something, else ``medium``.
        steps: another number of steps of that descent.
        seconds: when that descent must end; None gives it all the time that it takes.
    """

    model: str | None = None
    strength: float = 1.0
    guard: bool = True
    seed: int = 0
    effort: Effort | None = None
    steps: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        _check_unit("strength", self.strength)
        if self.effort not in (None, *EFFORTS):
            raise InputError(f"effort must be one of {', '.join(EFFORTS)}, got {self.effort!r}")
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise InputError(f"steps must be in [1, 1000], got {self.steps!r}")
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(f"seconds must be positive, got {self.seconds!r}")
        _check_seed(self.seed)


@dataclass(frozen=True, slots=True)
class EnhanceOptions:
    """Options of :func:`gesso.enhance`.

    Attributes:
        model: name of a prior; None is the default one.
        preset: ``fast``, ``medium`` or ``slow``: time traded for quality.
        tradeoff: in [0, 1], traverses the noise level from 0 (the picture bit for
            bit) to the full level of the target (the perception end).
        seed: of the noise field, in [0, 2**64).
        sigma: explicit noise level on [-1, 1] pixels; it wins over target and tradeoff.
        steps: explicit number of model evaluations; it wins over the preset's.
        sampler: ``one-step`` and ``multistep`` (for consistency models), ``ode`` (DPM-Solver++),
            ``sde`` (Euler's) or ``dps`` (the SDE held to the file by the codec); None is the
            preset's.
        posterior_mean: estimate the picture of least square error before noise is added.
        faithful: keep to what the JPEG file states of every coefficient; None does so where
            the file is at hand.
        step_size: of the codec's constraint of sampler ``dps``; None is the measured default.
    """

    model: str | None = None
    preset: Preset = "fast"
    tradeoff: float = 1.0
    seed: int = 0
    sigma: float | None = None
    steps: int | None = None
    posterior_mean: bool = True
    faithful: bool | None = None
    step_size: float | None = None
    sampler: Sampler | None = None

    def __post_init__(self) -> None:
        if self.sampler not in (None, *SAMPLERS):
            raise InputError(f"sampler must be one of {', '.join(SAMPLERS)}, got {self.sampler!r}")
        if self.preset not in PRESETS:
            raise InputError(f"preset must be one of {', '.join(PRESETS)}, got {self.preset!r}")
        _check_unit("tradeoff", self.tradeoff)
        _check_seed(self.seed)
        if self.sigma is not None and not 0.0 <= self.sigma <= 80.0:
            raise InputError(f"sigma must be in [0, 80] on [-1, 1] pixels, got {self.sigma!r}")
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise InputError(f"steps must be in [1, 1000], got {self.steps!r}")
        if self.step_size is not None and not 0.0 <= self.step_size <= 100.0:
            raise InputError(f"step_size must be in [0, 100], got {self.step_size!r}")
