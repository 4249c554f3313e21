"""The one-step preprocessor: a generator from the source to the picture that is to be coded.

"Generative Preprocessing for Image Compression with Pre-trained Diffusion Models": a diffusion
model distilled into one image-to-image evaluation, of which the attention modules alone are then
tuned through a differentiable codec. What ships is therefore the attention modules; everything
else is the consistency model's, bit for bit.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gesso.cards import ModelCard, get_model
from gesso.codec import differentiable_codecs, get_codec
from gesso.denoiser import EDMDenoiser
from gesso.errors import ModelError
from gesso.estimator import labels_of, nominal_error
from gesso.evaluation.matching import quality_levels
from gesso.frame import Frame
from gesso.options import PreprocessOptions
from gesso.runtime import Runtime
from gesso.space import PIXELS, Space, fitted
from gesso.target import Target
from gesso.tiling import Box, run_tiled
from gesso.trial import through

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gesso.unet import WindowUNet

__all__ = [
    "QPS",
    "Generator",
    "OneStep",
    "Preprocessor",
    "base_of",
    "is_tuned",
    "knows",
    "load_generator",
    "load_preprocessor",
    "read_network",
    "save_attention",
    "write_tuned",
]

# The rate indices of everyday stills, about JPEG's qualities 90 to 7.
QPS = (22.0, 47.0)

# The noise level that the network is told, as a share of the error that the codec will make:
# on a clean picture the consistency model then begins within 40 dB of it.
SHARE = 0.5
# Codecs whose bits are spent as another's: these were never a class of their own.
LIKE = {"heic": "hevc", "vvc": "hevc", "avif": "hevc", "webp": "hevc"}


def knows(card: ModelCard, codec: str) -> bool:
    """Whether a preprocessor was tuned for a codec, or for one like it, or says nothing of it."""
    codecs = card.settings.get("codecs")
    return codecs is None or codec in codecs or LIKE.get(codec) in codecs


def is_tuned(key: str) -> bool:
    """Whether a tensor of a :class:`gesso.unet.WindowUNet` belongs to an attention module."""
    return ".attentions." in key


class OneStep(ABC):
    """G(source, codec, rate index) -> picture to be coded, one evaluation without noise.

    Attributes:
        sees_decode: whether it looks at what the codec makes of the source as it is.

    Args:
        codecs: those it was tuned for, in the order of their classes.
        grid: pixels; sizes and offsets of tiles are multiples of it.
        space: where the evaluation is.
        tile: side in pixels that its network was trained at; None where any will do.
        qps: the (best, worst) rate index that it was tuned for.
    """

    sees_decode = False

    def __init__(
        self,
        codecs: Sequence[str],
        grid: int,
        space: Space = PIXELS,
        tile: int | None = None,
        qps: tuple[float, float] = QPS,
    ) -> None:
        self.labels = labels_of(codecs)
        self.grid, self.space, self.tile, self.qps = grid, space, tile, qps

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the network's weights are."""

    @abstractmethod
    def step(self, x: Tensor, qp: Tensor, label: Tensor) -> Tensor:
        """The one evaluation, (B, C, h, w) of ``space`` to the same."""

    def __call__(
        self, source: Tensor, qp: Tensor, label: Tensor, decoded: Tensor | None = None
    ) -> Tensor:
        """Pictures to be coded.

        Args:
            source: (B, 3, H, W) on [-1, 1]; H, W and offset multiples of ``grid``.
            qp: (B,), rate indices.
            label: (B,) of :meth:`label_of`, long.
            decoded: what the codec makes of ``source``, of its shape, for those that see it.
        """
        with torch.no_grad():
            x = self.space.encode(source)
        return self.space.decode(self.step(x, qp, label))

    def label_of(self, codec: str) -> int:
        """The class of a codec, or of the one most like it; 0 for one unlike any."""
        return self.labels.get(codec, self.labels.get(LIKE.get(codec, ""), 0))

    def nearest(self, target: Target) -> tuple[float, int]:
        """The rate index and class nearest to a target; warns where it was tuned for neither."""
        best, worst = self.qps
        tuned = f"the preprocessor was tuned for {', '.join(self.labels)}"
        # Of the codec alone, so that Python shows it once however many qualities there are.
        if target.codec not in self.labels:
            what = f"{tuned}, not for {target.codec}; what it learned of the nearest is used"
            if target.codec in differentiable_codecs():
                what += ", where effort medium goes through the codec itself"
            warnings.warn(what, stacklevel=2)
        if not best <= target.qp <= worst:
            what = f"{tuned} at rate indices {best:g} to {worst:g}, not at {target.qp:g}"
            warnings.warn(f"{what}; the nearest is used", stacklevel=2)
        return min(max(target.qp, best), worst), self.label_of(target.codec)


