"""A learned codec with gesso on either side; the codec and its bitstream stay as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from compressai_gesso.codecs import ZOO_LAMBDAS, nearest_level
from compressai_gesso.container import GRID
from compressai_gesso.neuralcompression import Translated, is_foreign
from compressai_gesso.sides import Sides, checked
from gesso.cards import get_model
from gesso.errors import InputError
from gesso.noise import quality_of_rate
from gesso.target import Target

__all__ = ["Sandwich", "base_state"]

OWN = "_quality"  # a state dict that has it is a sandwich's
BASE, PREPROCESSOR = "base.", "preprocessor."


class SizedTuple(tuple[int, ...]):
    """A base model's ``shape``, and the picture's own size, which padding hides."""

    picture: tuple[int, int]


class SizedDict(dict[str, Any]):
    """The same for models whose shape is a dictionary, such as ELIC."""

    picture: tuple[int, int]


class Sandwich(Sides):
    """``base`` between gesso's preprocessor and enhancer, with CompressAI's own interface.

    The strings are exactly the base model's for the picture that it is given: the prepared
    one, its last row and column repeated up to multiples of 64. Any picture size will do.
    In training mode nothing is enhanced, so that gradients reach all there is before it.

    Args:
        base: a network of CompressAI's interface: ``forward``, ``compress``, ``decompress``,
            ``update``, or of NeuralCompression's, as MS-ILLM has it. It is not copied.
        target: what its pictures are coded with, for gesso's models. None is told by the
            ``quality``, and where that is not known by how many bits a picture has taken.
        quality: on the scale of CompressAI's zoo, 1 to 8.
        codec: name of the registered codec that ``quality`` belongs to.
        genuine: whether the weights are those of that codec, through which sampler ``dps``
            then holds to the file; otherwise it is the SDE alone.
        weights: what they are called, for reports; None where nobody knows.
        sides: see :class:`compressai_gesso.sides.Sides`.

    Raises:
        InputError: no such codec or quality, or an option out of its range.
    """

    base: Any  # of a class that CompressAI gives no types

    def __init__(
        self,
        base: nn.Module,
        *,
        target: Target | None = None,
        quality: int | None = None,
        codec: str = "mbt2018",
        genuine: bool = False,
        weights: str | None = None,
        **sides: Any,
    ) -> None:
        super().__init__(quality=quality, **sides)
        self.base = Translated(base) if is_foreign(base) else base
        self.target = target
        self.codec = codec
        self.genuine = genuine
        self.weights = weights
        _ = self._stated()

    def __getattr__(self, name: str) -> Any:
        """What the base model has besides, such as ``N``, ``g_a`` or ``Gain``."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            base = self.__dict__.get("_modules", {}).get("base")
            if base is None:
                raise
            return getattr(base, name)

    def forward(self, x: Tensor, **arguments: Any) -> dict[str, Any]:
        """``x_hat`` and ``likelihoods`` for pictures (B, 3, H, W) on [0, 1].

        Evaluating, ``x_hat`` is enhanced and has no gradient; training, it is the base's.
        """
        stated = self._stated(arguments)
        padded, (height, width) = self._input(x, stated)
        out: dict[str, Any] = self.base(padded, **arguments)
        x_hat = out["x_hat"][:, :, :height, :width]
        if not self.training and self.enhance_options is not None:
            with torch.no_grad():
                bits = sum(
                    part.float().log2().neg().flatten(1).sum(1)
                    for part in out["likelihoods"].values()
                )
            rates = [float(each) / (height * width) for each in torch.as_tensor(bits)]
            x_hat = self._output(x_hat.detach(), stated, rates)
        return {**out, "x_hat": x_hat}

    def compress(self, x: Tensor, **arguments: Any) -> dict[str, Any]:
        """``strings`` and ``shape``, the base model's own.

        Where a picture had to be padded, ``shape`` also carries its size; one that has lost
        it (as through a file) decodes to the padded picture.
        """
        self._follow(arguments)
        padded, size = self._input(x, self._stated(arguments))
        coded: dict[str, Any] = self.base.compress(padded, **arguments)
        shape = coded["shape"]
        if tuple(padded.shape[2:]) != size:
            shape = SizedDict(shape) if isinstance(shape, Mapping) else SizedTuple(shape)
            shape.picture = size
        return {**coded, "shape": shape}

    def decompress(
        self, strings: Sequence[Sequence[bytes]], shape: Any, **arguments: Any
    ) -> dict[str, Any]:
        """``x_hat`` (B, 3, H, W) on [0, 1], enhanced."""
        self._follow(arguments)
        out: dict[str, Any] = self.base.decompress(strings, shape, **arguments)
        height, width = getattr(shape, "picture", out["x_hat"].shape[2:])
        x_hat = out["x_hat"][:, :, :height, :width]
        if self.enhance_options is None:
            return {**out, "x_hat": x_hat}
        pictures = range(len(x_hat))
        rates = [8 * sum(len(s[i]) for s in strings) / (height * width) for i in pictures]
        return {**out, "x_hat": self._output(x_hat, self._stated(arguments), rates)}

    def update(self, *arguments: Any, **keywords: Any) -> bool:
        """See CompressAI's ``CompressionModel.update``."""
        return bool(self.base.update(*arguments, **keywords))

    def aux_loss(self) -> Tensor:
        """See CompressAI's ``CompressionModel.aux_loss``."""
        loss: Tensor = self.base.aux_loss()
        return loss

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> Any:  # type: ignore[override]  # as CompressAI's
        """A sandwich's own, or one of the base model alone."""
        parts = _split(state_dict)
        found = self.base.load_state_dict(parts.pop(BASE), strict=strict)
        if parts[PREPROCESSOR]:
            if self.preprocessor is None:
                raise InputError(
                    "this checkpoint holds a preprocessor; build the model with preprocess="
                )
            self.preprocessor.load_state_dict(parts[PREPROCESSOR], strict=strict)
        if OWN in state_dict:
            self._quality.copy_(state_dict[OWN])
        # Whose weights these are, nobody knows.
        self.genuine, self.weights = False, None
        return found

    def constrained(self) -> bool:
        """See :class:`Sides`."""
        return self.genuine

    def _input(self, x: Tensor, stated: Target | None) -> tuple[Tensor, tuple[int, int]]:
        """(prepared and padded pictures, their size before)."""

        def target() -> Target:
            if stated is None:
                raise InputError(
                    "nothing says what is being coded with; pass quality= or target= to "
                    "preprocess for this model"
                )
            return stated

        prepared = self.prepared(checked(x), target)
        height, width = prepared.shape[2:]
        below, right = -height % GRID, -width % GRID
        if below or right:
            prepared = nn.functional.pad(prepared, (0, right, 0, below), mode="replicate")
        return prepared, (height, width)

    def _output(self, x_hat: Tensor, stated: Target | None, rates: Sequence[float]) -> Tensor:
        targets = [stated or _target_of_rate(rate) for rate in rates]
        return self.finished(x_hat.clamp(0, 1), targets)

    def _stated(self, arguments: Mapping[str, Any] | None = None) -> Target | None:
        """What is known of the coding before it is done."""
        if self.target is not None:
            return self.target
        scale = (arguments or {}).get("inputscale", 0)
        if float(scale) > 0:
            return Target(self.codec, _level(float(scale)))
        if "s" in (arguments or {}) or (hasattr(self.base, "Gain") and self.quality is None):
            return Target(self.codec, 1 + int((arguments or {}).get("s", 1)))
        return None if self.quality is None else Target(self.codec, self.quality)

    def _follow(self, arguments: Mapping[str, Any]) -> None:
        """Give a network of variable rate the tables of the rate that is asked for.

        CompressAI's own evaluation does so for networks that it knows by name.
        """
        scale = arguments.get("inputscale", 0)
        if float(scale) > 0 and getattr(self.base, "vr_entbttlnck", False):
            step = torch.as_tensor(scale, dtype=torch.float32, device=self.device)
            if self.__dict__.get("_scale") != float(step):
                self.base.update(force=True, scale=step)
                self._scale = float(step)


