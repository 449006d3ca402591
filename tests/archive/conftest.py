"""A small made study set and an archive of it, for all modules here."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import quick_coder
from sharing import made_once

from lrmcodec.archive.create import Summary, _opened, create
from lrmcodec.archive.home import Archive, make_archive
from lrmcodec.archive.policy import Policy, Target
from lrmcodec.archive.sources import walk
from lrmcodec.archive.workers import Workers

pytest.importorskip("pydicom")
QUICK = Policy(Target(quality=40))


@contextlib.contextmanager
def quick() -> Iterator[None]:
    """Code pictures as AV1 stills of a fast preset, and do not wait for the disk."""
    with pytest.MonkeyPatch.context() as patch:
        quick_coder.quick_pictures(patch.setattr)
        patch.setattr(os, "fsync", lambda descriptor: None)  # most of the time of these tests
        yield


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with quick():
        yield


def run(place: Path | str, *sources: Path, policy: Policy | None = QUICK, processes: int = 0) -> Summary:
    """Archive in this process."""
    with quick():  # also where a fixture of the whole session asks
        archive = make_archive(str(place), policy)
        _opened.cache_clear()
        return create(archive, walk([str(source) for source in sources], str(place)), Workers(processes))


@pytest.fixture(scope="session")
def _finished(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:

    def make(folder: Path) -> Path:
        run(folder / "archive", studies)
        return folder / "archive"

    return made_once(tmp_path_factory, "finished", make)


@pytest.fixture
def place(_finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished archive, to be harmed."""
    shutil.copytree(_finished, tmp_path / "archive")
    return tmp_path / "archive"


@pytest.fixture
def archive(place: Path) -> Archive:
    return make_archive(str(place), None)


@pytest.fixture(autouse=True)
def _fresh_workers() -> Iterator[None]:
    """What workers keep of an archive is forgotten between tests, which harm it."""
    from lrmcodec.archive import restore, verify

    yield
    for cache in (_opened, restore._opened, verify._opened):
        cache.cache_clear()


@pytest.fixture(scope="session")
def make() -> Callable[..., Summary]:
    return run


@pytest.fixture(scope="session")
def bucket() -> Iterator[str]:
    """URL of an empty bucket of an S3 server of our own."""
    pytest.importorskip("s3fs", reason="the extra 'scale' is not installed")
    server_module = pytest.importorskip("moto.server", reason="moto is not installed, which serves S3 for tests")
    import boto3

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("AWS_ENDPOINT_URL", f"http://{host}:{port}"), ("AWS_ACCESS_KEY_ID", "test"),
                            ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_DEFAULT_REGION", "us-east-1")):
            patch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="studies")
        yield "s3://studies"
    server.stop()
