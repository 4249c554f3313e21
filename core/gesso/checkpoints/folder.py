"""What a folder in diffusers' format holds, read from its JSON alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from gesso.checkpoints.weights import Weights, find
from gesso.errors import ModelError
from gesso.options import PRESETS

__all__ = [
    "AUTOENCODERS",
    "Checkpoint",
    "Kind",
    "Part",
    "Wishes",
    "class_of",
    "classes_of",
    "read",
    "read_part",
]

Kind = Literal["vp", "edm", "consistency"]
Config = Mapping[str, Any]
UNETS = ("UNet2DModel", "UNet2DConditionModel")
AUTOENCODERS = ("AutoencoderKL", "AutoencoderTiny")
PROMPT = "prompt_embeds.safetensors"
# What a pipeline may name beside its U-Net and scheduler; the last four are no part of the prior.
PARTS = (
    *("vae", "text_encoder", "tokenizer"),
    *("safety_checker", "feature_extractor", "image_encoder", "controlnet"),
)
SCHEDULERS: Mapping[str, Kind] = {
    "EDMEulerScheduler": "edm",
    "EDMDPMSolverMultistepScheduler": "edm",
    "CMStochasticIterativeScheduler": "consistency",
}
# They state betas as variance-preserving models do, but their networks are distilled.
DISTILLED = ("LCMScheduler", "TCDScheduler")
PREDICTIONS: Mapping[Kind, tuple[str, ...]] = {
    "vp": ("epsilon", "v_prediction", "sample"),
    "edm": ("epsilon", "v_prediction"),
    "consistency": ("epsilon",),
}


@dataclass(frozen=True)
class Part:
    """One network of a checkpoint.

    Attributes:
        folder: of its config and weights.
        kind: its class, as in diffusers or transformers.
        config: the whole of config.json.
        weights: its safetensors.
    """

    folder: Path
    kind: str
    config: Config
    weights: Weights


@dataclass(frozen=True)
class Wishes:
    """``gesso.json`` beside model_index.json: what a user decides and the format cannot say.

    Attributes:
        class_label: the one class that a class-conditional network is always given.
        prompt: the one prompt that a text-conditional network is always given.
        noise_scale: ratio of sigma to the estimated error, as in a card's settings.
        presets: steps and perhaps the sampler by preset, as in a card's settings.
    """

    class_label: int | None = None
    prompt: str = ""
    noise_scale: float = 1.0
    presets: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that can be a prior.

    Attributes:
        folder: what the user named.
        kind: how its U-Net's output becomes a clean picture.
        unet: the U-Net.
        scheduler: its scheduler's config; the schedule and the prediction type.
        vae: the autoencoder of a latent model.
        text: the text encoder, where the U-Net wants an embedding that is not in a file.
        wishes: of gesso.json.
        files: whatever decides the result, weights first; relative to ``folder``.
    """

    folder: Path
    kind: Kind
    unet: Part
    scheduler: Config
    vae: Part | None
    text: Part | None
    wishes: Wishes
    files: tuple[str, ...]


def read(folder: Path) -> Checkpoint:
    """Read what a folder holds; raises ModelError naming the folder and the mend."""
    index = _index(folder)
    unet = _part(folder, "unet", index.get("unet"))
    if unet.kind not in UNETS:
        raise ModelError(f"{folder} holds a {unet.kind}; gesso runs {' and '.join(UNETS)}")
    scheduler, scheduler_file = _scheduler(folder)
    vae = _part(folder, "vae", index["vae"]) if "vae" in index else None
    if vae is not None and vae.kind not in AUTOENCODERS:
        raise ModelError(
            f"{folder} has a {vae.kind} for its latents; gesso runs {' and '.join(AUTOENCODERS)}"
        )
    conditional = unet.kind == "UNet2DConditionModel"
    if conditional and vae is None:
        raise ModelError(f"{folder} has a {unet.kind} and no vae; complete the download")
    text = None
    given = (folder / PROMPT).is_file()
    if conditional and not given:
        text = _text(folder, index)
    networks = [part for part in (unet, vae, text) if part is not None]
    files = [
        str((part.folder / name).relative_to(folder))
        for part in networks
        for name in (*part.weights.files[-1:], *part.weights.files[:-1], "config.json")
    ]
    files += [scheduler_file, *([PROMPT] if conditional and given else [])]
    if (folder / "gesso.json").is_file():
        files.append("gesso.json")
    kind = _kind(folder, scheduler)
    return Checkpoint(folder, kind, unet, scheduler, vae, text, _wishes(folder), tuple(files))


def class_of(folder: Path) -> str | None:
    """The class of the one network in a folder; None for a pipeline's."""
    bare = not (folder / "model_index.json").is_file()
    return str(_json(folder / "config.json").get("_class_name")) if bare else None


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read ({error}); download it anew") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object; download it anew")
    return content


