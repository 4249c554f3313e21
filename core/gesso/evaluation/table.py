"""A line for each codec and variant: Bjontegaard figures, the lowest quality, the time taken."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from gesso.evaluation.curves import Delta, delta
from gesso.evaluation.report import Report, finite
from gesso.files import replacing

__all__ = ["Line", "Table"]


@dataclass(frozen=True)
class Line:
    """One variant of one codec.

    Attributes:
        codec: its name.
        variant: ``plain``, or what came after the decoder.
        quality: the lowest one measured; ``lowest`` is of it.
        bpp: bits per pixel there.
        lowest: metric name -> mean over the pictures, or value of a metric of whole sets.
        plain: the same of the codec's ordinary decode.
        mean: metric name -> mean of that over all qualities.
        deltas: metric name -> what lies between the anchor's curve and this one.
        decode, after: median seconds per picture, of decoding and of what came after.
    """

    codec: str
    variant: str
    quality: float
    bpp: float
    lowest: dict[str, float]
    plain: dict[str, float]
    mean: dict[str, float]
    deltas: dict[str, Delta]
    decode: float
    after: float

    def to_json(self) -> dict[str, Any]:
        """Plain data; BD figures as the documents of evaluations name them."""
        return {
            "codec": self.codec,
            "variant": self.variant,
            "bd_rate": {name: d.rate for name, d in self.deltas.items()},
            "bd_metric": {name: d.metric for name, d in self.deltas.items()},
            "notes": {name: d.note for name, d in self.deltas.items() if d.note},
            "lowest": {"quality": self.quality, "bpp": self.bpp, **self.lowest},
            "mean": self.mean,
            "seconds": {"decode": self.decode, "after": self.after},
        }


@dataclass(frozen=True)
class Table:
    """Codecs side by side.

    Attributes:
        reports: codec -> its reports, which share their variants. Each measures metrics of
            its own, perhaps on pictures of its own; times are those of the first.
        anchor: the codec whose ordinary decode is the anchor of all Bjontegaard figures; None
            takes that of each codec itself.
        skipped: name of a codec, preset or variant -> why it is not there.
    """

    reports: Mapping[str, Sequence[Report]]
    anchor: str | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def lines(self) -> list[Line]:
        """Of every codec, in the order of the reports and of their variants."""
        found = []
        for codec, own in self.reports.items():
            than = own if self.anchor is None else self.reports[self.anchor]
            found += [_line(codec, variant, own, than) for variant in own[0].variants]
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain data that ``json`` writes; a value that is not finite becomes None."""
        reports = [report for own in self.reports.values() for report in own]
        content = {
            "anchor": self.anchor,
            "lower_is_better": {m: low for r in reports for m, low in r.lower_is_better.items()},
            "images": {m: len(r.pictures) for r in reports for m in r.lower_is_better},
            "lines": [line.to_json() for line in self.lines],
            "skipped": dict(self.skipped),
            "settings": {codec: own[0].settings for codec, own in self.reports.items()},
            "machine": reports[0].machine if reports else {},
        }
        return {key: finite(value) for key, value in content.items()}

    def to_csv(self) -> str:
        """A row for each line."""
        flat = [
            {
                "codec": line["codec"],
                "variant": line["variant"],
                **{f"lowest_{name}": value for name, value in line["lowest"].items()},
                **{f"mean_{name}": value for name, value in line["mean"].items()},
                **{f"bd_rate_{name}": value for name, value in line["bd_rate"].items()},
                **{f"bd_{name}": value for name, value in line["bd_metric"].items()},
                **{f"{step}_seconds": value for step, value in line["seconds"].items()},
            }
            for line in (line.to_json() for line in self.lines)
        ]
        stream = io.StringIO()
        heads = list(dict.fromkeys(name for row in flat for name in row))
        writer = csv.DictWriter(stream, heads, lineterminator="\n")
        writer.writeheader()
        writer.writerows(flat)
        return stream.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_json` as a JSON file, whole or not at all."""
        text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
        with replacing(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_csv` as a file, whole or not at all."""
        with replacing(Path(path)) as temporary:
            temporary.write_text(self.to_csv(), encoding="utf-8")


def _line(codec: str, variant: str, own: Sequence[Report], than: Sequence[Report]) -> Line:
    first = own[0]
    quality = first.variants[variant][0]
    at = {metric: report for report in own for metric in report.lower_is_better}
    anchors = {metric: report for report in than for metric in report.lower_is_better}
    deltas = {}
    if own is not than or variant != first.anchor:
        deltas = {
            metric: delta(
                anchors[metric].curve(anchors[metric].anchor, metric),
                report.curve(variant, metric),
                report.lower_is_better[metric],
            )
            for metric, report in at.items()
        }
    curves = {m: [value for _, value in report.curve(variant, m)] for m, report in at.items()}
    return Line(
        codec=codec,
        variant=variant,
        quality=quality,
        bpp=first.mean(quality, variant, "bpp"),
        lowest={metric: values[0] for metric, values in curves.items()},
        plain={m: report.mean(quality, report.anchor, m) for m, report in at.items()},
        mean={metric: statistics.fmean(values) for metric, values in curves.items()},
        deltas=deltas,
        decode=_seconds(first, variant, "decode"),
        after=_seconds(first, variant, "after"),
    )


def _seconds(report: Report, variant: str, step: str) -> float:
    taken = report.seconds(variant, step)
    return math.nan if taken is None else taken
