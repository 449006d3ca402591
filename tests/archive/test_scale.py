"""Many processes, many machines: the same archive by two processes, by a cluster that loses a worker, and on S3."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from lrmcodec.archive.create import create
from lrmcodec.archive.entry import entry_id
from lrmcodec.archive.home import make_archive, open_archive
from lrmcodec.archive.manifest import Manifest
from lrmcodec.archive.policy import Policy, Target
from lrmcodec.archive.restore import restore
from lrmcodec.archive.sources import walk
from lrmcodec.archive.verify import verify
from lrmcodec.archive.workers import Workers

POLICY = Policy(Target(quality=40), pack="spatial")
pytestmark = pytest.mark.filterwarnings("default")  # those of the cluster's and the server's own packages


@pytest.fixture(scope="module")
def patient(studies: Path) -> Path:
    """Files of one patient: clips, one of them twice under other tags, a video, and kinds that are kept."""
    return studies / "patient_001"


def whole(place: str, patient: Path, workers: Workers) -> None:
    """Archive and verify: every file is in, once."""
    summary = create(make_archive(place, POLICY), walk([str(patient)], place), workers)
    assert (summary.files, summary.failures) == (8, [])
    archive = open_archive(place)
    assert verify(archive, Workers(), "100%").problems == []
    ids = [entry_id(path.relative_to(patient.parent).as_posix(), sha256(path.read_bytes()).hexdigest())
           for path in patient.rglob("*") if path.is_file()]
    assert sorted(entry.id for entry in Manifest(archive.store).entries()) == sorted(ids)


def test_two_processes(patient: Path, tmp_path: Path) -> None:
    whole(str(tmp_path / "a"), patient, Workers(2))


def test_s3(patient: Path, bucket: str, tmp_path: Path) -> None:
    target = f"{bucket}/archive"
    whole(target, patient, Workers())
    again = create(make_archive(target, None), walk([str(patient)], target), Workers())
    assert (again.new, again.skipped) == (0, 8)
    archive = open_archive(target)
    done = restore(archive, Manifest(archive.store).entries(), str(tmp_path / "out"), "", Workers())
    assert (done.written, done.failures) == (8, [])


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


def test_a_cluster_that_loses_a_worker(patient: Path, cluster: str, tmp_path: Path) -> None:
    import distributed

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
    whole(str(target), patient, Workers(scheduler=cluster))
    killer.join()
    assert killed


def test_a_scheduler_that_is_not_there(patient: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="the extra 'scale' is not installed")
    from lrmcodec.archive import workers
    from lrmcodec.archive.errors import ArchiveError

    monkeypatch.setattr(workers, "ANSWER_S", 0.5)
    with pytest.raises(ArchiveError, match="no Dask scheduler answers"):
        whole(str(tmp_path / "a"), patient, Workers(scheduler="tcp://127.0.0.1:9"))