def _split(state: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The parts of a state dict, each under its own names."""
    if OWN not in state:
        return {BASE: dict(state), PREPROCESSOR: {}}
    return {
        prefix: {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        for prefix in (BASE, PREPROCESSOR)
    }


def base_state(state: Mapping[str, Any]) -> tuple[dict[str, Any], int | None]:
    """(the base model's part, the quality if it is stated) of a state dict.

    Raises:
        InputError: it holds a preprocessor, which nothing here says how to build.
    """
    parts = _split(state)
    if parts[PREPROCESSOR]:
        raise InputError(
            "this checkpoint holds a preprocessor too; build the model with preprocess= and "
            "call its load_state_dict"
        )
    stated = int(state[OWN]) if OWN in state else -1
    return parts[BASE], None if stated < 0 else stated


def _level(scale: float) -> int:
    """The zoo's quality that a network of variable rate has at 1 / ``scale`` as its step."""
    return nearest_level(ZOO_LAMBDAS[-1] * scale**2)


def _target_of_rate(bits_per_pixel: float) -> Target:
    """Of our hyperprior at the quality of about as many bits: what learned codecs are like."""
    table = get_model(None, "prior").settings["noise"]
    return Target("hyperprior", quality_of_rate(table, "hyperprior", bits_per_pixel))
