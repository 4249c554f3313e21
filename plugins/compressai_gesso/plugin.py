"""What the CompressAI plug-in answers to gesso's hooks; imports CompressAI on first use only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from compressai_gesso.codecs import HYPERPRIOR, ZOO, shipped_cards
from compressai_gesso.registration import register, unregister
from gesso.cards import ModelCard
from gesso.codec import Codec
from gesso_hooks import Host, hookimpl

if TYPE_CHECKING:
    import typer

__all__ = ["gesso_codecs", "gesso_commands", "gesso_hosts", "gesso_models"]


@hookimpl
def gesso_codecs() -> list[Codec]:
    """The hyperprior that ships, and the architectures of CompressAI's zoo."""
    return [HYPERPRIOR, *ZOO]


@hookimpl
def gesso_models() -> list[ModelCard]:
    """The hyperprior's four qualities."""
    return shipped_cards()


@hookimpl
def gesso_hosts() -> list[Host]:
    """CompressAI's zoo."""
    return [Host("compressai", register, unregister, needs="compressai", extra="compressai")]


@hookimpl
def gesso_commands(app: typer.Typer) -> None:
    """``gesso train hyperprior`` and ``gesso compressai``."""
    from compressai_gesso import command, programs

    command.add(app)
    programs.add(app)
