"""Keeping encoders from taking the machine over."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

TASKS = Path("/proc/self/task")
_ONE_AT_A_TIME = threading.Lock()


@contextlib.contextmanager
def kept_priority() -> Iterator[None]:
    """Give every thread of this process the scheduling back that the calling one had.

    SVT-AV1, when root opens it, makes the whole process and its own threads real-time ones of the highest priority
    (SCHED_FIFO 99) for good: everything else on the machine waits for them. Elsewhere than on Linux nothing is done.
    Threads that open encoders wait for each other.
    """
    with _ONE_AT_A_TIME:
        yield from _kept()


def _kept() -> Iterator[None]:
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if os.sched_getscheduler(0) != policy:
            for task in TASKS.iterdir():
                with contextlib.suppress(ProcessLookupError):
                    os.sched_setscheduler(int(task.name), policy, parameter)
