"""The ffmpeg that runs, and what it can do; each binary is asked once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from gesso.programs import ProgramError, ffmpeg, run

__all__ = ["binary", "filter_kinds", "pass_through"]

# Divisible by every usual frame rate and sampling rate: for binaries that cannot be told to
# keep the time base of the filters.
FLICKS = "1/705600000"


def binary() -> str:
    """The user's ffmpeg, else imageio-ffmpeg's; InputError where there is neither."""
    return ffmpeg()


@cache
def pass_through(path: str) -> tuple[str, tuple[str, ...]]:
    """How frames keep their timestamps: a filter to put last, and options of the output."""
    modern = ("-fps_mode", "passthrough", "-enc_time_base", "filter")
    trial = ["-f", "lavfi", "-i", "color=s=16x16:d=0.04", *modern, "-f", "null", "-"]
    try:
        run([path, "-v", "quiet", "-nostdin", *trial], limit=60)
    except ProgramError:
        return f"settb={FLICKS}", ("-vsync", "passthrough", "-enc_time_base", FLICKS)
    return "", modern


@cache
def _pads(path: str) -> dict[str, tuple[str, str]]:
    """The pads of every filter, as ffmpeg lists them: ``("VV", "V")``."""
    text = run([path, "-hide_banner", "-filters"]).decode("utf-8", "replace")
    return {
        found[1]: (found[2], found[3])
        for line in text.splitlines()
        if (found := re.match(r"\s\S+\s+(\S+)\s+([AVN|]+)->([AVN|]+)", line))
    }


def filter_kinds(path: str) -> tuple[Callable[[str], str], Callable[[str], bool]]:
    """Of a filter's name: the kind of its outputs (``A`` audio, ``V`` video); is it a source?"""

    def kind(name: str) -> str:
        inputs, outputs = _pads(path).get(name, ("V", "V"))
        return (inputs if outputs[0] == "N" else outputs)[0]

    return kind, lambda name: _pads(path).get(name, ("V", "V"))[0] == "|"
