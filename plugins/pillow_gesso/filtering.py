"""``im.filter(Enhance(...))``: enhancement as one of Pillow's filters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageFilter

import gesso_hooks
from gesso.errors import InputError
from gesso.options import EnhanceOptions, Preset
from gesso.target import Target
from pillow_gesso.treatment import treated

if TYPE_CHECKING:
    from PIL._imaging import ImagingCore

__all__ = ["Enhance"]


@dataclass(frozen=True)
class Enhance(ImageFilter.MultibandFilter):
    """Makes a decoded picture look natural again; the same size, mode and alpha come back.

    Use it in ``im.filter(Enhance(...))``, ``register(enhance=...)`` or ``using(enhance=...)``.

    Pillow hands a filter the pixels alone, never the file's quantisation tables. Without
    ``codec`` and ``quality`` (or ``sigma``) the pixels are searched for the traces of a
    JPEG; ``formats=["ENHANCED-JPEG"]`` and :func:`gesso.enhance` read the tables instead.

    Attributes:
        preset: ``fast``, ``medium`` or ``slow``: time traded for quality.
        tradeoff: in [0, 1]; 0 returns the picture bit for bit, 1 adds the full noise level.
        codec: what coded the picture, such as ``jpeg``; goes together with ``quality``.
        quality: on the codec's own scale.
        model: name of the prior; None is the default.
        seed: of the noise field, in [0, 2**64).
        sigma: explicit noise level on [-1, 1] pixels instead of codec and quality.
        steps: explicit number of model evaluations instead of the preset's.
        posterior_mean: estimate the picture of least square error first, where the codec is
            known; False adds the noise to the decoded picture itself.
        faithful: keep to the coefficients that the JPEG file states; for ENHANCED-JPEG, since
            a filter never sees the file. None does so where it can.
        step_size: of the codec's constraint of sampler ``dps``.

    Raises:
        InputError: a value out of its range, an unknown codec, or one of codec and quality
            alone; from ``im.filter``, also a mode that cannot be treated (CMYK, P, I;16, ...)
            or a picture that shows no trace of its codec.
    """

    preset: Preset = "fast"
    tradeoff: float = 1.0
    codec: str | None = None
    quality: float | None = None
    model: str | None = None
    seed: int = 0
    sigma: float | None = None
    steps: int | None = None
    posterior_mean: bool = True
    faithful: bool | None = None
    step_size: float | None = None

    def __post_init__(self) -> None:
        if (self.codec is None) != (self.quality is None):
            raise InputError("codec and quality go together; pass both or neither")
        if self.codec is not None:
            gesso_hooks.load()  # third parties' codecs
        _ = self.options, self.target

    @property
    def options(self) -> EnhanceOptions:
        """As the hooks receive them."""
        return EnhanceOptions(
            self.model,
            self.preset,
            self.tradeoff,
            self.seed,
            self.sigma,
            self.steps,
            self.posterior_mean,
            self.faithful,
            self.step_size,
        )

    @property
    def target(self) -> Target | None:
        """What ``codec`` and ``quality`` state, if they do."""
        if self.codec is None or self.quality is None:
            return None
        return Target(self.codec, self.quality)

    @property
    def needs_target(self) -> bool:
        """Whether the noise level depends on what the picture was coded with."""
        return (self.sigma is None or self.faithful is True) and self.tradeoff > 0

    def filter(self, image: ImagingCore) -> ImagingCore:
        """Called by ``im.filter``."""
        target = self.target
        if target is None and self.needs_target:
            from gesso.enhancer import target_of

            target = target_of(Image.Image()._new(image))
        return self.apply(image, target)

    def apply(self, image: ImagingCore, target: Target | None) -> ImagingCore:
        """The pixels that the plug-ins make of ``image``, which was coded as ``target`` says."""
        return treated(image, lambda frame: gesso_hooks.after_decode(frame, target, self.options))
