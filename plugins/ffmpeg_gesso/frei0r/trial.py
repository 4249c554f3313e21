"""One small picture through an ffmpeg and the plug-in, before anything is promised."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ffmpeg_gesso.frei0r.building import MEND, NAME, environment
from ffmpeg_gesso.frei0r.serving import CHANNELS, Server
from ffmpeg_gesso.wishes import wish_of
from gesso.errors import InputError

__all__ = ["STEP", "try_out"]

# Older ffmpegs leave room at the end of rows, of which frei0r knows nothing; none where the
# width is a multiple of this.
STEP = 16
WIDTH, HEIGHT = 34, 6
LIMIT = 60.0


def try_out(binary: str, folder: Path) -> int:
    """Let an ffmpeg load the plug-in, which one that is linked statically may not survive.

    Args:
        binary: ffmpeg.
        folder: private; the plug-in is in it.

    Returns:
        What widths must be a multiple of: 1, or STEP where rows would come askew.

    Raises:
        InputError: it cannot.
    """
    picture = bytes(number * 7 % 251 for number in range(WIDTH * HEIGHT * CHANNELS))
    raw = ["-f", "rawvideo", "-pix_fmt", "rgba"]
    command = [binary, "-v", "error", *raw, "-s", f"{WIDTH}x{HEIGHT}", "-i", "pipe:0"]
    command += ["-vf", f"frei0r=filter_name={NAME}:filter_params=0", *raw, "pipe:1"]
    place = folder / "trial"
    server = Server(place, [wish_of("identity")], lambda error: None)
    server.start()
    try:
        done = subprocess.run(
            command,
            env=environment(folder, place),
            input=picture,
            capture_output=True,
            timeout=LIMIT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{binary} cannot be run: {error}") from error
    finally:
        server.stop()
        server.join(LIMIT)
    if done.returncode or len(done.stdout) != len(picture):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        why = said[0] if said else f"it ended with {done.returncode}"
        raise InputError(f"{binary} cannot load frei0r plug-ins ({why}); {MEND}")
    return 1 if done.stdout == picture else STEP
