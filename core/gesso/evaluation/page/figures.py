"""The tables and curves of a page, out of evaluation documents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from gesso.evaluation.curves import Delta, delta
from gesso.evaluation.document import Document, Point

__all__ = ["chart", "describe"]

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
STEPS = {"quality": ("quality", "qualities"), "tradeoff": ("tradeoff", "tradeoffs")}
SECRET = ("sha256",)  # of no use to a reader of the page; the JSON document has it


class _Metric(NamedTuple):
    name: str
    label: str
    lower: bool
    digits: int

    @property
    def unit(self) -> str:
        return " dB" if self.name == "psnr" else ""


def describe(document: Document) -> dict[str, Any]:
    """What the template shows of one document; every text is still to be escaped."""
    content = document.content
    metrics = _metrics(document)
    anchor, *others = document.variants
    deltas = {
        (variant, metric): delta(
            document.curve(anchor, metric.name), document.curve(variant, metric.name), metric.lower
        )
        for variant in others
        for metric in metrics
        if document.has(anchor, metric.name) and document.has(variant, metric.name)
    }
    settings = content.get("settings") or {}
    return {
        "name": _name(document),
        "lede": _lede(document),
        "complete": bool(content.get("complete", True)),
        "anchor": anchor,
        "scale": _scale(document),
        "several": len(others) > 1,
        "without": _without(deltas.values()),
        "deltas": _delta_rows(deltas),
        "headings": [
            {"label": "bpp", "better": "", "arrow": ""},
            *({"label": m.label, **_direction(m.lower)} for m in metrics),
        ],
        "groups": _groups(document, metrics),
        "images": _count(content.get("images"), "picture"),
        "notes": _remarks(content.get("notes") or {}, metrics, deltas.values()),
        "unreadable": [(str(k), str(v)) for k, v in (content.get("unreadable") or {}).items()],
        "facts": [
            ("Settings", _facts(settings)),
            ("Time per picture", _times(content.get("seconds") or {})),
            ("Machine", _facts(content.get("machine") or {})),
        ],
    }


def chart(documents: Sequence[Document]) -> dict[str, Any]:
    """Metrics and series for the curves, as plain data without NaN."""
    several = len(documents) > 1
    metrics = {m.name: m for document in documents for m in _metrics(document)}
    series = [
        {
            "name": f"{_name(document)}: {variant}" if several else variant,
            "group": index,
            "anchor": variant == document.variants[0],
            "way": variant in (document.variants[0], "gesso") or variant.startswith("tradeoff "),
            "points": [
                {"quality": p.quality, "bpp": _finite(p.bpp), "values": _values(p)}
                for p in sorted(document.of_variant(variant), key=lambda point: point.bpp)
            ],
        }
        for index, document in enumerate(documents)
        for variant in document.variants
    ]
    about = {
        n: {"label": m.label, "lower": m.lower, "digits": m.digits} for n, m in metrics.items()
    }
    return {"metrics": about, "series": series, "scale": _scale(documents[0])}


def _scale(document: Document) -> str:
    """What tells the points of a curve apart: ``quality``, or ``tradeoff`` at equal bits."""
    return "tradeoff" if document.content.get("scale") == "tradeoff" else "quality"


def _values(point: Point) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in point.values.items()}


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _metrics(document: Document) -> list[_Metric]:
    from gesso.evaluation.fid import SET_METRICS
    from gesso.evaluation.metrics import METRICS

    known: dict[str, Any] = {**METRICS, **SET_METRICS}
    return [
        _Metric(name, known[name].label, lower, known[name].digits)
        if name in known
        else _Metric(name, name, lower, 4)
        for name, lower in document.lower_is_better.items()
    ]


def _name(document: Document) -> str:
    return str(document.content.get("codec") or document.name)


def _lede(document: Document) -> list[str]:
    content = document.content
    settings = content.get("settings") or {}
    model = content.get("model") or settings.get("model")
    facts = [
        str(content.get("codec") or ""),
        str(content.get("side") or ""),
        f"model {model}" if model else "",
        f"preset {settings['preset']}" if settings.get("preset") else "",
        _count(content.get("images"), "picture"),
        _count(len({p.quality for p in document.points}), *STEPS[_scale(document)]),
    ]
    return [fact for fact in facts if fact]


def _count(count: Any, one: str, many: str = "") -> str:
    if not isinstance(count, int):
        return ""
    return f"1 {one}" if count == 1 else f"{count:,} {many or one + 's'}"


def _direction(lower: bool) -> dict[str, str]:
    return {
        "better": "lower is better" if lower else "higher is better",
        "arrow": "\N{DOWNWARDS ARROW}" if lower else "\N{UPWARDS ARROW}",
    }


def _without(deltas: Iterable[Delta]) -> str:
    """Why there is not one figure."""
    reasons = dict.fromkeys(d.note for d in deltas if d.note)
    return "; ".join(reasons) or "there is nothing to compare"


def _remarks(
    notes: Mapping[str, Any], metrics: Sequence[_Metric], deltas: Iterable[Delta]
) -> list[str]:
    """What the document notes beside the Bjontegaard figures, whose notes are in their table."""
    told = {d.note for d in deltas}
    labels = {m.name: f"{m.label}: " for m in metrics}
    return [
        _sentence(f"{labels.get(name, '')}{text}")
        for name, text in notes.items()
        if text not in told
    ]


def _delta_rows(deltas: Mapping[tuple[str, _Metric], Delta]) -> list[dict[str, Any]]:
    if all(d.rate is None and d.metric is None for d in deltas.values()):
        return []
    return [
        {
            "variant": variant,
            "metric": metric.label,
            "rate": _change(d.rate, 1, " %", lower=True),
            "overlap_rate": _percent(d.overlap_rate),
            "change": _change(d.metric, metric.digits, metric.unit, metric.lower),
            "overlap_metric": _percent(d.overlap_metric),
            "note": d.note,
        }
        for (variant, metric), d in deltas.items()
    ]


def _groups(document: Document, metrics: Sequence[_Metric]) -> list[dict[str, Any]]:
    """The points by quality, the anchor's first, with their changes against it."""
    anchor = document.variants[0]
    qualities = dict.fromkeys(point.quality for point in document.points)
    groups = []
    for quality in qualities:
        points = [point for point in document.points if point.quality == quality]
        than = next((point for point in points if point.variant == anchor), None)
        rows = [
            {
                "variant": point.variant,
                "anchor": point is than,
                "cells": _cells(point, None if point is than else than, metrics),
            }
            for point in points
        ]
        groups.append({"quality": f"{quality:g}", "rows": rows})
    return groups


