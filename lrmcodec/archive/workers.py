"""Doing the same to many items: in this process, in processes of this machine, or on a Dask cluster.

All take a function of a place and an item that lives in a module, and yield items with their results as they come.
Items may be done more than once when processes die, so the function must bear that.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from lrmcodec.archive.errors import ArchiveError
from lrmcodec.formats.errors import LrmError

Item = TypeVar("Item")
Result = TypeVar("Result")
ANSWER_S = 30.0
"""How long a scheduler is waited for."""

AHEAD = 2
"""Items handed out for each process, so that none waits for the next."""


@dataclass(frozen=True)
class Lost:
    """Instead of a result: the process that worked on an item died of it, or an error escaped."""

    reason: str


@dataclass(frozen=True)
class Workers:
    """Who does the work: a Dask scheduler's address, else so many processes; none is this process."""

    processes: int = 0
    scheduler: str = ""

    def map(self, function: Callable[[str, Item], Result], place: str,
            items: Iterable[Item]) -> Iterator[tuple[Item, Result | Lost]]:
        """Results of `function(place, item)`, in any order."""
        if self.scheduler:
            return _on_cluster(function, place, items, self.scheduler)
        if self.processes:
            return _in_processes(function, place, items, self.processes)
        return ((item, function(place, item)) for item in items)


def usual_processes() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _in_processes(function: Callable[[str, Item], Result], place: str, items: Iterable[Item],
                  processes: int) -> Iterator[tuple[Item, Result | Lost]]:
    """A pool; when a process dies, the items at hand are done again one by one, which tells the one that killed it."""
    todo = iter(items)
    while suspects := (yield from _pool(function, place, todo, processes)):
        for item in suspects:
            if (yield from _pool(function, place, iter([item]), 1)):
                yield item, Lost("the process that worked on it died; memory may be short")


def _pool(function: Callable[[str, Item], Result], place: str, todo: Iterator[Item],
          processes: int) -> Generator[tuple[Item, Result | Lost], None, list[Item]]:
    """Work until nothing is left, or a process dies; returns the items that were at hand then."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start)
    flying: dict[Future[Result], Item] = {}
    suspects: list[Item] = []

    def hand_out(count: int) -> None:
        for item in itertools.islice(todo, count):
            try:
                flying[pool.submit(function, place, item)] = item
            except BrokenProcessPool:  # a process died since; the item is in nobody's hands but ours
                suspects.append(item)
                break

    try:
        hand_out(AHEAD * processes)
        while flying:
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                item = flying.pop(future)
                try:
                    outcome = _outcome(future)
                except BrokenProcessPool:
                    suspects.append(item)
                    continue
                yield item, outcome
                if not suspects:
                    hand_out(1)
        pool.shutdown()
    finally:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()  # only those that an interrupt left at work
        pool.shutdown(cancel_futures=True)
    return suspects


def _outcome(future: Future[Result]) -> Result | Lost:
    try:
        return future.result()
    except (BrokenProcessPool, LrmError):
        raise
    except Exception as error:  # a fault of ours in one item must not stop the others
        return Lost(f"{type(error).__name__} in the program")


def _start() -> None:
    """In every process: one thread, deaf to Ctrl-C, which the parent handles, and not outliving the parent."""
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _on_cluster(function: Callable[[str, Item], Result], place: str, items: Iterable[Item],
                address: str) -> Iterator[tuple[Item, Result | Lost]]:
    """A bounded number of tasks at a time; Dask does those of workers that die again elsewhere."""
    distributed = _distributed()
    try:
        client = distributed.Client(address, timeout=ANSWER_S, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise ArchiveError(f"no Dask scheduler answers at {address}.", "Start one with: dask scheduler") from error
    todo, flying = iter(items), {}
    with client:
        def submit(count: int) -> Iterator[Any]:
            for item in itertools.islice(todo, count):
                future = client.submit(function, place, item, pure=False, retries=2)
                flying[future.key] = item
                yield future

        threads = max(1, sum(client.nthreads().values()))
        running = distributed.as_completed(submit(AHEAD * threads), loop=client.loop)
        for future in running:
            yield flying.pop(future.key), _cluster_result(future)
            for following in submit(1):
                running.add(following)


def _cluster_result(future: Any) -> Any:
    try:
        return future.result()
    except LrmError:
        raise
    except Exception as error:  # of any kind, from another machine
        return Lost(f"{type(error).__name__} on the cluster")


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise ArchiveError("--scheduler needs Dask, which is not installed.",
                           "Install it with: pip install 'lrmcodec[scale]'") from error
    return distributed


@contextlib.contextmanager
def closing(results: Iterator[Any]) -> Iterator[Iterator[Any]]:
    """Iterate with the processes ended whatever happens."""
    try:
        yield results
    finally:
        close = getattr(results, "close", None)
        if close is not None:
            close()
