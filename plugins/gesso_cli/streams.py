"""`gesso bench streams`: damaged .gsl streams must decode or be refused, soon and in little."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from gesso_cli import options as o
from gesso_cli.console import answer, answer_json, bar, say
from gesso_cli.memory import peak

__all__ = ["streams"]

LONGEST = 1.0  # seconds of processor time
LARGEST = 512e6  # bytes


def streams(
    count: Annotated[int, typer.Option(min=1, help="Damaged streams.")] = 100_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the damage.")] = 0,
    json: o.Json = False,
) -> None:
    """Unpack damaged streams of the latent codec; fail where one is not handled well.

    Valid streams of many kinds have bits flipped, runs overwritten, inserted and cut out, ends
    cut off, sizes and payloads replaced, one to five of these each; every other one has its
    checksum made right again, so that the decoder proper is reached. The exit code is 1 if
    anything but a refusal in one line is raised, one takes over a second of processor time, or
    memory grows by over 512 MB beyond what coding the valid streams took.
    """
    from gesso.latent.fuzz import fuzz, valid_streams

    valid_streams(seed)
    before = peak()
    with bar("streams") as tick:
        outcome = fuzz(count, seed, tick)
    memory = peak() - before
    if json:
        answer_json({"seed": seed, **asdict(outcome), "memory_bytes": memory})
    else:
        failed = outcome.count - outcome.refused - outcome.decoded
        answer().print(
            f"{outcome.count} damaged streams: {outcome.refused} refused, "
            f"{outcome.decoded} decoded, {failed or 'none'} failed"
        )
        answer().print(f"slowest {outcome.slowest:.3f} s, memory {memory / 1e6:+.0f} MB")
    for index, error in outcome.failures.items():
        say(f"stream {index} of seed {seed}: {error}")
    if outcome.slowest > LONGEST:
        taken = f"{outcome.slowest:.1f} s of processor time"
        say(f"stream {outcome.slowest_index} of seed {seed} took {taken}")
    if memory > LARGEST:
        say(f"memory grew by {memory / 1e6:.0f} MB")
    if outcome.failures or outcome.slowest > LONGEST or memory > LARGEST:
        raise typer.Exit(1)
