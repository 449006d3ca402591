"""One writer at a time; locks of the dead do not last."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lrmcodec.archive import lock
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.lock import Owner, locked, others
from lrmcodec.archive.store import LocalStore


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    made = LocalStore(tmp_path)
    made.prepare()
    return made


def put(store: LocalStore, owner: Owner) -> None:
    store.write("locks/other.json", json.dumps(asdict(owner)).encode())


@pytest.fixture
def me() -> Owner:
    return Owner(lock._machine(), os.getpid(), lock._started(os.getpid()), "all", "now", time.time())


def test_two_writers(store: LocalStore) -> None:
    with locked(store):
        with pytest.raises(ArchiveError, match="is being written by process"), locked(store):
            pass
        assert len(others(store)) == 1
    assert others(store) == []
    with locked(store):
        pass


def test_shards_side_by_side(store: LocalStore) -> None:
    with locked(store, (1, 3)), locked(store, (2, 3)):
        for shard in (None, (2, 3), (1, 4)):
            with pytest.raises(ArchiveError), locked(store, shard):
                pass


def test_an_error_frees_it(store: LocalStore) -> None:
    with pytest.raises(RuntimeError), locked(store):
        raise RuntimeError
    assert others(store) == []


def test_a_process_that_was_killed(store: LocalStore) -> None:
    code = ("import sys, time\nfrom pathlib import Path\nfrom lrmcodec.archive.lock import locked\n"
            "from lrmcodec.archive.store import LocalStore\n"
            "with locked(LocalStore(Path(sys.argv[1]))):\n    print('held', flush=True); time.sleep(60)")
    process = subprocess.Popen([sys.executable, "-P", "-c", code, str(store.root)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(ArchiveError, match=str(process.pid)), locked(store):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    with locked(store):
        pass


def test_a_number_used_again_is_no_owner(store: LocalStore, me: Owner) -> None:
    put(store, replace(me, started="1"))
    assert others(store) == []


def test_another_machine_lives_as_long_as_its_beat(store: LocalStore, me: Owner) -> None:
    put(store, replace(me, machine="elsewhere", pid=1))
    assert [owner.machine for _, owner in others(store)] == ["elsewhere"]
    put(store, replace(me, machine="elsewhere", pid=1, beat=time.time() - lock.STALE_S - 1))
    assert others(store) == []


def test_the_beat_goes_on(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT_S", 0.01)
    with locked(store):
        first = others(store)[0][1].beat
        for _ in range(200):
            time.sleep(0.01)
            if others(store)[0][1].beat > first:
                return
    pytest.fail("no beat")


def test_nonsense_is_removed(store: LocalStore) -> None:
    store.write("locks/x.json", b"{")
    store.write("locks/y.json", b'{"a": 1}')
    assert others(store) == []
    assert list(store.list("locks")) == []
