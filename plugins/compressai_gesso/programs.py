"""`gesso compressai eval_model` and `bench`: CompressAI's own programs, with our entries known."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Annotated, Any
from urllib.error import URLError

import typer

from compressai_gesso.asking import using
from compressai_gesso.console import say
from compressai_gesso.library import library
from compressai_gesso.registration import register
from gesso.errors import InputError
from gesso.options import EnhanceOptions, PreprocessOptions

__all__ = ["add"]

PREFIX = "gesso-"
# Everything is CompressAI's to read, -h included.
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def add(app: typer.Typer) -> None:
    """Add the group ``compressai`` to ``app``."""
    group = typer.Typer(help="CompressAI's own programs, with the models gesso-... known to them.")
    group.callback()(_sides)
    for name, call in (("eval_model", _eval_model), ("bench", _bench)):
        group.command(name, context_settings=PASSED_ON, add_help_option=False)(call)
    app.add_typer(group, name="compressai")


def _sides(
    context: typer.Context,
    enhance: Annotated[
        bool, typer.Option(help="Enhance what is decoded, in the models gesso-...")
    ] = True,
    preset: Annotated[str | None, typer.Option(help="fast, medium or slow.")] = None,
    tradeoff: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="0 is the plain decode.")
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the noise.")] = None,
    effort: Annotated[
        str | None, typer.Option(help="Preprocess, too: fast, medium or max.")
    ] = None,
) -> None:
    given = {"preset": preset, "tradeoff": tradeoff, "seed": seed}
    asked: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    # Here, so that a mistake is said before CompressAI is loaded.
    EnhanceOptions(**asked)
    asked["enhance"] = enhance
    if effort is not None:
        asked["preprocess"] = PreprocessOptions(effort=effort)  # type: ignore[arg-type]  # checked there
    context.with_resource(using(**asked))


def _eval_model(context: typer.Context) -> None:
    """Evaluate models: bpp, PSNR, MS-SSIM and seconds; pretrained DIR -a gesso-jpeg -q 1,4.

    For the models gesso-... pictures are not padded first, as they see to that themselves, and
    the document's description says which weights they have.
    """
    register()
    program = library("utils.eval_model.__main__")
    with _named("eval_model"):
        asked = program.setup_args().parse_args(context.args)
        architecture = str(getattr(asked, "architecture", ""))
        with _unpadded(program, architecture), _described(program):
            program.main(context.args)


def _bench(context: typer.Context) -> None:
    """Measure codecs; gesso-jpeg DIR -q 20,50, on the codec's own scale of quality."""
    program = library("utils.bench.__main__")
    from compressai_gesso.benchmark import CODECS

    listed = program.codecs
    program.codecs = [*listed, *CODECS]
    try:
        with _named("bench"):
            program.main(context.args)
    finally:
        program.codecs = listed


@contextmanager
def _named(program: str) -> Iterator[None]:
    """What argparse calls the program in its messages."""
    before = sys.argv
    sys.argv = [f"gesso compressai {program}", *before[1:]]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _unpadded(program: Any, architecture: str) -> Iterator[None]:
    """Padding would be paid for in bits; our models take any size."""
    pad: Callable[..., Any] = program.compute_padding
    if architecture.startswith(PREFIX):
        program.compute_padding = lambda *_, **__: ((0, 0, 0, 0), (0, 0, 0, 0))
    try:
        yield
    finally:
        program.compute_padding = pad


@contextmanager
def _described(program: Any) -> Iterator[None]:
    """Says what loading warns of, once, and in the documents which weights were loaded."""
    load: Callable[..., Any] = program.load_pretrained
    said: set[str] = set()
    weights: list[str] = []

    def load_and_note(*arguments: Any) -> Any:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            try:
                model = load(*arguments)
            except URLError as error:
                raise InputError(
                    f"CompressAI cannot fetch the weights of {arguments[0]!r} ({error.reason}); "
                    "get them where there is a network, into torch hub's cache"
                ) from error
        for text in (str(warning.message) for warning in caught):
            if text not in said:
                say(f"warning: {text}")
            said.add(text)
        if found := getattr(model, "weights", None):
            weights.append(found)
        return model

    def dumps(document: dict[str, Any], **keywords: Any) -> str:
        # A document of one picture is written while its model is the last.
        named = weights[-1:] if "source" in document else weights
        if named:
            description = f"{document['description']}, weights: {', '.join(named)}"
            document = {**document, "description": description}
        return json.dumps(document, **keywords)

    program.load_pretrained, program.json = load_and_note, SimpleNamespace(dumps=dumps)
    try:
        yield
    finally:
        program.load_pretrained, program.json = load, json
