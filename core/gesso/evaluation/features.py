"""What metrics of whole sets keep of each picture, in one safetensors file per picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.evaluation.fid import SET_METRICS
from gesso.files import replacing
from gesso.frame import Frame
from gesso.runtime import Runtime

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

__all__ = ["distances", "kept_points", "save_features"]

Point = tuple[str, float]
SUFFIX = ".safetensors"


def _key(metric: str, at: Point | None) -> str:
    return f"{metric}/source" if at is None else f"{metric}/{at[0]}/{at[1]:g}"


def kept_points(path: Path, metrics: Iterable[str], points: Iterable[Point]) -> frozenset[Point]:
    """The points of a picture for which an earlier run kept all that these metrics need."""
    keys, metrics = _kept(path).keys(), tuple(metrics)
    if any(_key(metric, None) not in keys for metric in metrics):
        return frozenset()
    return frozenset(at for at in points if all(_key(metric, at) in keys for metric in metrics))


def _kept(path: Path) -> dict[str, Tensor]:
    """What an earlier run left; nothing where that cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path.with_suffix(SUFFIX))
    except (OSError, SafetensorError):
        return {}


def save_features(
    path: Path,
    metrics: Iterable[str],
    source: Image.Image,
    shown: Mapping[Point, Image.Image],
    runtime: Runtime,
) -> None:
    """Keep what ``metrics`` need of one source and of what became of it, beside what was kept.

    Raises:
        InputError: the picture is too small for a metric.
        ModelError: the metric's network is not installed.
    """
    from safetensors.torch import save_file

    tensors = _kept(path)
    for metric, (at, picture) in product(metrics, ((None, source), *shown.items())):
        if at is None and _key(metric, at) in tensors:
            continue
        found = SET_METRICS[metric].features(Frame.of(picture).rgb.to(runtime.device))
        tensors[_key(metric, at)] = found.float().cpu().contiguous()
    os.makedirs(path.parent, exist_ok=True)
    with replacing(path.with_suffix(SUFFIX)) as temporary:
        save_file(tensors, temporary)


def distances(
    paths: Sequence[Path], metrics: Sequence[str], variants: Mapping[str, Sequence[float]]
) -> tuple[dict[Point, dict[str, float]], dict[str, str]]:
    """(values by point and metric, remarks by metric) over all pictures of a report.

    A set of one sample has a remark and no value.
    """
    import torch
    from safetensors.torch import load_file

    files = [load_file(path.with_suffix(SUFFIX)) for path in paths]
    values: dict[Point, dict[str, float]] = {}
    remarks: dict[str, str] = {}
    for metric in metrics:
        known = SET_METRICS[metric]
        reference = torch.cat([file[_key(metric, None)] for file in files])
        if len(reference) < 2:
            remarks[metric] = "one sample; a distance of sets takes two or more, so it has no value"
            continue
        if len(reference) < known.fewest:
            remarks[metric] = (
                f"{len(reference)} samples; below {known.fewest} the value is biased upwards, "
                "so compare it with others of this table only"
            )
        for at in ((v, q) for v, qualities in variants.items() for q in qualities):
            features = torch.cat([file[_key(metric, at)] for file in files])
            values.setdefault(at, {})[metric] = known.distance(reference, features)
    return values, remarks
