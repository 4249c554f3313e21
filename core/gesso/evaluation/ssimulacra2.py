"""SSIMULACRA 2.1 in torch: batched, differentiable, on any device.

J. Sneyers, "SSIMULACRA 2", https://github.com/cloudinary/ssimulacra2 (2022, weights of April
2023): structural similarity, new edges and lost edges, of three channels in XYB at six scales.
Written after that reference implementation and checked against it. The package of the same
name on PyPI (0.3.0) blurs otherwise and is up to seven points off at low quality.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["ssimulacra2"]

SCALES = 6
C2 = 0.0009
# from linear RGB to the responses of the eye's cones (libjxl, opsin_params.h)
ABSORBANCE = (
    (0.30, 0.622, 0.078),
    (0.23, 0.692, 0.078),
    (0.24342268924547819, 0.20476744424496821, 0.5518098665095536),
)
BIAS = 0.0037930732552754493
# The blur's answer to a single pixel, from the centre outwards: libjxl's recursive Gaussian
# of sigma 1.5, which ends after four pixels (Charalampidis, IEEE TSP 64(14), 2016).
TAPS = (
    0.2646211054881985,
    0.2129285920104222,
    0.1093353727774603,
    0.0360111146583644,
    0.0094143678096537,
)
# Of the reference implementation. A row weighs dissimilarity, new edges and lost edges; rows
# run over the two norms (mean, fourth), then the scales from the largest, then X, Y and B-Y.
WEIGHTS = """
0 0.0007376606707406586 0
0 0.0007793481682867309 0
0 0.0004371155730107379 0
1.1041726426657346 0.00066284834129271 0.00015231632783718752
0 0.0016406437456599754 0
1.8422455520539298 11.441172603757666 0
0.0007989109436015163 0.000176816438078653 0
1.8787594979546387 10.94906990605142 0
0.0007289346991508072 0.9677937080626833 0
0.00014003424285435884 0.9981766977854967 0.00031949755934435053
0.0004550992113792063 0 0
0.0013648766163243398 0 0
0 0 0
7.466890328078848 0 17.445833984131262
0.0006235601634041466 0 0
6.683678146179332 0.00037724407979611296 1.027889937768264
225.20515300849274 0 0
19.213238186143016 0.0011401524586618361 0.001237755635509985
176.39317598450694 0 0
24.43300999870476 0.28520802612117757 0.0004485436923833408
0 0 0
34.77906344483772 44.835625328877896 0
0 0 0
0 0 0
0 0.0008680556573291698 0
0 0 0
0 0.0005313191874358747 0
0.00016533814161379112 0 0
0 0 0
0.0004179171803251336 0.0017290828234722833 0
0.0020827005846636437 0 0
8.826982764996862 23.19243343998926 0
95.1080498811086 0.9863978034400682 0.9834382792465353
0.0012286405048278493 171.2667255897307 0.9807858872435379
0 0 0
0.0005130064588990679 0 0.00010854057858411537
"""


def ssimulacra2(reference: Tensor, picture: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1], sRGB, twice -> (B,); 100 for equal pictures, no lower bound.

    90 cannot be told from the original in a flicker test, 70 is high quality, 50 medium and
    30 low. Not symmetric. All six scales need sides of 113 pixels or more.
    """
    # What matters are small differences: none of it in half precision, whatever the caller's.
    with torch.autocast(reference.device.type, enabled=False):
        return _score(_linear(reference), _linear(picture))


def _score(one: Tensor, two: Tensor) -> Tensor:
    rows = [float(word) for word in WEIGHTS.split()]
    weights = one.new_tensor(rows)
    error = one.new_zeros(len(one))
    for of_scale in weights.view(3, SCALES, 2, 3).unbind(1):
        terms = _terms(_xyb(one), _xyb(two))
        error = error + (terms * of_scale).sum((1, 2, 3))
        one, two = _halved(one), _halved(two)
    error = error * 0.9562382616834844
    cubic = 2.326765642916932 + error * (-0.020884521182843837 + error * 6.248496625763138e-05)
    return 100 - 10 * _power(error * cubic, 0.6276336467831387)


def _linear(x: Tensor) -> Tensor:
    """sRGB's transfer function, undone."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def _halved(x: Tensor) -> Tensor:
    """Means of 2 x 2 pixels; an odd last row or column is repeated."""
    height, width = x.shape[2:]
    return functional.avg_pool2d(functional.pad(x, (0, width % 2, 0, height % 2), "replicate"), 2)


def _xyb(linear: Tensor) -> Tensor:
    """Linear RGB -> X, Y and B-Y, each shifted and stretched into about [0, 1]."""
    mixed = torch.einsum("oc,bchw->bohw", linear.new_tensor(ABSORBANCE), linear) + BIAS
    # far below any colour of sRGB; keeps the root's slope finite
    long, middle, short = (mixed.clamp(min=1e-9) ** (1 / 3) - BIAS ** (1 / 3)).unbind(1)
    x, y = (long - middle) / 2, (long + middle) / 2
    return torch.stack([14 * x + 0.42, y + 0.01, short - y + 0.55], 1)


def _blurred(x: Tensor) -> Tensor:
    """The Gaussian of every plane; outside there is nothing, not even grey."""
    reach = len(TAPS) - 1
    for dim, border in ((3, (reach, reach)), (2, (0, 0, reach, reach))):
        size, padded = x.shape[dim], functional.pad(x, border)
        # sums of shifted planes: a convolution of one channel is many times slower on a CPU
        x = TAPS[0] * padded.narrow(dim, reach, size)
        for away, tap in enumerate(TAPS[1:], 1):
            x.add_(padded.narrow(dim, reach - away, size), alpha=tap)
            x.add_(padded.narrow(dim, reach + away, size), alpha=tap)
    return x


def _terms(one: Tensor, two: Tensor) -> Tensor:
    """(B, 3 channels, 2 norms, 3 kinds of error) of one scale."""
    mean1, mean2 = _blurred(one), _blurred(two)
    # grouped so that rounding cancels where the pictures are equal
    variances = (_blurred(one * one) - mean1 * mean1) + (_blurred(two * two) - mean2 * mean2)
    covariance = _blurred(one * two) - mean1 * mean2
    # SSIM whose first factor has no denominator: the values are perceptual already
    likeness = (1 - (mean1 - mean2) ** 2) * (2 * covariance + C2) / (variances + C2)
    edges = (1 + (two - mean2).abs()) / (1 + (one - mean1).abs()) - 1
    maps = torch.stack([1 - likeness, edges, -edges], 2).clamp(min=0)
    fourth = _power(maps.square().square().mean((3, 4)), 0.25)
    return torch.stack([maps.mean((3, 4)), fourth], 2)


def _power(x: Tensor, exponent: float) -> Tensor:
    """x ** exponent for x >= 0, with a slope of zero, not of infinity, at zero."""
    return torch.where(x > 0, x.clamp(min=torch.finfo(x.dtype).tiny) ** exponent, 0)