def classes_of(folder: Path) -> dict[str, str] | None:
    """The class of each part of a pipeline; None for a folder of one network."""
    path = folder / "model_index.json"
    if not path.is_file():
        return None
    return {
        name: str(value[1])
        for name, value in _json(path).items()
        if isinstance(value, list) and len(value) == 2 and value[1] is not None
    }


def _index(folder: Path) -> dict[str, str]:
    """Class by part; a folder of nothing but a U-Net counts as a pipeline of it."""
    parts = classes_of(folder)
    if parts is None:
        return {"unet": str(class_of(folder))}
    foreign = sorted(set(parts) - {"unet", "scheduler", *PARTS})
    if foreign or "unet" not in parts:
        named = ", ".join(f"{name} ({parts[name]})" for name in foreign) or "no unet"
        kind = _json(folder / "model_index.json").get("_class_name")
        raise ModelError(
            f"{folder} is a {kind} with {named}, which gesso cannot run; "
            f"it runs pipelines of a {' or '.join(UNETS)}, a scheduler and perhaps a vae"
        )
    return parts


def _part(folder: Path, name: str, kind: str | None, stem: str = "diffusion_pytorch_model") -> Part:
    place = folder / name if (folder / name).is_dir() else folder
    if name != "unet" and place == folder:
        raise ModelError(f"{folder} lacks its folder {name}; complete the download")
    return read_part(place, kind, stem)


def read_part(folder: Path, kind: str | None = None, stem: str = "diffusion_pytorch_model") -> Part:
    """One network's folder.

    Args:
        folder: of its config and weights.
        kind: its class, where its config does not say.
        stem: what its weights are called.

    Raises:
        ModelError: no config, or no safetensors.
    """
    config = _json(folder / "config.json")
    stated = config.get("_class_name", kind)
    return Part(folder, str(stated), config, find(folder, stem))


def _text(folder: Path, index: Mapping[str, str]) -> Part:
    kind = index.get("text_encoder")
    if kind != "CLIPTextModel" or not (folder / "tokenizer").is_dir():
        raise ModelError(
            f"{folder} wants the embedding of a prompt and has no CLIPTextModel with a tokenizer "
            f"(text_encoder: {kind}); complete the download, or put an embedding beside it as "
            f"{PROMPT}"
        )
    return _part(folder, "text_encoder", kind, "model")


def _scheduler(folder: Path) -> tuple[Config, str]:
    for name in ("scheduler/scheduler_config.json", "scheduler_config.json"):
        if (folder / name).is_file():
            return _json(folder / name), name
    raise ModelError(
        f"{folder} has no scheduler_config.json, so nothing says what its network predicts; pass "
        "the folder that holds model_index.json, or complete the download"
    )


def _kind(folder: Path, scheduler: Config) -> Kind:
    name = str(scheduler.get("_class_name"))
    kind = SCHEDULERS.get(name)
    if kind is None and "beta_schedule" in scheduler and name not in DISTILLED:
        kind = "vp"
    prediction = scheduler.get("prediction_type", "epsilon")
    if kind is None or scheduler.get("use_flow_sigmas"):
        raise ModelError(
            f"{folder} was made for {name}; gesso knows DDPM's family of schedulers, "
            f"{' and '.join(SCHEDULERS)}"
        )
    if prediction not in PREDICTIONS[kind]:
        raise ModelError(
            f"{folder} predicts {prediction!r}; with {name} gesso knows "
            f"{', '.join(PREDICTIONS[kind])}"
        )
    return kind


def _wishes(folder: Path) -> Wishes:
    path = folder / "gesso.json"
    if not path.is_file():
        return Wishes()
    content = _json(path)
    try:
        wishes = Wishes(**content)
        _check_wishes(wishes)
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: {error}; it may hold {', '.join(Wishes.__dataclass_fields__)}"
        ) from error
    return wishes


def _check_wishes(wishes: Wishes) -> None:
    label, scale = wishes.class_label, wishes.noise_scale
    if label is not None and (isinstance(label, bool) or not isinstance(label, int)):
        raise ValueError(f"class_label must be a whole number, got {label!r}")
    if not isinstance(wishes.prompt, str):
        raise ValueError(f"prompt must be text, got {wishes.prompt!r}")
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not scale > 0:
        raise ValueError(f"noise_scale must be a positive number, got {scale!r}")
    for name, preset in (wishes.presets or {}).items():
        known = name in PRESETS and {"steps"} <= set(preset) <= {"steps", "sampler"}
        if not known or not 1 <= preset["steps"] <= 1000:
            raise ValueError(f"preset {name!r} must be one of {PRESETS} with steps in [1, 1000]")
