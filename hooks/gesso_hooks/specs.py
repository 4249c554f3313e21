"""The hooks: what a plug-in may implement. hooks/README.md shows one of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pluggy import HookimplMarker, HookspecMarker

if TYPE_CHECKING:
    import typer

    from gesso.cards import ModelCard
    from gesso.codec import Codec
    from gesso.evaluation.pipeline import Peer
    from gesso.frame import Frame
    from gesso.options import EnhanceOptions, PreprocessOptions
    from gesso.runtime import Runtime
    from gesso.target import Target
    from gesso_hooks.host import Host

__all__ = ["hookimpl", "hookspec"]

hookspec = HookspecMarker("gesso")
hookimpl = HookimplMarker("gesso")


@hookspec
def gesso_models() -> list[ModelCard]:
    """Model cards to add to ``gesso models``; a card's factory runs on first use."""


@hookspec
def gesso_codecs() -> list[Codec]:
    """Codecs to evaluate with and to name as a target; they import their library on first use."""


@hookspec
def gesso_peers() -> list[Peer]:
    """What a user might pick instead of gesso, to be measured beside it by ``gesso peers``."""


@hookspec(firstresult=True)
def gesso_before_encode(
    frame: Frame, target: Target, options: PreprocessOptions, runtime: Runtime | None
) -> Frame | None:
    """The frame to encode for ``target``, or None to leave it to the next plug-in."""


@hookspec(firstresult=True)
def gesso_after_decode(
    frame: Frame, target: Target | None, options: EnhanceOptions, runtime: Runtime | None
) -> Frame | None:
    """The frame to show for one decoded from ``target``, or None to leave it to the next."""


@hookspec
def gesso_hosts() -> list[Host]:
    """Adapters of host libraries, each with its register and unregister."""


@hookspec
def gesso_commands(app: typer.Typer) -> None:
    """Add sub-commands to the ``gesso`` command."""
