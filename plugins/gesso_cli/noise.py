"""`gesso noise`: how much of it a preset adds, fitted on validation pictures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gesso.errors import InputError
from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar, say

if TYPE_CHECKING:
    from torch import Tensor

    from gesso.cards import ModelCard
    from gesso.codec import Codec
    from gesso.frame import Frame
    from gesso.noise import NoiseMode, Scale
    from gesso.target import Target
    from gesso.training.calibrate import Restore
    from gesso.training.levels import Coding, Levels

__all__ = ["add", "noise"]

Rows = list[list[float]]
# A power of 0: soft pictures are given what sharp ones are.
ALIKE = {"reference": 1.0, "power": 0.0, "least": 1.0}


def add(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    app.command()(noise)


def noise(
    folder: Annotated[Path, typer.Argument(metavar="MODELFOLDER", help="A prior with its card.")],
    val: Annotated[Path, typer.Argument(metavar="VAL", help="Folder of pictures.")],
    codecs: Annotated[str, typer.Option(help="Names of codecs.")] = "jpeg,hevc",
    preset: o.PresetOption = o.PresetName.fast,
    training_free: o.TrainingFree = False,
    drop: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            max=6.0,
            help="Instead of what looks best: what costs so many dB of PSNR against what the "
            "noise is added to.",
        ),
    ] = None,
    json: o.Json = False,
) -> None:
    """Fit how much noise a preset adds, as a multiple of the estimated error, into the card.

    What looks best is the least LPIPS times DISTS over pictures as they are and enlarged by
    1.5 and 2.5, each at four qualities; with it comes by how much less noise a picture of
    soft edges wants. Each level of each coding runs the model: minutes a codec.

    With --drop soft pictures are given as much as sharp ones, whatever the codec: name all
    that the preset is for.
    """
    from gesso.cards import ModelCard
    from gesso.codec import get_codec
    from gesso.training.data import picture_files

    files = picture_files(val)
    card = ModelCard.read(folder)
    card.verify()
    if preset.value not in card.settings.get("presets", {}):
        raise InputError(f"{folder / 'card.json'} has no preset {preset.value!r}; add it there")
    chosen = [get_codec(codec) for codec in dict.fromkeys(o.names(codecs))]
    if not chosen:
        raise InputError("no codec asked for; pass --codecs jpeg, for instance")
    trial = _Trial(card, preset, training_free)
    find = _by_looks if drop is None else partial(_by_drop, drop)
    found = find(trial, files, chosen)
    written = trial.written(found["noise_scale"], found["softness"])
    if json:
        answer_json({"card": str(written), "images": len(files), **found})
        return
    _print(found)
    say(f"{len(files)} pictures, written to {written}")


class _Trial:
    """One preset of a model, run with any level of noise."""

    def __init__(self, card: ModelCard, preset: o.PresetName, training_free: bool) -> None:
        from gesso.enhancer import error_table

        self.card, self.preset, self.training_free = card, preset, training_free
        self.mode: NoiseMode = "decoded" if training_free else "posterior_mean"
        self.model = o.known_model(str(card.folder))
        self.table = error_table(card, self.mode)

    def start(self, frame: Frame, target: Target) -> Frame:
        """What the noise is added to."""
        from gesso.cards import load
        from gesso.estimator import estimate
        from gesso.runtime import Runtime

        if self.training_free:
            return frame
        runtime = Runtime()
        return estimate(frame, target, load(None, "estimator", runtime), runtime)

    def enhanced(self, scale: Scale) -> Restore:
        """With ``scale`` times the estimated error."""
        from gesso.enhancer import enhance_frame
        from gesso.noise import sigma_for

        def restore(frame: Frame, target: Target) -> Frame:
            sigma = sigma_for(self.table, scale, target, frame)
            options = o.enhance_options(
                self.model, self.preset, sigma=float(sigma[0]), training_free=self.training_free
            )
            return enhance_frame(frame, target, options)

        return restore

    def written(self, rows: dict[str, Rows], softness: dict[str, float]) -> Path:
        """The card with what was found, for this preset and what it adds noise to."""
        presets = {name: dict(value) for name, value in self.card.settings["presets"].items()}
        own = presets[self.preset.value]
        scales = {**self.card.settings.get("noise_scale", {}), **own.get("noise_scale", {})}
        before = scales.get(self.mode, 1.0)
        # Any codec that is not named goes by the ratio of HEVC.
        kept = before if isinstance(before, dict) else {"hevc": before}
        own["noise_scale"] = {**own.get("noise_scale", {}), self.mode: {**kept, **rows}}
        own["softness"] = {**own.get("softness", {}), self.mode: softness}
        return replace(self.card, settings={**self.card.settings, "presets": presets}).write()


def _by_drop(
    drop: float, trial: _Trial, files: list[Path], codecs: Sequence[Codec]
) -> dict[str, Any]:
    """Rows by what they cost in PSNR, whatever a picture's edges, and what each then loses."""
    from gesso.target import Target
    from gesso.training.levels import fit_noise_scale, noise_qualities, psnr_drops

    rows: dict[str, Rows] = {}
    drops: dict[str, dict[float, list[float]]] = {}
    for codec in codecs:
        qualities = noise_qualities(codec)
        with bar(codec.name) as tick:
            rows[codec.name] = fit_noise_scale(
                files,
                codec,
                qualities,
                drop,
                trial.start,
                trial.enhanced,
                tick,
            )
        made = trial.enhanced(rows[codec.name])
        drops[codec.name] = {
            quality: psnr_drops(files, Target(codec.name, quality), codec, trial.start, made)
            for quality in qualities
        }
    return {"noise_scale": rows, "softness": ALIKE, "drops": drops}


