"""One job beside another: in a thread, where more than one may be used."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import TracebackType
from typing import TypeVar

from lrmcodec.formats.errors import TargetError

T = TypeVar("T")


class StoppedError(Exception):
    """Raised in a job beside, when nobody waits for it any more."""


class Beside:
    """Runs jobs beside the caller's own work, one at a time; with one thread when their results are asked for.

    Parameters
    ----------
    threads : int
        How many may be busy; 1: no other than the caller's.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(1) if threads > 1 else None
        self._stop = threading.Event()

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        """Wait for what runs; after an error it is told to stop."""
        if kind is not None:
            self._stop.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=kind is not None)

    def begin(self, job: Callable[[], T]) -> Callable[[], T]:
        """Start a job; what is returned waits for its result, or raises what it raised."""
        if self._pool is not None:
            return self._pool.submit(job).result
        return cache(job)

    def check(self) -> None:
        """For jobs, now and then.

        Raises
        ------
        StoppedError
            When nobody waits.
        """
        if self._stop.is_set():
            raise StoppedError


def usable_threads(asked: int | None) -> int:
    """Threads that may be busy: as asked, by default one a processor core that this process may use.

    Raises
    ------
    TargetError
        When less than one is asked for.
    """
    if asked is not None and asked < 1:
        raise TargetError(f"{asked} threads cannot do anything.", "Give --threads 1 or more, or leave it out.")
    if asked is not None:
        return asked
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