def _cells(point: Point, than: Point | None, metrics: Sequence[_Metric]) -> list[dict[str, str]]:
    bits = _Metric("bpp", "bpp", True, 3)
    pairs = [(bits, point.bpp, than.bpp if than else math.nan)]
    for m in metrics:
        before = than.values.get(m.name, math.nan) if than else math.nan
        pairs.append((m, point.values.get(m.name, math.nan), before))
    return [_cell(*pair) for pair in pairs]


def _cell(metric: _Metric, value: float, before: float) -> dict[str, str]:
    text = _signed(value, metric.digits, always=False) if math.isfinite(value) else NOTHING
    change = None
    if math.isfinite(before) and math.isfinite(value):
        if not metric.lower:
            change = _change(value - before, metric.digits, metric.unit, lower=False)
        elif before > 0 and (metric.name != "bpp" or value != before):
            change = _change(100 * (value / before - 1), 1, " %", lower=True)
    return (
        {"text": text, "change": "", "tone": ""}
        if change is None
        else {
            "text": text,
            "change": change["text"],
            "tone": change["tone"],
        }
    )


def _change(value: float | None, digits: int, unit: str, lower: bool) -> dict[str, str]:
    if value is None:
        return {"text": NOTHING, "tone": "dim"}
    shown = round(value, digits)
    tone = "dim" if shown == 0 else "better" if (shown < 0) == lower else "worse"
    return {
        "text": f"{_signed(value, digits)}{unit}".replace(" ", "\N{NO-BREAK SPACE}"),
        "tone": tone,
    }


def _signed(value: float, digits: int, always: bool = True) -> str:
    text = f"{value:+.{digits}f}" if always else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.0f}\N{NO-BREAK SPACE}%"


def _facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(key), f"{value:.4g}" if isinstance(value, float) else str(value))
        for key, value in facts.items()
        if value is not None and key not in SECRET
    ]


def _times(seconds: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (str(step), f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms")
        for step, value in seconds.items()
        if isinstance(value, int | float)
    ]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."
