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
def _kinds(path: str) -> dict[str, str]:
    text = run([path, "-hide_banner", "-filters"]).decode("utf-8", "replace")
    return {
        found[1]: found[3] if found[3] != "N" else found[2]
        for line in text.splitlines()
        if (found := re.match(r"\s\S+\s+(\S+)\s+([AVN|]*)->([AVN|])", line))
    }


def filter_kinds(path: str) -> Callable[[str], str]:
    """Of a filter's name, the kind of its outputs: ``A`` audio, ``V`` video, else mixed."""
    return lambda name: _kinds(path).get(name, "V")[:1]
