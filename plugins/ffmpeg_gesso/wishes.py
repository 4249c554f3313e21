"""What the options of a gesso node ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from ffmpeg_gesso.filtergraph import pairs
from gesso.errors import InputError
from gesso.options import PRESETS, EnhanceOptions, PreprocessOptions

if TYPE_CHECKING:
    from gesso.target import Target

__all__ = ["OPTIONS", "Coding", "Wish", "wish_of"]

OPTIONS = {
    "identity": "every frame as it came",
    "enhance": "fast, medium or slow: after a decoder",
    "preprocess": "1 or a model's name: before an encoder",
    "model": "name of a model",
    "strength": "of preprocess, in [0, 1]",
    "guard": "of preprocess: 0 takes it without trial codings",
    "effort": "of preprocess: fast; medium and max see every frame alone and take minutes",
    "tradeoff": "of enhance, in [0, 1]",
    "sigma": "of enhance: noise level on [-1, 1] instead of codec and quality",
    "steps": "of enhance: model evaluations instead of the preset's",
    "sampler": "of enhance: one-step, multistep, ode, sde or dps",
    "training_free": "of enhance: 1 is the prior alone",
    "codec": "x264, x265, svtav1, vvenc, ... or a codec of gesso's",
    "quality": "on that codec's scale; crf and qp are the same",
    "seed": "of the noise",
    "noise": "of enhance: followed, along the motion, or fixed, the same in every frame",
    "device": "auto, cpu, cuda, mps, ...",
    "dtype": "auto, fp32 or bf16",
    "tile": "side of a tile in pixels",
    "batch": "frames that go through the model at once",
}
SAME = {"crf": "quality", "qp": "quality"}
MODES = ("identity", "enhance", "preprocess")
Noise = Literal["followed", "fixed"]
NOISES = get_args(Noise)
OFF = ("0", "no", "false", "off")
LARGEST_BATCH = 256

# H.264 and HEVC share the scale of QP, and the models know HEVC's.
ENCODERS = {
    "hevc": ("hevc", "x265", "libx265", "h265", "x264", "libx264", "h264", "libx264rgb"),
    "vvc": ("vvc", "vvenc", "libvvenc", "h266"),
    "avif": ("avif", "av1", "svtav1", "libsvtav1", "aom", "libaom-av1", "rav1e", "librav1e"),
    "jpeg": ("jpeg",),
    "webp": ("webp", "libwebp", "libwebp_anim"),
}
CODECS = {name: codec for codec, names in ENCODERS.items() for name in names}
# Where an encoder's quality is no QP: AV1's CRF ends at 63, AVIF's quality at 100.
WORST_AV1 = 63.0
DEFAULT_QUALITY = {"libx264": 23.0, "libx265": 28.0, "libsvtav1": 35.0, "libvvenc": 32.0}


@dataclass(frozen=True)
class Coding:
    """What the command says of its own encoder.

    Attributes:
        encoder: ffmpeg's name; None where it is not known.
        quality: ``-crf``, ``-qp`` or ``-quality``; None where none is given.
        by_rate: a bitrate is given instead.
    """

    encoder: str | None = None
    quality: float | None = None
    by_rate: bool = False


@dataclass(frozen=True)
class Wish:
    """One node, understood.

    Attributes:
        mode: what is done.
        enhance: how, in that mode.
        preprocess: how, in that mode.
        target: what the frames come from, or go to; None where nothing says.
        device, dtype, tile: where the model runs; see gesso.Runtime.
        batch: frames at once; None is one on a CPU and four elsewhere.
        noise: of enhance; whether it goes along with what moves.
    """

    mode: Literal["identity", "enhance", "preprocess"]
    enhance: EnhanceOptions = field(default_factory=EnhanceOptions)
    preprocess: PreprocessOptions = field(default_factory=PreprocessOptions)
    target: Target | None = None
    device: str = "auto"
    dtype: str = "auto"
    tile: int = 1024
    batch: int | None = None
    noise: Noise = "followed"

    @property
    def idle(self) -> bool:
        """Whether frames come out as they went in, whatever the model."""
        return (
            self.mode == "identity"
            or (self.mode == "enhance" and self.enhance.tradeoff == 0)
            or (self.mode == "preprocess" and self.preprocess.strength == 0)
        )


def wish_of(arguments: str, coding: Coding | None = None) -> Wish:
    """Understand the options of a node.

    Args:
        arguments: as the filter would get them.
        coding: what the frames go to, for a preprocess node that does not say.

    Raises:
        InputError: an unknown option, a value out of its range, no target.
    """
    given: dict[str, str] = {}
    for key, value in pairs(arguments):
        if key not in OPTIONS and key not in SAME:
            raise InputError(
                f"gesso has no option {key!r}; there are: {', '.join((*OPTIONS, *SAME))}"
            )
        given[SAME.get(key, key)] = value
    asked = [mode for mode in MODES if mode in given and given[mode] not in OFF]
    if len(asked) != 1:
        raise InputError(
            "a gesso node does one of identity, enhance and preprocess: write gesso=enhance=fast, "
            "gesso=preprocess=1 or gesso=identity"
        )
    [mode] = asked
    shared: dict[str, Any] = {
        "device": given.get("device", "auto"),
        "dtype": given.get("dtype", "auto"),
        "tile": _whole(given, "tile", 1024, 128, 1 << 16),
        "batch": _whole(given, "batch", None, 1, LARGEST_BATCH),
    }
    if mode == "identity":
        return Wish("identity", **shared)
    if mode == "enhance":
        options = _enhance(given)
        target = _target(given, None, needed=options.sigma is None and options.tradeoff > 0)
        if (noise := given.get("noise", NOISES[0])) not in NOISES:
            raise InputError(f"noise must be one of {', '.join(NOISES)}, got {noise!r}")
        return Wish("enhance", enhance=options, target=target, noise=noise, **shared)
    prepared = _preprocess(given)
    target = _target(given, coding or Coding(), needed=prepared.strength > 0)
    return Wish("preprocess", preprocess=prepared, target=target, **shared)


def coding_of(options: Sequence[Any], encoder: str | None) -> Coding:
    """What the options of an output say of its video encoder.

    Args:
        options: of class Word.
        encoder: what ffmpeg itself said that it takes; the options win.
    """
    quality: float | None = None
    by_rate = False
    for word in options:
        if word.stream not in ("", "v", "v:0", "V", "0") or word.value is None:
            continue
        if word.key in ("c", "codec", "vcodec") and (word.stream or word.key == "vcodec"):
            encoder = word.value
        elif word.key in ("crf", "qp", "quality"):
            quality = _number(f"-{word.key}", word.value)
        elif word.key in ("b", "vb") and (word.stream or word.key == "vb"):
            by_rate = True
    return Coding(encoder, quality, by_rate)


def _enhance(given: Mapping[str, str]) -> EnhanceOptions:
    preset = given["enhance"] if given["enhance"] != "1" else "fast"
    if preset not in PRESETS:
        raise InputError(f"enhance must be one of {', '.join(PRESETS)}, got {preset!r}")
    _refuse(given, "enhance", "strength", "guard", "effort")
    settings: dict[str, Any] = {
        "tradeoff": _real(given, "tradeoff", 1.0),
        "seed": _whole(given, "seed", 0, 0, 2**64 - 1),
        "sigma": _real(given, "sigma", None),
        "steps": _whole(given, "steps", None, 1, 1000),
        "posterior_mean": given.get("training_free", "0") in OFF,
    }
    return EnhanceOptions(
        given.get("model"),
        preset,  # type: ignore[arg-type]  # checked above
        sampler=given.get("sampler"),  # type: ignore[arg-type]  # checked there
        **settings,
    )


def _preprocess(given: Mapping[str, str]) -> PreprocessOptions:
    name = given["preprocess"]
    _refuse(given, "preprocess", "tradeoff", "sigma", "steps", "sampler", "noise", "training_free")
    return PreprocessOptions(
        given.get("model", None if name == "1" else name),
        float(_real(given, "strength", 1.0) or 0),
        given.get("guard", "1") not in OFF,
        int(_whole(given, "seed", 0, 0, 2**64 - 1) or 0),
        given.get("effort", "fast"),  # type: ignore[arg-type]  # checked there
    )


def _refuse(given: Mapping[str, str], mode: str, *others: str) -> None:
    for key in others:
        if key in given:
            raise InputError(f"gesso={mode} takes no {key}; leave it out")


def _target(given: Mapping[str, str], coding: Coding | None, needed: bool) -> Target | None:
    """What was said in the node, else by the command (``coding``)."""
    import gesso_hooks
    from gesso.target import Target

    encoder, quality = given.get("codec"), _real(given, "quality", None)
    if not needed:
        return None
    if encoder is None and coding is None:
        raise InputError(
            "what coded the source is not known; name its codec and crf or quality, as in "
            "gesso=enhance=fast:codec=x264:crf=28, or a sigma"
        )
    if encoder is None and coding is not None:
        encoder = coding.encoder
        quality = coding.quality if quality is None else quality
        if quality is None and not coding.by_rate:
            quality = DEFAULT_QUALITY.get(encoder or "")
    if encoder is None or quality is None:
        raise InputError(
            "the command does not say what encodes at which quality; name codec and crf or "
            "quality, as in gesso=preprocess=1:codec=x265:crf=28"
        )
    gesso_hooks.load()  # third parties' codecs
    codec = CODECS.get(encoder, encoder)
    if codec == "avif" and encoder != "avif":
        quality = 100 * (1 - min(quality, WORST_AV1) / WORST_AV1)
    return Target(codec, quality)


def _real(given: Mapping[str, str], key: str, default: float | None) -> float | None:
    return _number(key, given[key]) if key in given else default


def _whole(
    given: Mapping[str, str], key: str, default: int | None, low: int, high: int
) -> int | None:
    if key not in given:
        return default
    try:
        value = int(given[key])
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise InputError(f"{key} must be a whole number in [{low}, {high}], got {given[key]!r}")
    return value


def _number(key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise InputError(f"{key} must be a number, got {text!r}") from error