class Generator(OneStep):
    """A :class:`OneStep` on pixels, by a network of our own.

    Args:
        network: with a class per codec and one for any other.
        codecs: see :class:`OneStep`.
        dtype: what the network computes in.
        qps: see :class:`OneStep`.
    """

    def __init__(
        self,
        network: WindowUNet,
        codecs: Sequence[str],
        dtype: torch.dtype = torch.float32,
        qps: tuple[float, float] = QPS,
    ) -> None:
        super().__init__(codecs, network.grid, qps=qps)
        self.sees_decode = bool(network.config["num_hint_channels"])
        self.denoiser = EDMDenoiser(_Conditioned(network), dtype)

    @property
    def device(self) -> torch.device:
        """See :class:`OneStep`."""
        return self.denoiser.device

    def __call__(
        self, source: Tensor, qp: Tensor, label: Tensor, decoded: Tensor | None = None
    ) -> Tensor:
        """See :class:`OneStep`."""
        network = self.denoiser.network
        assert isinstance(network, _Conditioned)
        if decoded is not None:
            error = torch.tensor([nominal_error(float(q)) for q in qp], device=source.device)
            network.hint = ((decoded - source) / error[:, None, None, None]).to(self.denoiser.dtype)
        try:
            return self.step(source, qp, label)
        finally:
            network.hint = None

    def step(self, x: Tensor, qp: Tensor, label: Tensor) -> Tensor:
        """See :class:`OneStep`."""
        level = torch.tensor([SHARE * nominal_error(float(q)) for q in qp], device=x.device)
        network = self.denoiser.network
        assert isinstance(network, _Conditioned)
        network.label = label
        return self.denoiser(x, level)


class _Conditioned(nn.Module):
    """A network whose every input has the class and the hint that were set last."""

    def __init__(self, network: WindowUNet) -> None:
        super().__init__()
        self.inner = network
        self.grid, self.sigma_data = network.grid, network.sigma_data
        self.label: Tensor | None = None
        self.hint: Tensor | None = None

    def forward(self, sample: Tensor, noise_level: Tensor) -> Any:
        return self.inner(sample, noise_level, self.label, self.hint)


class Preprocessor:
    """What ``gesso.load(role="preprocessor")`` gives: frames through a :class:`OneStep`."""

    def __init__(self, generator: OneStep) -> None:
        self.generator = generator

    def __call__(
        self, frame: Frame, target: Target, options: PreprocessOptions, runtime: Runtime
    ) -> Frame:
        """Prepare ``frame`` for ``target``; strength and guard are the caller's."""
        generator = self.generator
        rate, label = generator.nearest(target)
        trial = _tried(frame, target, rate) if generator.sees_decode else None

        def process(pixels: Tensor, boxes: list[Box], index: int) -> Tensor:
            source = (pixels * 2 - 1).to(generator.device)
            qp = source.new_full((len(source),), rate)
            labels = torch.full((len(source),), label, device=source.device)
            decoded = None
            if trial is not None:
                one = slice(index, index + 1)
                windows = [trial.window(b.top, b.left, b.height, b.width, one) for b in boxes]
                decoded = (torch.cat(windows) * 2 - 1).to(generator.device)
            return (generator(source, qp, labels, decoded).clamp(-1, 1) + 1) / 2

        runtime = fitted(runtime, generator, generator.grid)
        with torch.inference_mode():
            return run_tiled(frame, process, generator.grid, runtime)


def _tried(frame: Frame, target: Target, rate: float) -> Frame:
    """What the target's codec makes of a frame as it is, at the quality nearest to a rate index."""
    codec, quality = get_codec(target.codec), target.quality
    if rate != target.qp:
        quality = min(quality_levels(codec), key=lambda level: abs(codec.qp(level) - rate))
    pictures = torch.split(frame.rgb, 1)
    return frame.with_rgb(torch.cat([through(codec, p, quality)[1] for p in pictures]))


def load_preprocessor(card: ModelCard, runtime: Runtime) -> Preprocessor:
    """The factory of our own preprocessors."""
    return Preprocessor(load_generator(card, runtime))


def load_generator(card: ModelCard, runtime: Runtime) -> Generator:
    """A verified generator: its attention modules, in the network of the model it names.

    Raises:
        ModelError: the weights, or those of the base, are not what the card says.
    """
    network = read_network(card)
    nn.Module.to(network, runtime.device, runtime.dtype)
    nn.Module.to(network, memory_format=torch.channels_last)
    runtime.prepare(network.eval().requires_grad_(False))
    qps = tuple(card.settings.get("qps", QPS))
    return Generator(network, card.settings["codecs"], runtime.dtype, qps)


def base_of(card: ModelCard) -> ModelCard:
    """The model that a preprocessor was tuned in; raises ModelError for other weights of it."""
    base = get_model(card.settings["base"], "prior")
    if base.sha256 != card.settings["base_sha256"]:
        raise ModelError(
            f"{card.name!r} was tuned on other weights of {base.name!r} than are here; "
            "install the version it came with, or train it anew"
        )
    return base


def read_network(card: ModelCard) -> WindowUNet:
    """The network of a preprocessor's card, in float32 on the CPU."""
    from safetensors import SafetensorError

    from gesso.storage import read_weights
    from gesso.unet import WindowUNet

    base = base_of(card)
    try:
        network: WindowUNet = WindowUNet.from_config(WindowUNet.load_config(str(card.folder)))
        weights = read_weights(base.verify()) | read_weights(card.verify())
        network.load_state_dict(weights)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        raise ModelError(f"weights of {card.name!r} do not fit their config: {error}") from error
    return network


def write_tuned(network: WindowUNet, folder: Path) -> str:
    """Write config and attention modules (fp16) of a network; returns the file's name."""
    tuned = {k: v for k, v in network.state_dict().items() if is_tuned(k)}
    name = save_attention(tuned, folder)
    network.save_config(str(folder))
    return name


def save_attention(tensors: Mapping[str, Tensor], folder: Path) -> str:
    """Write tensors as fp16 into ``folder``; returns the file's name."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    half = {key: value.detach().half().contiguous() for key, value in tensors.items()}
    save_file(half, folder / "attention.safetensors")
    return "attention.safetensors"
