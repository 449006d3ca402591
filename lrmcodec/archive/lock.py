"""One writer at a time, or one a shard: locks that outlive no crash.

A writer puts a file of its own into `locks/` and then looks at the others; whichever of two comes second therefore
sees the first. A lock is stale when its process on this machine is gone, or when its beat has stopped for minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.store import Store

BEAT_S = 20.0
STALE_S = 180.0
"""A lock of another machine is stale when its beat is this old; clocks must agree better than that."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock: the machine's name with its process space, process, its start, and what is locked."""

    machine: str
    pid: int
    started: str
    scope: str
    since: str
    beat: float

    @property
    def words(self) -> str:
        """For messages."""
        return f"process {self.pid} on {self.machine.partition('/')[0]}, since {self.since}"


@contextlib.contextmanager
def locked(store: Store, shard: tuple[int, int] | None = None) -> Iterator[None]:
    """Hold the archive, or shard i of n of it, for writing.

    Raises
    ------
    ArchiveError
        When another writer that is alive holds what this one needs.
    """
    scope = "all" if shard is None else f"{shard[0]}/{shard[1]}"
    me = Owner(_machine(), os.getpid(), _started(os.getpid()), scope, time.strftime("%Y-%m-%d %H:%M:%S"), time.time())
    key = f"locks/{secrets.token_hex(8)}.json"
    store.write(key, _bytes(me))
    stop = threading.Event()
    beating = threading.Thread(target=_beat, args=(store, key, me, stop), daemon=True)
    try:
        _refuse_others(store, key, scope)
        beating.start()
        yield
    finally:
        stop.set()
        if beating.ident is not None:
            beating.join()
        store.remove(key)


def others(store: Store) -> list[tuple[str, Owner]]:
    """Locks that are alive, by key; stale ones are removed."""
    alive = []
    for key, _ in store.list("locks"):
        try:
            owner = Owner(**json.loads(store.read(key)))
        except FileNotFoundError:
            continue
        except (ValueError, TypeError):
            store.remove(key)  # no lock of ours is half-written
            continue
        if _is_stale(owner):
            store.remove(key)
        else:
            alive.append((key, owner))
    return alive


def _refuse_others(store: Store, mine: str, scope: str) -> None:
    for key, owner in others(store):
        if key != mine and _conflict(scope, owner.scope):
            raise ArchiveError(f"{store.url} is being written by {owner.words}.",
                               "Wait for it, or stop it; what was cut off is recovered by itself.")


def _conflict(one: str, other: str) -> bool:
    """Shards of the same count run side by side; everything else excludes each other."""
    if "all" in (one, other) or one == other:
        return True
    return one.partition("/")[2] != other.partition("/")[2]


def _is_stale(owner: Owner) -> bool:
    if owner.machine == _machine():
        return _started(owner.pid) != owner.started
    return time.time() - owner.beat > STALE_S


def _beat(store: Store, key: str, me: Owner, stop: threading.Event) -> None:
    while not stop.wait(BEAT_S):
        with contextlib.suppress(Exception):  # a beat that is missed is made up for by the next
            store.write(key, _bytes(Owner(**(asdict(me) | {"beat": time.time()}))))


def _bytes(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode()


def _machine() -> str:
    """Name of the host and, on Linux, of its boot and process space: containers of one host have several."""
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)


def _started(pid: int) -> str:
    """When a process of this machine began, so that a number used again is not taken for it; '' when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return "" if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "running"
