"""What gesso does for the files of a codec: the ordinary decode against gesso's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, cast, get_args

from gesso.cards import default_prior, get_model, models
from gesso.codec import Codec
from gesso.errors import InputError
from gesso.evaluation.matching import quality_levels
from gesso.evaluation.measure import DEFAULT_METRICS, measure
from gesso.evaluation.pipeline import Coded, Pipeline, Side
from gesso.frame import Frame
from gesso.jpeg import JpegCoefficients, coefficients_for
from gesso.latent.codec import LatentCodec, latent_prior
from gesso.latent.repair import RepairOptions
from gesso.options import EnhanceOptions, PreprocessOptions
from gesso.runtime import Runtime
from gesso.target import Target

if TYPE_CHECKING:
    from PIL import Image

    from gesso.evaluation.report import Report

__all__ = ["Enhanced", "Preprocessed", "default_qualities", "evaluate", "side_pipelines"]

Options = EnhanceOptions | PreprocessOptions | RepairOptions
# (frame, target, options, runtime) -> frame, as the hooks' chains and the core's own.
Treat = Callable[[Frame, Target, Any, Runtime | None], Frame]
# Rate indices where codecs are compared, about 0.15 to 1 bpp of a photograph; and where they
# lie on a scale whose index says nothing of the kind.
LEVELS = (44, 41, 38, 35, 32)
SHARES = (0.10, 0.20, 0.30, 0.45, 0.65)
FEW = 12  # steps of a scale that counts models, of which each is worth measuring


def default_qualities(codec: Codec) -> tuple[float, ...]:
    """Qualities that suit a comparison of codecs, from the worst to the best.

    Those whose rate index is nearest to 44, 41, 38, 35 and 32; a scale of few whole steps,
    as of learned codecs, is taken whole.
    """
    worst, best = codec.qualities
    levels = quality_levels(codec)
    if 2 <= len(levels) - 1 < FEW:
        return tuple(levels)
    nearest = {min(levels, key=lambda q: abs(codec.qp(q) - level)) for level in LEVELS}
    if len(nearest) == len(LEVELS):
        return tuple(sorted(nearest, reverse=best < worst))
    return tuple(levels[round(share * (len(levels) - 1))] for share in SHARES)


@dataclass(frozen=True)
class Enhanced:
    """What comes after a decoder: gesso's enhancement, as :data:`~pipeline.After`."""

    options: EnhanceOptions
    runtime: Runtime
    treat: Treat

    def __call__(
        self, data: bytes, decoded: Image.Image, codec: Codec, quality: float
    ) -> Image.Image:
        target = Target(codec.name, quality)
        if codec.name == "jpeg":
            jpeg = coefficients_for(self.options, lambda: JpegCoefficients.of_file(data))
            target = replace(target, jpeg=jpeg)
        frame = self.treat(Frame.of(decoded), target, self.options, self.runtime)
        return cast("Image.Image", frame.restore())


@dataclass(frozen=True)
class Preprocessed:
    """What comes before an encoder: gesso's preprocessing, as :data:`~pipeline.Before`."""

    options: PreprocessOptions
    runtime: Runtime
    treat: Treat

    def __call__(self, source: Image.Image, codec: Codec, quality: float) -> Image.Image:
        target = Target(codec.name, quality)
        frame = self.treat(Frame.of(source), target, self.options, self.runtime)
        return cast("Image.Image", frame.restore())


@dataclass(frozen=True)
class Repaired:
    """What comes after the latent codec's decoder: the repair of its latents."""

    codec: LatentCodec

    def __call__(
        self, data: bytes, decoded: Image.Image, codec: Codec, quality: float
    ) -> Image.Image:
        return self.codec.decode(data)


def side_pipelines(
    codec: Codec,
    side: Side,
    options: Options | None = None,
    runtime: Runtime | None = None,
    treat: Treat | None = None,
) -> tuple[Pipeline, Pipeline]:
    """The pipelines ``plain`` and ``gesso`` of one side of a codec.

    Args:
        codec: a registered codec, so that its name means something to the model.
        side: ``preprocess`` or ``enhance``; ``latent`` is of a :class:`LatentCodec` alone, whose
            own ``repair`` and ``prior`` count where ``options`` are not given.
        options: of that side; its defaults if not given.
        runtime: where the model runs.
        treat: in place of the core's own operation, such as the hooks' chain.

    Raises:
        InputError: another side, or options of the other one.
    """
    runtime = runtime or Runtime()
    plain = Pipeline("plain", codec)
    if side not in get_args(Side):
        raise InputError(f"no side {side!r} to evaluate; there is {', '.join(get_args(Side))}")
    if side == "enhance":
        options = options or EnhanceOptions()
        if isinstance(options, EnhanceOptions):
            after = Enhanced(options, runtime, treat or _own(side))
            return plain, Pipeline("gesso", codec, after=after)
    elif side == "latent":
        if not isinstance(codec, LatentCodec):
            raise InputError(f"side latent is of the latent codec, not of {codec.name}; name that")
        repair = options or codec.repair or RepairOptions()
        if isinstance(repair, RepairOptions):
            codec = replace(codec, repair=None, runtime=runtime)
            repaired = Repaired(replace(codec, repair=repair))
            return Pipeline("plain", codec), Pipeline("gesso", codec, after=repaired)
    else:
        options = options or PreprocessOptions()
        if isinstance(options, PreprocessOptions):
            before = Preprocessed(options, runtime, treat or _own(side))
            return plain, Pipeline("gesso", codec, before=before)
    raise InputError(f"{type(options).__name__} is not for side {side!r}; pass that side's own")


