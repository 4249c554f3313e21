"""The core's own models and operations, registered as any third party's are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gesso.cards import ModelCard, embedded
from gesso_hooks.specs import hookimpl

if TYPE_CHECKING:
    from gesso.codec import Codec
    from gesso.evaluation.pipeline import Peer
    from gesso.frame import Frame
    from gesso.options import EnhanceOptions, PreprocessOptions
    from gesso.runtime import Runtime
    from gesso.target import Target

__all__ = [
    "gesso_after_decode",
    "gesso_before_encode",
    "gesso_codecs",
    "gesso_models",
    "gesso_peers",
]


@hookimpl
def gesso_models() -> list[ModelCard]:
    """The cards that ship inside the wheel."""
    return list(embedded())


@hookimpl
def gesso_codecs() -> list[Codec]:
    """The latent codec."""
    from gesso.latent.codec import LATENT

    return [LATENT]


@hookimpl
def gesso_peers() -> list[Peer]:
    """Trivial filters, decoders, networks and encoders of others."""
    from gesso.evaluation.peers import PEERS

    return list(PEERS)


# trylast: whatever another plug-in answers wins.
@hookimpl(trylast=True)
def gesso_before_encode(
    frame: Frame, target: Target, options: PreprocessOptions, runtime: Runtime | None
) -> Frame:
    """The frame as the preprocessor that ``options`` names makes it."""
    from gesso.preprocessor import preprocess_frame

    return preprocess_frame(frame, target, options, runtime)


@hookimpl(trylast=True)
def gesso_after_decode(
    frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Runtime | None
) -> Frame:
    """The frame as the prior that ``options`` names enhances it."""
    from gesso.enhancer import enhance_frame

    return enhance_frame(frame, target, options, runtime)
