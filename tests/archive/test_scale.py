"""Many processes, many machines: the same archive by two processes, by a cluster that loses a worker, and on S3."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lrmcodec.archive.create import create
from lrmcodec.archive.home import make_archive, open_archive
from lrmcodec.archive.manifest import Manifest
from lrmcodec.archive.policy import Policy, Target
from lrmcodec.archive.restore import restore
from lrmcodec.archive.sources import walk
from lrmcodec.archive.verify import verify
from lrmcodec.archive.workers import Workers

POLICY = Policy(Target(quality=40))
pytestmark = pytest.mark.filterwarnings("default")  # those of the cluster's and the server's own packages


def whole(place: str, studies: Path, workers: Workers) -> set[str]:
    """Archive, verify; ids of all entries."""
    summary = create(make_archive(place, POLICY), walk([str(studies)], place), workers)
    assert (summary.files, summary.failures) == (17, [])
    archive = open_archive(place)
    assert verify(archive, Workers(), "100%").problems == []
    return {entry.id for entry in Manifest(archive.store).entries()}


def test_two_processes(studies: Path, place: Path, tmp_path: Path) -> None:
    ids = {entry.id for entry in Manifest(open_archive(str(place)).store).entries()}
    assert whole(str(tmp_path / "a"), studies, Workers(2)) == ids


def test_s3(studies: Path, place: Path, bucket: str, tmp_path: Path) -> None:
    target = f"{bucket}/archive"
    ids = {entry.id for entry in Manifest(open_archive(str(place)).store).entries()}
    assert whole(target, studies, Workers()) == ids
    again = create(make_archive(target, None), walk([str(studies)], target), Workers())
    assert (again.new, again.skipped) == (0, 17)
    archive = open_archive(target)
    done = restore(archive, Manifest(archive.store).entries(), str(tmp_path / "out"), "", Workers())
    assert (done.written, done.failures) == (17, [])


def test_s3_manifest_lost(studies: Path, bucket: str) -> None:
    from lrmcodec.archive.repair import repair

    target = f"{bucket}/lost"
    source = next(studies.rglob("ST*.dcm"))
    create(make_archive(target, POLICY), walk([str(source)], target), Workers())
    store = open_archive(target).store
    for key, _ in list(store.list("manifest")):
        store.remove(key)
    assert repair(open_archive(target)).lines == 1
    assert len(list(Manifest(store).entries())) == 1


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """Address of a cluster of two processes."""
    distributed = pytest.importorskip("distributed", reason="the extra 'scale' is not installed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0",
                                  silence_logs=50) as running:
        yield running.scheduler_address


def test_a_cluster_that_loses_a_worker(studies: Path, place: Path, cluster: str, tmp_path: Path) -> None:
    import distributed

    ids = {entry.id for entry in Manifest(open_archive(str(place)).store).entries()}
    target = tmp_path / "a"

    def kill() -> None:
        """One worker, once the first record is there."""
        with distributed.Client(cluster, set_as_default=False) as client:
            pids = list(client.run(os.getpid).values())
        for _ in range(600):
            if list(target.glob("objects/*/*.json")):
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])
                return
            time.sleep(0.02)

    killed: list[int] = []
    killer = threading.Thread(target=kill)
    killer.start()
    assert whole(str(target), studies, Workers(scheduler=cluster)) == ids
    killer.join()
    assert killed


def test_a_scheduler_that_is_not_there(studies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra 'scale' is not installed")
    from lrmcodec.archive import workers
    from lrmcodec.archive.errors import ArchiveError

    monkeypatch.setattr(workers, "ANSWER_S", 0.5)
    with pytest.raises(ArchiveError, match="no Dask scheduler answers"):
        whole(str(tmp_path / "a"), studies, Workers(scheduler="tcp://127.0.0.1:9"))
