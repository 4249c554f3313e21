"""The way from distortion to perception: by the noise level, and by interpolation.

As Fig. 4 of "Fast Training-free Perceptual Image Compression": operating points of system
E at rising noise levels beside those of :mod:`gesso.evaluation.interpolation` between the
same two ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from gesso.codec import Codec
from gesso.evaluation.evaluate import Treat, side_pipelines
from gesso.evaluation.interpolation import Interpolated, Kept
from gesso.evaluation.pipeline import Pipeline
from gesso.evaluation.report import Report
from gesso.options import EnhanceOptions
from gesso.runtime import Runtime

__all__ = ["WAYS", "OperatingPoint", "Traversal", "traversal_pipelines"]

WAYS = ("noise", "interpolation")
PLAIN = "plain"
# A tradeoff of 0 is the decode itself; where the posterior mean is estimated first, that
# is the end of least distortion, and hardly any noise comes to it.
LEAST = 0.01


@dataclass(frozen=True)
class OperatingPoint:
    """Means over the pictures at one point of a way.

    Attributes:
        way: one of :data:`WAYS`, or ``plain`` for the ordinary decode.
        tradeoff: 0 at the end of least distortion, 1 at that of perception: the share of the
            full noise level, or the weight of the picture that had all of it.
        bpp: bits per pixel of the file, the same everywhere.
        values: metric name -> mean, or value of a metric of whole sets.
    """

    way: str
    tradeoff: float
    bpp: float
    values: dict[str, float]


def traversal_pipelines(
    codec: Codec,
    tradeoffs: Iterable[float],
    options: EnhanceOptions | None = None,
    runtime: Runtime | None = None,
    treat: Treat | None = None,
) -> dict[str, Pipeline]:
    """The pipelines ``plain``, ``noise T`` and ``interpolation T`` for every tradeoff T.

    Both ways share their ends, 0 and 1, which are always among them.

    Args:
        codec: a registered codec.
        tradeoffs: in [0, 1].
        options: of the enhancement; its tradeoff is not used.
        runtime, treat: see :func:`gesso.evaluation.evaluate.side_pipelines`.

    Raises:
        InputError: a tradeoff out of range.
    """
    options = options or EnhanceOptions()
    noise, interpolation = WAYS
    found: dict[str, Pipeline] = {}
    ends: dict[float, Kept] = {}
    steps = sorted({0.0, 1.0, *tradeoffs})
    for step in steps:
        level = LEAST if step == 0 and options.posterior_mean else step
        own = replace(options, tradeoff=level)
        plain, treated = side_pipelines(codec, "enhance", own, runtime, treat)
        found.setdefault(PLAIN, plain)
        name = f"{noise} {step:g}"
        if step in (0, 1) and treated.after:
            ends[step] = Kept(treated.after)
            treated = replace(treated, after=ends[step])
        found[name] = replace(treated, name=name)
    for step in steps:
        if step not in ends:
            name = f"{interpolation} {step:g}"
            found[name] = Pipeline(name, codec, after=Interpolated(ends[0.0], ends[1.0], step))
    return found


@dataclass(frozen=True)
class Traversal(Report):
    """A :class:`Report` of :func:`traversal_pipelines` at one quality."""

    def operating_points(self) -> list[OperatingPoint]:
        """By tradeoff, then by way; the ordinary decode is the last one of tradeoff 0."""
        [quality] = self.qualities
        noise, interpolation = WAYS
        steps = [v.removeprefix(f"{noise} ") for v in self.variants if v.startswith(noise)]
        found = []
        for step in sorted(steps, key=float):
            inner = f"{interpolation} {step}"
            other = inner if inner in self.variants else f"{noise} {step}"
            ways = {noise: f"{noise} {step}", interpolation: other}
            if float(step) == 0:
                ways[PLAIN] = PLAIN
            for way, variant in ways.items():
                values = {m: self.mean(quality, variant, m) for m in self.lower_is_better}
                bpp = self.mean(quality, variant, "bpp")
                found.append(OperatingPoint(way, float(step), bpp, values))
        return found

    def to_json(self) -> dict[str, Any]:
        """As of :class:`Report`, and ``traversal``: the operating points."""
        return {**super().to_json(), "traversal": [asdict(p) for p in self.operating_points()]}

    def page(self) -> dict[str, Any]:
        """The evaluation document that a page draws the ways from: tradeoffs for qualities."""
        content = self.to_json()
        points = [
            {"variant": p.way, "quality": p.tradeoff, "bpp": p.bpp, **p.values}
            for p in self.operating_points()
        ]
        title = f"{self.codec}, quality {self.qualities[0]:g}"
        notes = {
            "noise": "share of the full noise level, then the prior",
            "interpolation": "weighted mean of the two ends, pixel by pixel (Yan et al., 2021)",
            **{name: note for name, note in content["notes"].items() if name != "bpp"},
        }
        return {**content, "codec": title, "scale": "tradeoff", "points": points, "notes": notes}