def evaluate(
    files: Iterable[str | os.PathLike[str]],
    codec: Codec,
    side: Side = "enhance",
    qualities: Iterable[float] | None = None,
    metrics: Iterable[str] = DEFAULT_METRICS,
    options: Options | None = None,
    runtime: Runtime | None = None,
    *,
    treat: Treat | None = None,
    jobs: int = 1,
    prepare: Callable[[], object] | None = None,
    progress: Callable[[int, int], None] | None = None,
    resume: str | os.PathLike[str] | None = None,
    keep: Callable[[str, Coded], None] | None = None,
) -> Report:
    """Measure what gesso does for pictures that go through ``codec``.

    Args:
        files: pictures; those that cannot be used are named in the report, the rest goes on.
        codec: a registered codec; its files are counted whole.
        side: ``preprocess``: the ordinary file against that of the preprocessed picture;
            ``enhance``: the ordinary file, decoded, against its enhancement; ``latent``: the
            latent codec without and with its repair.
        qualities: on the codec's scale; :func:`default_qualities` if not given.
        options: of that side.
        runtime: where models and metrics run.
        treat: in place of the core's own operation, such as the hooks' chain;
            ``options.model``, or else its own name, says in the report what it is.
        metrics, jobs, prepare, progress, resume, keep: see
            :func:`gesso.evaluation.measure.measure`.

    Raises:
        InputError: another side, an unknown metric, a quality out of range, no usable
            picture, or a ``resume`` that cannot be written or was made with other settings.
        ModelError: no such model, or metrics whose weights are not installed.
    """
    plain, gesso = side_pipelines(codec, side, options, runtime, treat)
    chosen = ordered(codec, default_qualities(codec) if qualities is None else qualities)
    return measure(
        files,
        {"plain": (plain, chosen), "gesso": (gesso, chosen)},
        metrics,
        runtime,
        codec=codec.name,
        side=side,
        settings=describe(side, options, treat, codec),
        jobs=jobs,
        prepare=prepare,
        progress=progress,
        resume=resume,
        keep=keep,
    )


def ordered(codec: Codec, qualities: Iterable[float]) -> tuple[float, ...]:
    """Qualities from the worst to the best, each once; InputError for one out of range."""
    worst, best = codec.qualities
    found = sorted({float(q) for q in qualities}, reverse=best < worst)
    if not found:
        raise InputError("no quality asked for; pass at least one")
    return tuple(Target(codec.name, quality).quality for quality in found)


def describe(
    side: Side, options: Options | None, treat: Treat | None = None, codec: Codec | None = None
) -> dict[str, Any]:
    """What two runs must share to be one: the options and the very weights."""
    if side == "latent" or isinstance(options, RepairOptions):
        assert isinstance(codec, LatentCodec)
        return _described(codec, options)
    options = options or (EnhanceOptions() if side == "enhance" else PreprocessOptions())
    if treat is not None:
        name = options.model or getattr(treat, "__name__", "custom")
        return {**asdict(options), "model": name}
    if isinstance(options, PreprocessOptions):
        from gesso.preprocessor import plan

        card, descent = plan(options, codec.name if codec else "")
        found = {**asdict(options), "steps": descent.steps if descent else 0}
        return {**found, "model": card.name, "sha256": card.sha256} if card else found
    default = default_prior(options.sampler, options.posterior_mean)
    prior = get_model(options.model or default, "prior")
    found = {**asdict(options), "model": prior.name, "sha256": prior.sha256}
    if options.posterior_mean and models("estimator"):
        found["estimator_sha256"] = get_model(None, "estimator").sha256
    return found


def _described(codec: LatentCodec, options: Options | None) -> dict[str, Any]:
    card = get_model(codec.model, "autoencoder")
    prior = latent_prior(card, codec.prior)
    found = asdict(options or codec.repair or RepairOptions())
    found |= {"palette": codec.palette, "dither": codec.dither, "model": prior.name}
    return {**found, "sha256": prior.sha256, "autoencoder_sha256": card.sha256}


def _own(side: Side) -> Treat:
    if side == "enhance":
        from gesso.enhancer import enhance_frame

        return enhance_frame
    from gesso.preprocessor import preprocess_frame

    return preprocess_frame
