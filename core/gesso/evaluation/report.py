"""What an evaluation found: rows per picture, means per point, BD figures, machine."""

from __future__ import annotations

import json
import math
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gesso.errors import InputError
from gesso.evaluation.curves import delta
from gesso.files import replacing

if TYPE_CHECKING:
    import torch

__all__ = ["PictureRows", "Report", "Row", "describe_machine"]

VARIANTS = ("plain", "gesso")
TIMED = ("encode", "decode", "gesso")


@dataclass(frozen=True)
class Row:
    """One picture at one quality.

    Attributes:
        quality: on the codec's scale.
        bytes: of the whole file; ``bpp`` is 8 of them over the number of pixels.
        plain: metric name -> value of the ordinary decode.
        gesso: metric name -> value of what gesso made of it.
        seconds: wall time of encode, decode and gesso.
    """

    quality: float
    bytes: int
    bpp: float
    plain: dict[str, float]
    gesso: dict[str, float]
    seconds: dict[str, float]


@dataclass(frozen=True)
class PictureRows:
    """One picture: its name, the SHA-256 of its file, its size and a row per quality."""

    file: str
    sha256: str
    width: int
    height: int
    points: tuple[Row, ...]


@dataclass(frozen=True)
class Report:
    """Everything :func:`gesso.evaluation.evaluate.evaluate` measured.

    Attributes:
        codec: name of the codec.
        side: ``enhance``.
        settings: model, preset and the other options; a resumed run must share them.
        qualities: from the worst to the best.
        lower_is_better: metric name -> whether less is better, in the order asked for.
        pictures: those that went through at every quality.
        unreadable: picture name -> reason, for those that did not.
        machine: as :func:`describe_machine`.
        complete: False for what an interrupted run leaves.
    """

    codec: str
    side: str
    settings: dict[str, Any]
    qualities: tuple[float, ...]
    lower_is_better: dict[str, bool]
    pictures: tuple[PictureRows, ...]
    unreadable: dict[str, str]
    machine: dict[str, Any] = field(default_factory=dict)
    complete: bool = True

    def mean(self, quality: float, variant: str, name: str) -> float:
        """Mean over the pictures of one metric, or of ``bpp``, at one point."""
        rows = [r for p in self.pictures for r in p.points if r.quality == quality]
        values = [r.bpp if name == "bpp" else getattr(r, variant)[name] for r in rows]
        return statistics.fmean(values) if values else math.nan

    def curve(self, variant: str, name: str) -> list[tuple[float, float]]:
        """(bpp, metric) for every quality, from the worst to the best."""
        return [(self.mean(q, variant, "bpp"), self.mean(q, variant, name)) for q in self.qualities]

    def to_json(self) -> dict[str, Any]:
        """Plain data that ``json`` writes; a value that is not finite becomes None.

        Keys ``codec``, ``side``, ``model``, ``images``, ``qualities``, ``points``,
        ``bd_rate``, ``bd_metric``, ``seconds`` and ``machine`` are stable. ``bd_rate`` is in
        percent, negative where gesso saves bits; ``bd_metric`` is the change of the metric at
        equal bits; ``notes`` says why either is null, or on how little of the range it
        stands. ``seconds`` are medians per picture, so that the first call's loading of the
        model does not weigh.
        """
        metrics = list(self.lower_is_better)
        points = [
            {
                "quality": quality,
                "variant": variant,
                **{name: self.mean(quality, variant, name) for name in ("bpp", *metrics)},
            }
            for quality in self.qualities
            for variant in VARIANTS
        ]
        deltas = {
            name: delta(self.curve("plain", name), self.curve("gesso", name), lower)
            for name, lower in self.lower_is_better.items()
        }
        rows = [row for picture in self.pictures for row in picture.points]
        notes = {name: d.note for name, d in deltas.items() if d.note}
        if self.side == "enhance":
            notes["bpp"] = "the file is the same on both sides; enhancement moves the metric only"
        content = {
            "codec": self.codec,
            "side": self.side,
            "model": self.settings.get("model"),
            "images": len(self.pictures),
            "qualities": self.qualities,
            "points": points,
            "bd_rate": {name: d.rate for name, d in deltas.items()},
            "bd_metric": {name: d.metric for name, d in deltas.items()},
            "notes": notes,
            "seconds": {
                k: statistics.median(r.seconds[k] for r in rows) if rows else None for k in TIMED
            },
            "machine": self.machine,
            "settings": self.settings,
            "lower_is_better": self.lower_is_better,
            "complete": self.complete,
            "unreadable": self.unreadable,
            "pictures": [asdict(picture) for picture in self.pictures],
        }
        return {key: _finite(value) for key, value in content.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write :meth:`to_json` as a JSON file, whole or not at all."""
        text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
        with replacing(Path(path)) as temporary:
            temporary.write_text(text, encoding="utf-8")


def read_pictures(
    path: Path, same: Mapping[str, Any], qualities: Sequence[float], metrics: Sequence[str]
) -> dict[str, PictureRows]:
    """The pictures of an earlier report, by SHA-256, that have every quality and metric.

    Args:
        path: the report; when there is none, nothing was measured yet.
        same: ``codec``, ``side`` and ``settings`` that the report must have.
        qualities: wanted; further ones are left out.
        metrics: wanted; further ones are left out.

    Raises:
        InputError: not a report, or one made with other settings.
    """
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        for key, value in same.items():
            if document[key] != value:
                raise InputError(
                    f"{path} was measured with {key} {document[key]!r}, not {value!r}; "
                    "give another file, or run without resume"
                )
        found = {}
        for picture in document["pictures"]:
            rows = {row["quality"]: row for row in picture["points"]}
            if not all(q in rows and _has(rows[q], metrics) for q in qualities):
                continue
            points = tuple(_row(rows[q], metrics) for q in qualities)
            found[picture["sha256"]] = PictureRows(**{**picture, "points": points})
        return found
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(
            f"{path} is no report to resume from ({type(error).__name__}: {error}); "
            "give another file, or run without resume"
        ) from error


def _has(row: Mapping[str, Any], metrics: Sequence[str]) -> bool:
    return all(name in row[variant] for variant in VARIANTS for name in metrics)


def _row(row: Mapping[str, Any], metrics: Sequence[str]) -> Row:
    # null stands for infinity, which only PSNR of an equal picture can be
    values = {
        variant: {n: math.inf if row[variant][n] is None else row[variant][n] for n in metrics}
        for variant in VARIANTS
    }
    return Row(**{**row, **values})


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Processor, threads, versions and device, for readers of the figures."""
    import PIL
    import torch

    import gesso

    name = device.type
    if device.type == "cuda":
        name = f"{device.type}: {torch.cuda.get_device_name(device)}"
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": name,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": PIL.__version__,
        "gesso": gesso.__version__,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
