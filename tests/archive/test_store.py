"""Where bytes lie: the same promises by a local folder, by memory through fsspec, and by a real S3 server."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.store import LocalStore, RemoteStore, Store, open_store
from lrmcodec.formats.errors import OutputError


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    place = {"folder": str(tmp_path / "a"), "memory": f"memory://{uuid.uuid4().hex}"}.get(request.param)
    if request.param == "s3":
        place = f"{request.getfixturevalue('bucket')}/{uuid.uuid4().hex}"
    assert place is not None
    made = open_store(place)
    made.prepare()
    return made


def test_write_read_list_move_remove(store: Store) -> None:
    assert list(store.list("objects")) == []
    assert store.size("objects/aa/x") is None
    with pytest.raises(FileNotFoundError):
        store.read("objects/aa/x")
    store.write("objects/aa/x", b"one")
    store.write("objects/aa/x", b"four")
    with store.writing("objects/bb/y") as file:
        file.write(b"streamed")
    assert list(store.list("objects")) == [("objects/aa/x", 4), ("objects/bb/y", 8)]
    assert (store.read("objects/aa/x"), store.size("objects/bb/y")) == (b"four", 8)
    with store.open("objects/bb/y") as stream:
        assert stream.read(3) + stream.read() == b"streamed"
    store.move("objects/aa/x", "damaged/now/objects/aa/x")
    assert store.read("damaged/now/objects/aa/x") == b"four"
    store.remove("objects/bb/y")
    store.remove("objects/bb/y")
    assert list(store.list("objects")) == []


def test_a_write_that_fails_leaves_nothing(store: Store) -> None:
    store.write("objects/aa/x", b"before")

    def fail() -> None:
        with store.writing("objects/aa/x") as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert store.read("objects/aa/x") == b"before"


def test_lines_are_appended(store: Store) -> None:
    for part, line in enumerate((b"one\n", b"two\n")):
        store.append("manifest/j.jsonl", line, part)
    assert b"".join(store.read(key) for key, _ in store.list("manifest")) == b"one\ntwo\n"


def test_kinds(tmp_path: Path) -> None:
    assert isinstance(open_store(str(tmp_path)), LocalStore)
    assert isinstance(open_store("memory://x"), RemoteStore)
    with pytest.raises(ArchiveError, match="cannot be reached"):
        open_store("nonsense://x")


def test_a_bucket_that_is_not_there(bucket: str) -> None:
    with pytest.raises(OutputError, match="cannot be used"):
        open_store("s3://no-such-bucket-here/a").write("x", b"")
