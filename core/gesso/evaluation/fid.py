"""Distances between whole sets of pictures: FID, and FID over patches for small sets.

M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, "GANs Trained by a Two
Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017: the Frechet
distance of two Gaussians fitted to features of Inception-v3, its 2015-12-05 graph.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError
from gesso.evaluation.inception import inception, missing_inception
from gesso.evaluation.networks import on_device

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Vectors = Tensor | NDArray[np.floating[Any]]

__all__ = ["SET_METRICS", "SetMetric", "frechet_distance"]

BATCH = 8  # pictures of 299 x 299 that go through the network at once
# Below one vector more than a feature has numbers, a covariance is not of full rank.
FEWEST = 2049


@dataclass(frozen=True)
class SetMetric:
    """One way to compare a set of pictures with a set of references.

    The distance of finite samples is biased upwards, the more so the fewer there are: compare
    only figures of sets of one size, and read those of fewer than ``fewest`` vectors as an
    order, not as a distance.

    Attributes:
        name: key in JSON and on the command line.
        label: as printed in tables.
        lower_is_better: True; it is a distance.
        digits: decimals worth printing.
        smallest: the shortest side in pixels that the metric is defined on.
        fewest: feature vectors below which the distance is not to be trusted.
        patch: side in pixels of the patches that a picture is cut into; None for the whole.
        missing: why it cannot run on this machine, with the mend; None when it can.
    """

    name: str
    label: str
    lower_is_better: bool = True
    digits: int = 2
    smallest: int = 1
    fewest: int = FEWEST
    patch: int | None = None
    missing: Callable[[], str | None] = missing_inception

    def features(self, pictures: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (n, 2048) float32 on the same device, without gradient.

        n is B, or the number of patches: those of the grid from the upper left corner, then
        those of the grid shifted by half a patch in both directions (Mentzer et al.,
        "High-Fidelity Generative Image Compression", NeurIPS 2020); a border
        narrower than a patch is left out.

        Raises:
            InputError: another shape, or pictures smaller than ``smallest``.
            ModelError: the network's weights are not installed, or damaged.
        """
        import torch

        if pictures.ndim != 4 or pictures.shape[1] != 3:
            raise InputError(f"{self.label} needs (B, 3, H, W), got {tuple(pictures.shape)}")
        height, width = pictures.shape[2:]
        if min(height, width) < self.smallest:
            raise InputError(
                f"{self.label} needs {self.smallest} x {self.smallest} pixels or more, "
                f"got {width} x {height}; leave the picture or the metric out"
            )
        with torch.no_grad(), torch.autocast(pictures.device.type, enabled=False):
            network = on_device(inception, pictures.device)
            whole = pictures.float() if self.patch is None else _patches(pictures, self.patch)
            return torch.cat([network(batch) for batch in torch.split(whole, BATCH)])

    def distance(self, reference: Vectors, pictures: Vectors) -> float:
        """The Frechet distance between the Gaussians of two sets of features, (n, d) each.

        Raises InputError for sets that do not fit, or of fewer than two vectors.
        """
        return frechet_distance(reference, pictures)


def _patches(pictures: Tensor, side: int) -> Tensor:
    """(B, 3, H, W) -> (n, 3, side, side), picture by picture within each of the two grids."""
    import torch

    grids = []
    for start in (0, side // 2):
        shifted = pictures[:, :, start:, start:]
        if min(shifted.shape[2:]) >= side:
            tiles = shifted.unfold(2, side, side).unfold(3, side, side)
            grids.append(tiles.permute(0, 2, 3, 1, 4, 5).reshape(-1, 3, side, side))
    return torch.cat(grids).float()


def frechet_distance(one: Vectors, two: Vectors) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) of two sets of vectors, (n, d) each.

    In double precision, with the covariances of n - 1 degrees of freedom. The trace of the
    root is the sum of the singular values of A1 A2', where S = A'A: no root of a matrix is
    taken, so nothing turns complex when there are fewer vectors than dimensions.

    Raises InputError for shapes that do not fit, or fewer than two vectors.
    """
    import torch

    means, factors = [], []
    for vectors in (one, two):
        values = torch.as_tensor(vectors).detach().cpu().double()
        if values.ndim != 2 or len(values) < 2:
            raise InputError(
                "a Frechet distance needs (n, d) vectors, two or more on each side; "
                f"got {tuple(values.shape)}"
            )
        means.append(values.mean(0))
        centred = (values - means[-1]) / (len(values) - 1) ** 0.5
        # R'R of the QR decomposition is the same covariance, and smaller
        tall = len(values) > values.shape[1]
        factors.append(torch.linalg.qr(centred, mode="r").R if tall else centred)
    if means[0].shape != means[1].shape:
        raise InputError(
            "a Frechet distance needs vectors of one length; "
            f"got {len(means[0])} and {len(means[1])}"
        )
    root = torch.linalg.svdvals(factors[0] @ factors[1].T).sum()
    spread = factors[0].square().sum() + factors[1].square().sum()
    distance = (means[0] - means[1]).square().sum() + spread - 2 * root
    # rounding may leave it below zero where the sets are equal
    return max(0.0, float(distance))


SET_METRICS: dict[str, SetMetric] = {
    metric.name: metric
    for metric in (
        SetMetric("fid", "FID"),
        # 64 is what is usual for Kodak, whose 24 pictures give 4152 such patches; patches of
        # 256, usual for large pictures, would give 192, too few for a covariance.
        SetMetric("patch_fid", "FID/64", smallest=64, patch=64),
    )
}
