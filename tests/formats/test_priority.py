"""Encoders run by root must not make the process a real-time one."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from lrmcodec.formats.picture import encode_pictures
from lrmcodec.formats.priority import kept_priority

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="scheduling policies are Linux's")


def policies() -> set[int]:
    return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}


def test_coding_a_still_leaves_the_scheduling_alone() -> None:
    before = policies()
    encode_pictures(np.zeros((1, 64, 64), np.float32), 160, ten_bit=False, preset=10)
    assert policies() == before


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="only root may ask for real time")
def test_threads_are_given_back_what_the_caller_had() -> None:
    begun, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: (begun.set(), done.wait()))
    before = policies()
    thread.start()
    begun.wait()
    try:
        with kept_priority():
            for task in Path("/proc/self/task").iterdir():
                os.sched_setscheduler(int(task.name), os.SCHED_FIFO, os.sched_param(1))
            if policies() != {os.SCHED_FIFO}:
                pytest.skip("this root may not ask for real time")
        assert policies() == before
    finally:
        done.set()
        thread.join()
