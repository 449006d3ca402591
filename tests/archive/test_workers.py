"""Work in processes: results of all, a process that dies, faults in one item, and no process left behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import odd_work
import pytest

from lrmcodec.archive import workers
from lrmcodec.archive.workers import Lost, Workers, closing
from lrmcodec.formats.errors import OutputError


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_none_is_this_process(tmp_path: Path) -> None:
    assert list(Workers().map(odd_work.work, str(tmp_path), [1, 2])) == [(1, 1), (2, 4)]


def test_a_process_that_dies_loses_only_its_item(tmp_path: Path) -> None:
    items = [1, 2, 3, odd_work.DIES, odd_work.FAULTY, 4, 5, 6]
    found = dict(Workers(2).map(odd_work.work, str(tmp_path), items))
    assert sorted(found) == sorted(items)
    dead, faulty = found.pop(odd_work.DIES), found.pop(odd_work.FAULTY)
    assert isinstance(dead, Lost)
    assert "died" in dead.reason
    assert faulty == Lost("ValueError in the program")
    assert all(result == item * item for item, result in found.items())


@pytest.mark.parametrize("breaks_at", [1, 3, 5, 8])
def test_an_item_handed_to_a_pool_that_just_broke_is_done(breaks_at: int, tmp_path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    calls = itertools.count(1)

    class Pool(ThreadPoolExecutor):
        def __init__(self, count: int, *_: object) -> None:
            super().__init__(count)

        def submit(self, *work: Any, **options: Any) -> Any:
            if next(calls) == breaks_at:
                raise BrokenProcessPool
            return super().submit(*work, **options)

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Pool)
    found = dict(Workers(2).map(odd_work.work, str(tmp_path), range(8)))
    assert found == {item: item * item for item in range(8)}


def test_what_concerns_all_ends_the_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no space"):
        list(Workers(1).map(odd_work.work, str(tmp_path), [1, odd_work.FULL, 2]))


def test_stopping_ends_processes_at_work(tmp_path: Path) -> None:
    began = time.monotonic()
    with closing(Workers(1).map(odd_work.work, str(tmp_path), [1, odd_work.SLOW])) as results:
        assert next(results) == (1, 1)
    assert time.monotonic() - began < 30
    assert not any(is_alive(int(path.name)) for path in tmp_path.iterdir())


def test_no_process_outlives_its_parent(tmp_path: Path) -> None:
    code = ("import sys\nimport odd_work\nfrom lrmcodec.archive.workers import Workers\n"
            "if __name__ == '__main__':\n    list(Workers(1).map(odd_work.work, sys.argv[1], [1, odd_work.SLOW]))\n")
    script = tmp_path / "script.py"
    script.write_text(code)
    marks = tmp_path / "marks"
    marks.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(marks)],
                              env={**os.environ, "PYTHONPATH": str(Path(odd_work.__file__).parent)})
    for _ in range(600):
        if list(marks.iterdir()):
            break
        time.sleep(0.05)
    child = int(next(marks.iterdir()).name)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(200):
        if not is_alive(child):
            return
        time.sleep(0.05)
    pytest.fail("the worker lives on")
