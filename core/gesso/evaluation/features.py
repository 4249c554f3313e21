"""What metrics of whole sets keep of each picture, in one safetensors file per picture."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gesso.evaluation.fid import SET_METRICS
from gesso.files import replacing
from gesso.frame import Frame
from gesso.runtime import Runtime

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["distances", "has_features", "save_features"]

Point = tuple[str, float]
SUFFIX = ".safetensors"


def _key(metric: str, at: Point | None) -> str:
    return f"{metric}/source" if at is None else f"{metric}/{at[0]}/{at[1]:g}"


def has_features(path: Path, metrics: Iterable[str], points: Sequence[Point]) -> bool:
    """Whether an earlier run kept all that these metrics need of a picture."""
    from safetensors import SafetensorError, safe_open

    wanted = {_key(metric, at) for metric in metrics for at in (None, *points)}
    try:
        with safe_open(path.with_suffix(SUFFIX), "pt") as file:
            return wanted <= set(file.keys())
    except (OSError, SafetensorError):
        return False


def save_features(
    path: Path,
    metrics: Iterable[str],
    source: Image.Image,
    shown: Mapping[Point, Image.Image],
    runtime: Runtime,
) -> None:
    """Keep what ``metrics`` need of one source and of what became of it.

    Raises:
        InputError: the picture is too small for a metric.
        ModelError: the metric's network is not installed.
    """
    from safetensors.torch import save_file

    tensors = {
        _key(metric, at): SET_METRICS[metric]
        .features(Frame.of(picture).rgb.to(runtime.device))
        .float()
        .cpu()
        .contiguous()
        for metric in metrics
        for at, picture in ((None, source), *shown.items())
    }
    os.makedirs(path.parent, exist_ok=True)
    with replacing(path.with_suffix(SUFFIX)) as temporary:
        save_file(tensors, temporary)


def distances(
    paths: Sequence[Path], metrics: Sequence[str], variants: Mapping[str, Sequence[float]]
) -> tuple[dict[Point, dict[str, float]], dict[str, str]]:
    """(values by point and metric, remarks by metric) over all pictures of a report."""
    import torch
    from safetensors.torch import load_file

    files = [load_file(path.with_suffix(SUFFIX)) for path in paths]
    values: dict[Point, dict[str, float]] = {}
    remarks: dict[str, str] = {}
    for metric in metrics:
        known = SET_METRICS[metric]
        reference = torch.cat([file[_key(metric, None)] for file in files])
        if len(reference) < known.fewest:
            remarks[metric] = (
                f"{len(reference)} samples; below {known.fewest} the value is biased upwards, "
                "so compare it with others of this table only"
            )
        for at in ((v, q) for v, qualities in variants.items() for q in qualities):
            features = torch.cat([file[_key(metric, at)] for file in files])
            values.setdefault(at, {})[metric] = known.distance(reference, features)
    return values, remarks
