"""One measurement of `gesso bench`, in a process of its own: ``python -m gesso_cli.memory``."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["measure", "peak"]


def peak() -> int:
    """The most memory this process has held, in bytes."""
    try:
        # Not getrusage: there, a child starts with its parent's peak on Linux.
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import resource

    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def measure(
    side: int, model: str | None, sigma: float, steps: int, device: str, dtype: str, tile: int
) -> dict[str, Any]:
    """Enhance one picture of ``side`` x ``side`` pixels; seconds and bytes.

    The model is loaded, and every kernel has run, before the clock starts.
    """
    import numpy as np

    import gesso_hooks
    from gesso.frame import Frame
    from gesso.options import EnhanceOptions
    from gesso_cli.options import known_model, runtime_of

    gesso_hooks.load()
    options = EnhanceOptions(known_model(model), sigma=sigma, steps=steps)
    runtime = runtime_of(device, dtype, tile)
    block = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    gesso_hooks.after_decode(Frame.of(block), None, options, runtime)
    before = peak()
    picture = np.empty((side, side, 3), dtype=np.uint8)
    for top in range(0, side, 256):
        for left in range(0, side, 256):
            part = picture[top : top + 256, left : left + 256]
            part[...] = block[: part.shape[0], : part.shape[1]]
    began = time.perf_counter()
    gesso_hooks.after_decode(Frame.of(picture), None, options, runtime)
    return {
        "side": side,
        "seconds": time.perf_counter() - began,
        "picture_bytes": picture.nbytes,
        "idle_bytes": before,
        "peak_bytes": peak(),
    }


if __name__ == "__main__":
    from gesso_cli.failures import guarded

    def run() -> None:
        """Measure what the first argument asks for."""
        print(json.dumps(measure(**json.loads(sys.argv[1]))))

    sys.exit(guarded(run))
