"""Evaluation documents, as `gesso evaluate` and `gesso peers` write them, read back as curves."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gesso.errors import InputError

__all__ = ["Document", "Point", "same_pictures"]


@dataclass(frozen=True)
class Point:
    """One variant at one quality: bits per pixel, and the means of the metrics.

    A value that the document gives as null (only infinities are) is NaN.
    """

    variant: str
    quality: float
    bpp: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class Document:
    """What an evaluation found, checked.

    Attributes:
        name: what to call it in messages, such as the file's name.
        content: the whole JSON document.
        points: in the document's order.
        lower_is_better: metric name -> whether less is better.
    """

    name: str
    content: Mapping[str, Any]
    points: tuple[Point, ...]
    lower_is_better: Mapping[str, bool]

    @classmethod
    def of(cls, content: Any, name: str = "the document") -> Document:
        """Check the keys ``points`` and ``lower_is_better``; the others are taken as they are.

        Raises:
            InputError: it is no evaluation document, or holds no point.
        """
        try:
            lower = {str(k): bool(v) for k, v in content["lower_is_better"].items()}
            points = tuple(_point(point, lower) for point in content["points"])
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(
                f"{name} is no evaluation document ({type(error).__name__}: {error}); "
                "write one with: gesso evaluate DIR --json FILE"
            ) from error
        if not points:
            raise InputError(f"{name} holds no point; its evaluation found no usable picture")
        return cls(name, content, points, lower)

    @classmethod
    def read(cls, path: Path) -> Document:
        """Read a JSON file.

        Raises:
            InputError: it cannot be read, or is no evaluation document.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}; check the path") from error
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is no JSON document: it is not UTF-8 text") from error
        try:
            content = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(f"{path} is no JSON document: {error}") from error
        return cls.of(content, str(path))

    @property
    def variants(self) -> tuple[str, ...]:
        """In the order of their first points; the first one is what the others are held to."""
        return tuple(dict.fromkeys(point.variant for point in self.points))

    def has(self, variant: str, metric: str) -> bool:
        """Whether every point of a variant has a metric."""
        own = self.of_variant(variant)
        return bool(own) and all(metric in point.values for point in own)

    def of_variant(self, variant: str) -> list[Point]:
        """The points of a variant, in the document's order."""
        return [point for point in self.points if point.variant == variant]

    def curve(self, variant: str, metric: str) -> list[tuple[float, float]]:
        """(bits per pixel, metric), for :func:`gesso.evaluation.curves.delta`."""
        return [(point.bpp, point.values[metric]) for point in self.of_variant(variant)]


def same_pictures(one: Document, two: Document) -> bool:
    """Whether both were measured on the same pictures, as far as they tell.

    Files are known by their SHA-256; a document without them counts its pictures.
    """
    digests = [_digests(document) for document in (one, two)]
    if all(digests):
        return digests[0] == digests[1]
    return bool(one.content.get("images") == two.content.get("images"))


def _point(point: Mapping[str, Any], metrics: Mapping[str, bool]) -> Point:
    values = {name: _number(point[name]) for name in metrics if name in point}
    return Point(str(point["variant"]), float(point["quality"]), _number(point["bpp"]), values)


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _digests(document: Document) -> set[str]:
    pictures = document.content.get("pictures")
    if not isinstance(pictures, Sequence):
        return set()
    return {p["sha256"] for p in pictures if isinstance(p, Mapping) and "sha256" in p}
