"""One job beside another."""

from __future__ import annotations

import threading

import pytest

from lrmcodec.beside import Beside, StoppedError, usable_threads
from lrmcodec.formats.errors import TargetError


def test_with_two_threads_a_job_runs_beside() -> None:
    go = threading.Event()
    with Beside(2) as beside:
        result = beside.begin(lambda: go.wait(10))
        go.set()  # with one thread the job would wait for it in vain
        assert result()


def test_with_one_thread_it_runs_once_when_it_is_asked_for() -> None:
    done: list[int] = []
    with Beside(1) as beside:
        result = beside.begin(lambda: done.append(1))
        assert done == []
        assert result() is result() is None
    assert done == [1]


@pytest.mark.parametrize("threads", [1, 2])
def test_what_it_raises_is_raised(threads: int) -> None:
    with pytest.raises(ZeroDivisionError), Beside(threads) as beside:
        beside.begin(lambda: 1 // 0)()


def test_after_an_error_it_is_told_to_stop() -> None:
    begun, ended = threading.Event(), threading.Event()

    def job(beside: Beside) -> None:
        begun.set()
        try:
            while True:
                beside.check()
        except StoppedError:
            ended.set()

    def fail() -> None:
        with Beside(2) as beside:
            beside.begin(lambda: job(beside))
            begun.wait(10)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert ended.is_set()


def test_threads() -> None:
    assert usable_threads(3) == 3
    assert usable_threads(None) >= 1
    with pytest.raises(TargetError):
        usable_threads(0)
