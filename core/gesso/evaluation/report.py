"""What an evaluation found: rows per picture, means per point, BD figures, machine."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gesso.errors import InputError
from gesso.evaluation.curves import Delta, delta
from gesso.files import replacing

__all__ = ["PictureRows", "Report", "Row", "finite", "read_pictures"]

STEPS = ("before", "encode", "decode", "after")


@dataclass(frozen=True)
class Row:
    """One picture at one quality, through one pipeline.

    Attributes:
        variant: which pipeline.
        quality: on its codec's scale.
        bytes: of the whole file; ``bpp`` is 8 of them over the number of pixels.
        values: metric name -> value of the picture a user sees.
        seconds: wall time of ``before``, ``encode``, ``decode`` and ``after``.
    """

    variant: str
    quality: float
    bytes: int
    bpp: float
    values: dict[str, float]
    seconds: dict[str, float]


@dataclass(frozen=True)
class PictureRows:
    """One picture: its name, the SHA-256 of its file, its size and its rows."""

    file: str
    sha256: str
    width: int
    height: int
    points: tuple[Row, ...]


@dataclass(frozen=True)
class Report:
    """Everything :func:`gesso.evaluation.measure.measure` found.

    Attributes:
        codec: name of the codec under test.
        side: ``preprocess`` or ``enhance``.
        settings: model, preset and the other options; a resumed run must share them.
        variants: name -> its qualities, from the worst to the best; the first is the anchor
            of all BD figures.
        lower_is_better: metric name -> whether less is better, in the order asked for.
        pictures: those that went through every variant at every quality.
        unreadable: picture name -> reason, for those that did not.
        sets: (variant, quality) -> metric -> value, of metrics that compare whole sets.
        remarks: metric name -> what a reader of its figures must know.
        machine: as :func:`gesso.evaluation.machine.describe_machine`.
        complete: False for what an interrupted run leaves.
    """

    codec: str
    side: str
    settings: dict[str, Any]
    variants: dict[str, tuple[float, ...]]
    lower_is_better: dict[str, bool]
    pictures: tuple[PictureRows, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)
    sets: dict[tuple[str, float], dict[str, float]] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    complete: bool = True

    @property
    def anchor(self) -> str:
        """The variant that the others are compared with."""
        return next(iter(self.variants))

    @property
    def qualities(self) -> tuple[float, ...]:
        """Of the anchor, from the worst to the best."""
        return self.variants[self.anchor]

    def mean(self, quality: float, variant: str, name: str) -> float:
        """Mean over the pictures of one metric, or of ``bpp``, at one point; NaN without any."""
        if name in self.sets.get((variant, quality), {}):
            return self.sets[variant, quality][name]
        values = [
            row.bpp if name == "bpp" else row.values.get(name, math.nan)
            for row in self.rows(variant)
            if row.quality == quality
        ]
        return statistics.fmean(values) if values else math.nan

    def rows(self, variant: str) -> list[Row]:
        """The rows of one variant over all pictures."""
        return [row for p in self.pictures for row in p.points if row.variant == variant]

    def seconds(self, variant: str, *steps: str) -> float | None:
        """Median time per picture of some steps, so that loading a model does not weigh."""
        times = [sum(row.seconds[step] for step in steps) for row in self.rows(variant)]
        return statistics.median(times) if times else None

    def curve(self, variant: str, name: str) -> list[tuple[float, float]]:
        """(bpp, metric) for every quality, from the worst to the best."""
        qualities = self.variants[variant]
        return [(self.mean(q, variant, "bpp"), self.mean(q, variant, name)) for q in qualities]

    def deltas(self, variant: str) -> dict[str, Delta]:
        """Bjontegaard figures of a variant against the anchor, by metric."""
        return {
            name: delta(self.curve(self.anchor, name), self.curve(variant, name), lower)
            for name, lower in self.lower_is_better.items()
        }

    def to_json(self) -> dict[str, Any]:
        """Plain data that ``json`` writes; a value that is not finite becomes None.

        Keys ``codec``, ``side``, ``model``, ``images``, ``qualities``, ``points``,
        ``bd_rate``, ``bd_metric``, ``seconds`` and ``machine`` are stable. ``bd_rate`` (of the
        variant ``gesso`` against ``plain``) is in percent, negative where gesso saves bits;
        ``bd_metric`` is the change of the metric at equal bits; ``bd_overlap`` is the share of
        the curves' joint range that either averages over, and ``notes`` says why one is null.
        ``variants`` holds the same for every variant. ``seconds`` are medians per picture.
        """
        names = ("bpp", *self.lower_is_better)
        points = [
            {
                "quality": quality,
                "variant": variant,
                **{name: self.mean(quality, variant, name) for name in names},
            }
            for quality in dict.fromkeys(q for qs in self.variants.values() for q in qs)
            for variant in self.variants
            if quality in self.variants[variant]
        ]
        others = {v: self._about(v) for v in self.variants if v != self.anchor}
        gesso = others.get("gesso", {"bd_rate": {}, "bd_metric": {}, "bd_overlap": {}, "notes": {}})
        notes = dict(gesso["notes"])
        for name, remark in self.remarks.items():
            notes[name] = "; ".join(filter(None, (remark, notes.get(name))))
        if self.side == "enhance":
            notes["bpp"] = "the file is the same on both sides; enhancement moves the metric only"
        content = {
            "codec": self.codec,
            "side": self.side,
            "model": self.settings.get("model"),
            "images": len(self.pictures),
            "qualities": self.qualities,
            "points": points,
            "bd_rate": gesso["bd_rate"],
            "bd_metric": gesso["bd_metric"],
            "bd_overlap": gesso["bd_overlap"],
            "notes": notes,
            "seconds": {
                "encode": self.seconds(self.anchor, "encode"),
                "decode": self.seconds(self.anchor, "decode"),
                "gesso": self.seconds("gesso", "before", "after"),
            },
            "variants": others,
            "machine": self.machine,
            "settings": self.settings,
            "lower_is_better": self.lower_is_better,
            "complete": self.complete,
            "unreadable": self.unreadable,
            "pictures": [asdict(picture) for picture in self.pictures],
        }
        return {key: finite(value) for key, value in content.items()}

    def _about(self, variant: str) -> dict[str, Any]:
        found = self.deltas(variant)
        return {
            "bd_rate": {name: d.rate for name, d in found.items()},
            "bd_metric": {name: d.metric for name, d in found.items()},
            "bd_overlap": {
                name: {"rate": d.overlap_rate, "metric": d.overlap_metric}
                for name, d in found.items()
            },
            "notes": {name: d.note for name, d in found.items() if d.note},
            "seconds": {step: self.seconds(variant, step) for step in STEPS},
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_json` as a JSON file, whole or not at all."""
        text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
        with replacing(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def to_csv(self) -> str:
        """A row per picture, variant and quality; sizes in bytes, times in seconds."""
        stream = io.StringIO()
        metrics = list(dict.fromkeys(n for p in self.pictures for r in p.points for n in r.values))
        writer = csv.writer(stream, lineterminator="\n")
        head = ["file", "width", "height", "variant", "quality", "bytes", "bpp"]
        writer.writerow([*head, *metrics, *(f"{step}_seconds" for step in STEPS)])
        for p in self.pictures:
            for row in p.points:
                about = [p.file, p.width, p.height, row.variant, row.quality, row.bytes, row.bpp]
                times = [row.seconds[step] for step in STEPS]
                writer.writerow([*about, *(row.values[name] for name in metrics), *times])
        return stream.getvalue()

    def save_csv(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_csv` as a file, whole or not at all."""
        with replacing(Path(path)) as temporary:
            temporary.write_text(self.to_csv(), encoding="utf-8")


def read_pictures(
    path: Path,
    same: Mapping[str, Any],
    variants: Mapping[str, Sequence[float]],
    metrics: Sequence[str],
) -> dict[str, PictureRows]:
    """The pictures of an earlier report, by SHA-256, with the points that have every metric.

    Args:
        path: the report; when there is none, nothing was measured yet.
        same: ``codec``, ``side`` and ``settings`` that the report must have; settings of a
            variant that is new, under its name, may be new as well.
        variants: wanted, with their qualities; further ones are left out.
        metrics: wanted; further ones are left out.

    Raises:
        InputError: not a report, or one made with other settings.
    """
    if not path.exists():
        return {}
    wanted = [(v, q) for v, qualities in variants.items() for q in qualities]
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        for key, value in same.items():
            expected = value
            if key == "settings":
                new = variants.keys() - document["variants"].keys() - document[key].keys()
                expected = {k: v for k, v in value.items() if k not in new}
            if document[key] != expected:
                raise InputError(
                    f"{path} was measured with {key} {document[key]!r}, not {value!r}; "
                    "give another file, or run without resume"
                )
        found = {}
        for picture in document["pictures"]:
            rows = {(row["variant"], row["quality"]): row for row in picture["points"]}
            have = [w for w in wanted if w in rows and set(metrics) <= set(rows[w]["values"])]
            if have:
                points = tuple(_row(rows[w], metrics) for w in have)
                found[picture["sha256"]] = PictureRows(**{**picture, "points": points})
        return found
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path} is no report to resume from ({type(error).__name__}: {error}); "
            "give another file, or run without resume"
        ) from error


def _row(row: Mapping[str, Any], metrics: Sequence[str]) -> Row:
    # null stands for infinity, which only PSNR of an equal picture can be
    values = {n: math.inf if row["values"][n] is None else row["values"][n] for n in metrics}
    return Row(**{**row, "values": values})


def finite(value: Any) -> Any:
    """Plain data for ``json``: numbers that are not finite become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
