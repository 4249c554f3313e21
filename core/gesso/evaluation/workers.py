"""Spread pictures over processes that end when their parent does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

from gesso.errors import GessoError

__all__ = ["spread"]

Given = TypeVar("Given")
Outcome = TypeVar("Outcome")


def spread(
    function: Callable[[Given, str, Path], Outcome],
    work: Given,
    paths: Mapping[str, Path],
    jobs: int,
    prepare: Callable[[], object] | None = None,
) -> Iterator[tuple[str, Outcome]]:
    """``(name, function(work, name, path))`` for every path, as they are done.

    Processes are spawned: threads of torch do not survive a fork. Each gets its share of
    the processor's cores.

    Raises:
        GessoError: a process died, for want of memory for instance.
    """
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _begin, (threads, prepare, work)
    )
    try:
        futures = {pool.submit(_run, function, n, p): n for n, p in paths.items()}
        for future in as_completed(futures):
            yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise GessoError(
            f"one of {jobs} processes died, perhaps for want of memory; use fewer jobs"
        ) from error
    except BaseException:
        # what is running is given up: its picture is measured anew when resumed
        for process in list((pool._processes or {}).values()):
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


_work: Any = None


def _begin(threads: int, prepare: Callable[[], object] | None, work: Any) -> None:
    global _work
    # Ctrl-C reaches the whole group; the parent alone answers it
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    torch.set_num_threads(threads)
    if prepare:
        prepare()
    _work = work


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run(function: Callable[[Any, str, Path], Outcome], name: str, path: Path) -> Outcome:
    return function(_work, name, path)
