"""Pictures one by one: what fails is named, and the rest goes on."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gesso.errors import GessoError, InputError
from gesso_cli.console import say
from gesso_cli.failures import describe, show_traceback
from gesso_cli.writing import check_free, format_of

__all__ = ["each", "folder_for", "picture_places"]

Result = dict[str, Any]


def each(
    pairs: Sequence[tuple[Path, Path]],
    work: Callable[[Path, Path], Result],
    overwrite: bool,
    told: Callable[[Result], str] | None,
) -> list[Result]:
    """Turn each file into another, and say how it went.

    Args:
        pairs: where each picture comes from and goes to.
        work: does it for one pair, and returns what is known of it.
        overwrite: whether files that are there may be replaced.
        told: a result in words, ``seconds`` among it; None says nothing of what went well.

    Returns:
        A result per pair; those that failed have the reason under ``error``.
    """
    results: list[Result] = []
    places = [place for _, place in pairs]
    for source, place in pairs:
        result: Result = {"source": str(source)}
        results.append(result)
        try:
            if places.count(place) > 1:
                raise InputError(f"several pictures would become {place}; rename {source}")
            check_free(source, place, overwrite)
            result |= work(source, place)
            if told:
                say(f"{source} -> {place} ({told(result)}, {result['seconds']:.1f} s)")
        except (GessoError, OSError) as error:
            show_traceback()
            reason = describe(error)
            named = str(source) in reason or str(place) in reason
            result["error"] = reason if named else f"{source}: {reason}"
            say(result["error"])
    return results


def folder_for(sources: Sequence[Path], out: str) -> Path | None:
    """The folder that ``out`` names, made where it is not there yet; None where it is a file.

    A new name without a suffix is a folder; one with a suffix is a file.

    Raises:
        InputError: a file is there, and there are several pictures.
    """
    place = Path(out)
    folder = place.is_dir() or out.endswith(("/", os.sep))
    if not folder and len(sources) == 1 and (place.suffix or place.exists()):
        return None
    if place.exists() and not place.is_dir():
        raise InputError(f"{place} is a file; name a folder for {len(sources)} pictures")
    place.mkdir(parents=True, exist_ok=True)
    return place


def picture_places(sources: Sequence[Path], out: str) -> list[Path]:
    """Where decoded pictures go: into one file of a format that ``out`` names, or PNG files.

    Raises:
        InputError: a suffix that is not known; else as :func:`folder_for`.
    """
    place, folder = Path(out), folder_for(sources, out)
    if folder is None:
        kind = format_of(place)
        if kind.best:
            say(f"{place} will be {kind.name} at its best, {kind.best}; only .png is lossless")
        return [place]
    return [folder / f"{source.stem}.png" for source in sources]
