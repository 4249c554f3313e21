"""The `gesso` command: its own sub-commands, and those that plug-ins add."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

import gesso_hooks
from gesso import __version__
from gesso_cli import (
    at_size,
    bd,
    bench,
    calibrate,
    compare,
    decode,
    demo,
    encode,
    enhance,
    evaluate,
    inventory,
    models,
    noise,
    peers,
    shrink,
    surrogates,
    table,
    train,
    traverse,
)
from gesso_cli.console import say, say_warnings
from gesso_cli.failures import guarded

__all__ = ["build", "main"]


class Guarded(TyperGroup):
    """A group whose errors are one line and whose exit codes are gesso's."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """As click's; in standalone mode it exits with :func:`guarded`'s code."""
        run = super().main
        if not kwargs.pop("standalone_mode", True):
            return run(*args, **{**kwargs, "standalone_mode": False})
        sys.exit(guarded(lambda: run(*args, **{**kwargs, "standalone_mode": False})))


def build() -> typer.Typer:
    """The whole command, plug-ins' sub-commands included."""
    app = typer.Typer(
        name="gesso",
        cls=Guarded,
        help="Prime a picture before a codec and finish it after; the file stays ordinary.",
        epilog="Errors are one line; GESSO_DEBUG=1 shows the whole traceback.",
        context_settings={"help_option_names": ["-h", "--help"]},
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
    )
    app.callback()(_root)
    for module in (
        encode,
        decode,
        enhance,
        models,
        shrink,
        train,
        calibrate,
        noise,
        evaluate,
        compare,
        bd,
        peers,
        table,
        at_size,
        traverse,
        surrogates,
        inventory,
        demo,
        bench,
    ):
        module.add(app)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gesso_hooks.load()
        gesso_hooks.add_commands(app)
    for warning in caught:
        say(f"warning: {warning.message}")
    return app


def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(f"gesso {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit(2)


def main() -> NoReturn:
    """The console script."""
    # So that a killed run removes its temporary files, too.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    # A fork has none of those. Python's handler waits for the interpreter, which may be about to
    # wait for a lock: a pool that ends its idle processes would then wait for them for ever.
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    say_warnings()
    sys.exit(guarded(lambda: build()(standalone_mode=False)))