def _by_looks(trial: _Trial, files: list[Path], codecs: Sequence[Codec]) -> dict[str, Any]:
    """Rows and softness with the least LPIPS times DISTS, and the change that they make."""
    from gesso.training.levels import fit_levels, measure_levels, noise_qualities

    codings: list[Coding] = []
    for codec in codecs:
        with bar(codec.name) as tick:
            codings += measure_levels(
                files,
                codec,
                noise_qualities(codec),
                trial.start,
                trial.enhanced,
                _lpips_times_dists,
                tick,
            )
    levels = fit_levels(codings)
    return {
        "noise_scale": levels.rows,
        "softness": levels.softness,
        "change": _changes(codings, levels),
    }


def _lpips_times_dists(clean: Tensor) -> Callable[[Tensor], float]:
    from gesso.evaluation.metrics import get_metrics

    looks = [metric.against(clean) for metric in get_metrics(["lpips", "dists"])]
    return lambda picture: math.prod(float(distance(picture)[0]) for distance in looks)


def _changes(codings: Sequence[Coding], levels: Levels) -> list[dict[str, Any]]:
    """The mean change against the plain decode, by codec, quality and enlargement."""
    groups: dict[tuple[str, float, float], list[float]] = defaultdict(list)
    for coding, cost in zip(codings, levels.costs, strict=True):
        groups[coding.codec, coding.quality, coding.enlarged].append(cost)
    return [
        {
            "codec": codec,
            "quality": quality,
            "enlarged": enlarged,
            "change": math.expm1(sum(costs) / len(costs)),
        }
        for (codec, quality, enlarged), costs in groups.items()
    ]


def _print(found: dict[str, Any]) -> None:
    for codec, rows in found["noise_scale"].items():
        told = ", ".join(f"{ratio:g} at QP {qp:g}" for qp, ratio in rows)
        answer().print(f"{codec}: noise over error {told}")
    for codec, drops in found.get("drops", {}).items():
        for quality, values in drops.items():
            mean = sum(values) / len(values)
            answer().print(
                f"{codec} {quality:g}: PSNR falls by {mean:.2f} dB, by {max(values):.2f} dB at most"
            )
    rule = found["softness"]
    answer().print(
        f"soft pictures: (sharpness / {rule['reference']:g}) to the power of "
        f"{rule['power']:g}, {rule['least']:g} at least"
        if rule["power"]
        else "soft pictures: as much as sharp ones"
    )
    for row in found.get("change", []):
        enlarged = "" if row["enlarged"] == 1 else f", enlarged by {row['enlarged']:g}"
        answer().print(
            f"{row['codec']} {row['quality']:g}{enlarged}: LPIPS x DISTS {row['change']:+.1%}"
        )
