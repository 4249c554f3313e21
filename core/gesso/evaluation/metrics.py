"""Full-reference metrics on (B, 3, H, W) pictures in [0, 1], and the registry of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gesso.errors import InputError
from gesso.evaluation import butteraugli, perceptual, ssimulacra2, structural, vmaf

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["METRICS", "Metric", "get_metrics"]

# Features of a reference take about half a kilobyte for each of its pixels.
HELD = 2**21


def _here() -> None:
    return None


@dataclass(frozen=True)
class Metric:
    """One way to compare pictures with their references.

    Attributes:
        name: key in JSON and on the command line.
        label: as printed in tables and on sheets.
        lower_is_better: False for similarities such as PSNR.
        digits: decimals worth printing.
        function: (reference, picture), both (B, 3, H, W) float in [0, 1] on one device,
            -> (B,) float32. Differentiable in both, unless a program of others computes it
            (vmaf, vmaf_neg, butteraugli); built on first use.
        smallest: the shortest side in pixels that the metric is defined on.
        missing: why it cannot run on this machine, with the mend; None when it can.
        prepare: (reference) -> the function of a picture that compares it with that
            reference; where looking at a reference once saves time.
    """

    name: str
    label: str
    lower_is_better: bool
    digits: int
    function: Callable[[Tensor, Tensor], Tensor]
    smallest: int = 1
    missing: Callable[[], str | None] = _here
    prepare: Callable[[Tensor], Callable[[Tensor], Tensor]] | None = None

    def __call__(self, reference: Tensor, picture: Tensor) -> Tensor:
        """The metric's value for every picture.

        Raises:
            InputError: shapes that do not fit, pictures smaller than ``smallest``, or a
                program that is not installed.
            ModelError: weights that are not installed, or damaged.
        """
        import torch

        self._check(reference, picture)
        # half precision would move the third digit
        with torch.autocast(picture.device.type, enabled=False):
            return self.function(reference.float(), picture.float())

    def against(self, reference: Tensor) -> Callable[[Tensor], Tensor]:
        """Compare many pictures with one reference: ``against(r)(p)`` is ``self(r, p)``.

        Metrics that look through a network look at the reference once, which saves half of
        their time from the second picture on, and hold what they saw while the function
        lives; of references above two megapixels they hold nothing and save nothing.

        Raises as a call does.
        """
        import torch

        prepare = self.prepare
        self._check(reference, reference)
        if prepare is None or reference[:, 0].numel() > HELD:
            return lambda picture: self(reference, picture)
        with torch.autocast(reference.device.type, enabled=False):
            prepared = prepare(reference.float())

        def compare(picture: Tensor) -> Tensor:
            self._check(reference, picture)
            with torch.autocast(picture.device.type, enabled=False):
                return prepared(picture.float())

        return compare

    def _check(self, reference: Tensor, picture: Tensor) -> None:
        if reference.shape != picture.shape or picture.ndim != 4 or picture.shape[1] != 3:
            raise InputError(
                f"{self.label} needs two (B, 3, H, W) tensors of one shape, got "
                f"{tuple(reference.shape)} and {tuple(picture.shape)}"
            )
        if min(picture.shape[2:]) < self.smallest:
            height, width = picture.shape[2:]
            raise InputError(
                f"{self.label} needs {self.smallest} x {self.smallest} pixels or more, "
                f"got {width} x {height}; leave the picture or the metric out"
            )


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("psnr", "PSNR", False, 2, structural.psnr),
        # the window must fit
        Metric("ssim", "SSIM", False, 4, structural.ssim, 11, structural.missing_ssim),
        # after four halvings the window must still fit
        Metric("ms_ssim", "MS-SSIM", False, 4, structural.ms_ssim, 161, structural.missing_ssim),
        # below 31 pixels AlexNet's second pooling has nothing to pool
        Metric(
            "lpips",
            "LPIPS",
            True,
            4,
            perceptual.lpips_alex,
            smallest=31,
            missing=perceptual.missing_lpips_alex,
            prepare=perceptual.lpips_alex_against,
        ),
        # below 16 pixels VGG16's fourth pooling has nothing to pool
        Metric(
            "lpips_vgg",
            "LPIPS (VGG)",
            True,
            4,
            perceptual.lpips_vgg,
            smallest=16,
            missing=perceptual.missing_lpips_vgg,
            prepare=perceptual.lpips_vgg_against,
        ),
        Metric(
            "dists",
            "DISTS",
            True,
            4,
            perceptual.dists,
            missing=perceptual.missing_dists,
            prepare=perceptual.dists_against,
        ),
        # with fewer than six scales its weights would meet the wrong terms
        Metric("ssimulacra2", "SSIMULACRA2", False, 2, ssimulacra2.ssimulacra2, smallest=113),
        # below 8 pixels the program sees no difference
        Metric(
            "butteraugli",
            "Butteraugli",
            True,
            3,
            butteraugli.butteraugli,
            smallest=8,
            missing=butteraugli.missing_butteraugli,
        ),
        # below 48 pixels equal pictures score less, at 16 libvmaf crashes
        Metric("vmaf", "VMAF", False, 2, vmaf.vmaf, 48, vmaf.missing_vmaf),
        Metric("vmaf_neg", "VMAF NEG", False, 2, vmaf.vmaf_neg, 48, vmaf.missing_vmaf),
        Metric(
            "topiq_fr",
            "TOPIQ-FR",
            False,
            4,
            perceptual.topiq_fr,
            smallest=32,
            missing=perceptual.missing_topiq_fr,
        ),
    )
}


def get_metrics(names: Iterable[str]) -> list[Metric]:
    """The metrics of these names, in the order given, each once; InputError for unknown ones."""
    chosen: dict[str, Metric] = {}
    for name in names:
        if name not in METRICS:
            raise InputError(f"no metric {name!r}; there are {', '.join(METRICS)}")
        chosen[name] = METRICS[name]
    if not chosen:
        raise InputError(f"no metric asked for; there are {', '.join(METRICS)}")
    return list(chosen.values())
