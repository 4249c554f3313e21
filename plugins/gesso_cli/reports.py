"""Where the report of a measuring command goes, and how it is taken up again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gesso.errors import InputError
from gesso_cli.console import answer_json, say

if TYPE_CHECKING:
    from gesso.evaluation.report import Report

__all__ = [
    "CsvFile",
    "HtmlFile",
    "JsonFile",
    "Resume",
    "check_free",
    "deliver",
    "growing",
    "resumable",
]

JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write the report there; - prints it on stdout.")
]
CsvFile = Annotated[
    Path | None, typer.Option("--csv", help="Write a row per picture and quality there.")
]
HtmlFile = Annotated[
    Path | None, typer.Option("--html", help="Write a page there: slider, curves and tables.")
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the report that --json names: only what it has not yet is measured.",
    ),
]


def check_free(path: Path | None, overwrite: bool) -> None:
    """Raise InputError for a file that exists, unless it may be replaced."""
    if path is not None and path.exists() and not overwrite:
        raise InputError(f"{path} exists; pass --overwrite to replace it")


def growing(json: Path | None, resume: bool, overwrite: bool) -> Path | None:
    """The report that grows picture by picture; None where it is written at the end.

    A fresh file grows; one to be replaced stays until the end.

    Raises:
        InputError: a file that exists and is neither to be resumed nor to be replaced.
    """
    file = None if json is not None and str(json) == "-" else json
    if resume and file is None:
        raise InputError("--resume needs the report to go on with; name it with --json")
    if file is not None and file.exists() and not (resume or overwrite):
        raise InputError(f"{file} exists; pass --resume to go on with it, or --overwrite")
    return file if resume or not (file and file.exists()) else None


@contextmanager
def resumable(report: Path | None) -> Iterator[None]:
    """Say how to go on when the user stops what is measured here."""
    try:
        yield
    except KeyboardInterrupt:
        if report is not None and report.exists():
            say(f"{report} holds what was measured; --resume goes on with it")
        raise


def deliver(report: Report, json: Path | None, csv: Path | None) -> None:
    """Write what was asked for, name the pictures left out, and fail where there are some."""
    if json is not None and str(json) == "-":
        answer_json(report.to_json())
    elif json is not None:
        report.save(json)
    if csv is not None:
        report.save_csv(csv)
    for picture, reason in report.unreadable.items():
        say(f"{picture}: {reason}; it is left out")
    for file in (json, csv):
        if file is not None and str(file) != "-":
            say(f"written: {file}")
    if report.unreadable:
        raise typer.Exit(1)
