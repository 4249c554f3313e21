"""The functions that the zoo calls: a name and a quality to a model.

``quality`` is 1 to 8, as in CompressAI's zoo. For its networks it is CompressAI's own. For
ordinary codecs it is the quality with the rate index nearest to that of the zoo's networks:

    level   1   2   3   4   5   6   7   8
    jpeg   10  16  24  36  55  73  82  89   quality
    webp    1   4  12  24  40  64  77  85   quality
    avif    8  18  26  35  44  52  61  71   quality
    hevc   44  41  38  36  33  30  27  24   QP
    vvc    44  41  38  36  33  30  27  24   QP

``gesso-hyperprior`` is the small network that ships, of qualities 1 to 4. Where CompressAI's
weights are missing, it stands in for ``gesso-bmshj2018-hyperprior`` at the zoo's qualities of
about the same lambda, 1, 2, 4 and 6. ``gesso-latent``, the latent codec, has 1 to 5: palettes of
16, 32, 64, 128 and 256 entries.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from functools import partial
from pathlib import Path
from typing import Any

import gesso_hooks
from compressai_gesso.architectures import FILES, LATENT, NETWORKS, PREFIX, class_of
from compressai_gesso.asking import KEYWORDS, ambient
from compressai_gesso.checkpoints import find_checkpoint, read_network
from compressai_gesso.codecs import HYPERPRIOR, WEIGHTS, ZOO_LAMBDAS, zoo_qp
from compressai_gesso.latent import ENTRIES
from compressai_gesso.library import library
from compressai_gesso.substitutes import substitute
from gesso.cards import ModelCard
from gesso.codec import get_codec
from gesso.errors import InputError, ModelError

__all__ = ["entries", "quality_of_level"]

LEVELS = range(1, len(ZOO_LAMBDAS) + 1)
METRICS = ("mse", "ms-ssim")
# CompressAI's function of that name gives this network; so do its weights.
SAME = {"bmshj2018-factorized-relu": "bmshj2018-factorized"}
VARIABLE = "-vbr"


def entries(models: Container[str]) -> dict[str, Callable[..., Any]]:
    """The functions by name, as far as CompressAI has their base."""
    made: dict[str, Callable[..., Any]] = {PREFIX + "hyperprior": partial(_small)}
    for name in NETWORKS:
        if name != "hyperprior" and name in models:
            made[PREFIX + name] = partial(_network, name)
    for name in FILES:
        made[PREFIX + name] = partial(_file, name)
    made[PREFIX + LATENT] = partial(_latent)
    for name, function in made.items():
        function.__name__ = name
        function.__doc__ = f"The model {name}; see compressai_gesso.entries."
    return made


def quality_of_level(codec: str, level: int) -> int:
    """The codec's own quality, a whole number, for a quality of the zoo's, 1 to 8.

    Raises:
        InputError: no such codec or level.
    """
    gesso_hooks.load()
    _check_level(level, LEVELS)
    known, aim = get_codec(codec), zoo_qp(level)
    low, high = sorted(known.qualities)
    return min(
        range(math.ceil(low), math.floor(high) + 1), key=lambda each: abs(known.qp(each) - aim)
    )


def _file(
    codec: str,
    quality: int,
    metric: str = "mse",
    pretrained: bool = False,
    progress: bool = True,
    **sides: Any,
) -> Any:
    """``pretrained`` and ``progress`` are what every model of the zoo has; nothing is loaded."""
    _check_metric(metric, ("mse",), PREFIX + codec)
    _check_keywords(sides, PREFIX + codec)
    return class_of(codec)(quality_of_level(codec, quality), **{**ambient(), **sides})


def _latent(
    quality: int,
    metric: str = "mse",
    pretrained: bool = False,
    progress: bool = True,
    **keywords: Any,
) -> Any:
    """``keywords`` as of :class:`compressai_gesso.latent.LatentModel`.

    ``pretrained`` changes nothing: without its autoencoder the codec is none.
    """
    name = PREFIX + LATENT
    _check_metric(metric, ("mse",), name)
    _check_level(quality, range(1, 1 + len(ENTRIES)))
    _check_keywords(keywords, name, (*KEYWORDS, "model", "palette", "dither", "refine", "prior"))
    return class_of(LATENT)(ENTRIES[quality - 1], **{**ambient(), **keywords})


def _small(
    quality: int,
    metric: str = "mse",
    pretrained: bool = False,
    progress: bool = True,
    *,
    checkpoint: str | Path | None = None,
    **sides: Any,
) -> Any:
    """``checkpoint`` is a file, or a folder that `gesso train hyperprior` wrote."""
    name = PREFIX + "hyperprior"
    _check_metric(metric, ("mse",), name)
    _check_level(quality, range(1, 1 + int(HYPERPRIOR.qualities[1])))
    _check_keywords(sides, name)
    from compressai_gesso.networks import load_hyperprior, new_hyperprior, widths_of

    folder = WEIGHTS / f"hyperprior-{quality}"
    weights = None if checkpoint is None else Path(checkpoint).name
    if checkpoint is not None and Path(checkpoint).is_dir():
        base = load_hyperprior(ModelCard.read(checkpoint))
    elif checkpoint is not None:
        base, _ = read_network(Path(checkpoint), "hyperprior")
    elif pretrained:
        base, weights = load_hyperprior(ModelCard.read(folder)), f"gesso's {folder.name}"
    else:
        base = new_hyperprior(*widths_of(folder))
    genuine = pretrained and checkpoint is None
    keywords = {"quality": quality, "genuine": genuine, "weights": weights, **ambient(), **sides}
    return class_of("hyperprior").of(base.requires_grad_(True).train(), **keywords)


def _network(
    architecture: str,
    quality: int = 0,
    metric: str = "mse",
    pretrained: bool = False,
    progress: bool = True,
    *,
    checkpoint: str | Path | None = None,
    download: bool = False,
    **keywords: Any,
) -> Any:
    """A network of CompressAI's between gesso.

    Args:
        architecture: its name in CompressAI.
        quality, metric, pretrained, progress: as of the zoo. Pretrained weights are looked for
            as :func:`compressai_gesso.checkpoints.find_checkpoint` says; where there are none,
            :func:`compressai_gesso.substitutes.substitute` may have others, and warns.
        checkpoint: a file with weights, in place of the pretrained ones.
        download: let CompressAI fetch the pretrained weights.
        keywords: of :class:`compressai_gesso.Sandwich`; all others are the base model's.
    """
    _check_metric(metric, METRICS, PREFIX + architecture)
    variable = architecture.endswith(VARIABLE)
    if not variable:
        best = int(_qualities(NETWORKS[architecture])[1])
        _check_level(quality, range(1, best + 1))
    sides = {k: keywords.pop(k) for k in (*KEYWORDS, "target") if k in keywords}
    # A network of variable rate has its quality from how it is called.
    level = None if variable else quality
    kind, told = class_of(architecture), dict[str, Any]()
    if checkpoint is not None or pretrained:
        _check_keywords(keywords, f"{PREFIX}{architecture} with weights")
    if checkpoint is not None:
        base, _ = read_network(Path(checkpoint), architecture)
        told["weights"] = Path(checkpoint).name
    elif pretrained and not download:
        known = SAME.get(architecture, architecture)
        base, told = _stock(known, quality, metric, known == NETWORKS[architecture])
    elif architecture in library("zoo").image_models:
        function = library("zoo").image_models[architecture]
        base = function(quality, metric, pretrained, progress, **keywords)
        if pretrained:
            told["weights"] = f"CompressAI's {architecture}-{metric}-{quality}"
    elif pretrained:
        raise ModelError(
            f"CompressAI has no pretrained weights of {architecture!r}; pass checkpoint="
        )
    else:
        base = library("registry").MODELS[architecture](**keywords)
    return kind.of(base, **{"quality": level, **told, **ambient(), **sides})


def _stock(
    architecture: str, quality: int, metric: str, own_scale: bool
) -> tuple[Any, dict[str, Any]]:
    """(the network with CompressAI's weights or their substitute, what to tell a sandwich)."""
    try:
        path = find_checkpoint(architecture, quality, metric=metric)
    except ModelError as missing:
        return substitute(architecture, quality, metric, missing)
    base, _ = read_network(path, architecture)
    return base, {"genuine": metric == "mse" and own_scale, "weights": path.name}


def _qualities(codec: str) -> tuple[float, float]:
    """(worst, best) of a registered codec."""
    gesso_hooks.load()
    return get_codec(codec).qualities


def _check_level(quality: object, levels: range) -> None:
    if isinstance(quality, bool) or not isinstance(quality, int) or quality not in levels:
        raise InputError(
            f"quality must be a whole number from {levels[0]} to {levels[-1]}, got {quality!r}"
        )


def _check_metric(metric: str, metrics: tuple[str, ...], name: str) -> None:
    if metric not in metrics:
        raise InputError(f"{name} has the metric {' or '.join(metrics)}, got {metric!r}")


def _check_keywords(sides: dict[str, Any], name: str, known: tuple[str, ...] = KEYWORDS) -> None:
    if odd := set(sides) - set(known):
        raise InputError(f"{name} takes no {', '.join(sorted(odd))}; there are {', '.join(known)}")
