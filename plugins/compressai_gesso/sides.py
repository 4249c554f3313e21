"""What a model of CompressAI's kind has in common when gesso stands on either side of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

import gesso_hooks
from compressai_gesso.asking import as_enhance, as_preprocess
from gesso.enhancer import sampler_for
from gesso.errors import InputError, ModelError
from gesso.frame import Frame
from gesso.options import PreprocessOptions
from gesso.runtime import Runtime
from gesso.target import Target

__all__ = ["Sides", "checked"]

UNKNOWN = -1


class Sides(nn.Module):
    """A module that prepares pictures before coding and enhances them after, through the hooks.

    Args:
        preprocess: False, True, a preprocessor's name, a :class:`gesso.PreprocessOptions`, or a
            torch module from (B, 3, H, W) on [0, 1] to the same, which is trained along.
        enhance: True, False, a preset's name or a :class:`gesso.EnhanceOptions`.
        preset, tradeoff, seed: of ``enhance``, where they are given.
        runtime: how gesso's own models run; None is on the device of this module.

    Raises:
        InputError: an option out of its range.
    """

    preprocessor: nn.Module | None
    _quality: Tensor

    def __init__(
        self,
        *,
        preprocess: object = False,
        enhance: object = True,
        preset: str | None = None,
        tradeoff: float | None = None,
        seed: int | None = None,
        runtime: Runtime | None = None,
        quality: int | None = None,
    ) -> None:
        super().__init__()
        gesso_hooks.load()
        wish = as_preprocess(preprocess)
        self.preprocessor = wish if isinstance(wish, nn.Module) else None
        self.preprocess_options = wish if isinstance(wish, PreprocessOptions) else None
        self.enhance_options = as_enhance(enhance, preset, tradeoff, seed)
        self.runtime = runtime
        # In the checkpoint, as what comes out depends on it; a whole number survives half().
        self.register_buffer("_quality", torch.tensor(UNKNOWN if quality is None else quality))

    @property
    def quality(self) -> int | None:
        """As the model was built with; None where nothing states it."""
        found = int(self._quality)
        return None if found == UNKNOWN else found

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.parameters()).device

    def prepared(self, x: Tensor, target: Callable[[], Target]) -> Tensor:
        """Pictures (B, 3, H, W) as they are to be encoded, in the dtype that they came in."""
        if self.preprocessor is not None:
            found: Tensor = self.preprocessor(x)
            if found.shape != x.shape:
                raise ModelError(
                    f"the preprocessor turned {tuple(x.shape)} into {tuple(found.shape)}; "
                    "it must keep the shape"
                )
            return found.clamp(0, 1)
        options = self.preprocess_options
        if options is None:
            return x
        aim = target()
        return self._each(
            x,
            lambda frame, _: gesso_hooks.before_encode(frame, aim, options, self._runtime()),
        )

    def finished(self, x: Tensor, targets: Sequence[Target | None]) -> Tensor:
        """Decoded pictures (B, 3, H, W) on [0, 1] or of 8 bits as they are to be shown."""
        options = self.enhance_options
        if options is None:
            return x
        wish = options
        if not self.constrained() and sampler_for(options) == "dps":
            wish = replace(options, sampler="sde")
        return self._each(
            x,
            lambda frame, i: gesso_hooks.after_decode(frame, targets[i], wish, self._runtime()),
        )

    def constrained(self) -> bool:
        """Whether sampler ``dps`` can hold to the file through the target's own codec."""
        return True

    def _runtime(self) -> Runtime:
        return self.runtime or Runtime(str(self.device))

    @staticmethod
    @torch.no_grad()
    def _each(x: Tensor, step: Callable[[Frame, int], Frame]) -> Tensor:
        """One picture at a time, so that none depends on its neighbours in the batch."""
        made = []
        for index in range(len(x)):
            # Where hosts' pictures are, whatever computes.
            found: Any = step(Frame.of(x[index : index + 1].detach().cpu()), index).restore()
            if found.shape != x[:1].shape or found.dtype != x.dtype:
                raise ModelError(
                    f"a plug-in turned pixels of {tuple(x[:1].shape)}, {x.dtype} into "
                    f"{tuple(found.shape)}, {found.dtype}; update or uninstall it"
                )
            made.append(found)
        return torch.cat(made).to(x.device)


def checked(x: Tensor) -> Tensor:
    """``x``; raises InputError for what is no batch of RGB pictures."""
    if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != 3 or x.numel() == 0:
        shape = tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__
        raise InputError(f"pictures must be a tensor (B, 3, H, W) of RGB on [0, 1], got {shape}")
    if not x.is_floating_point():
        raise InputError(f"pictures must be floating point on [0, 1], got {x.dtype}; divide by 255")
    return x
