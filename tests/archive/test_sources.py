"""What is found: folders, links, zips and DICOMDIRs, with nothing left out in silence."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.sources import Source, at_hand, hidden_path, in_shard, walk
from lrmcodec.benchmarks.studies import archive_set


def found(*places: Path, archive: str = "/nowhere") -> dict[str, Source]:
    return {source.path: source for source in walk([str(place) for place in places], archive)}


def test_folders_and_files(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "deep/c.txt", ".hidden"):
        (tmp_path / "in" / name).write_text(name)
    assert list(found(tmp_path / "in")) == ["in/.hidden", "in/a.txt", "in/b.txt", "in/deep/c.txt"]
    assert list(found(tmp_path / "in" / "a.txt")) == ["a.txt"]
    assert found(tmp_path / "in")["in/deep/c.txt"].size_bytes == 10


def test_links(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "in" / "round").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "file").symlink_to(tmp_path / "file")
    (tmp_path / "in" / "gone").symlink_to(tmp_path / "nothing")
    sources = found(tmp_path / "in")
    assert list(sources) == ["in/file", "in/gone"]
    assert "cannot be read" in sources["in/gone"].problem


def test_what_is_missing_or_ambiguous(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="does not exist"):
        found(tmp_path / "none")
    for name in ("a/x", "b/x"):
        (tmp_path / name).mkdir(parents=True)
    with pytest.raises(ArchiveError, match="same last name"):
        found(tmp_path / "a" / "x", tmp_path / "b" / "x")


def test_stat_tells_a_change(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one")
    first = found(file)["a.txt"].stat
    assert found(file)["a.txt"].stat == first
    file.write_text("two")
    assert found(file)["a.txt"].stat != first


def test_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as opened:
        opened.writestr("deep/a.txt", "one")
        opened.writestr("../evil.txt", "two")
        opened.writestr("folder/", "")
    sources = found(tmp_path / "x.zip")
    assert list(sources) == ["x.zip/evil.txt", "x.zip/deep/a.txt"]
    with at_hand(sources["x.zip/deep/a.txt"]) as file:
        assert file.read_text() == "one"
    assert not file.exists()


def test_a_zip_that_lies_about_sizes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("big.bin", b"\0" * 5_000_000)
    data = (tmp_path / "x.zip").read_bytes().replace((5_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    (tmp_path / "x.zip").write_bytes(data)
    source = found(tmp_path / "x.zip")["x.zip/big.bin"]
    with pytest.raises(ArchiveError, match="zip"), at_hand(source):
        pass


def test_damaged_and_encrypted_zips(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 nothing")
    assert list(found(tmp_path / "no.zip")) == ["no.zip"]
    with zipfile.ZipFile(tmp_path / "locked.zip", "w") as opened:
        opened.writestr("a.txt", "one")
    data = bytearray((tmp_path / "locked.zip").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    (tmp_path / "locked.zip").write_bytes(data)
    assert "encrypted" in found(tmp_path / "locked.zip")["locked.zip/a.txt"].problem


def test_dicomdir(studies: Path, tmp_path: Path) -> None:
    clips = sorted(studies.rglob("IM*"))[:2]
    index = archive_set.add_dicomdir(tmp_path / "disc", clips)
    by_index, by_folder = found(index), found(tmp_path / "disc")
    assert sorted(by_index) == sorted(by_folder)
    assert len(by_index) == 3
    gone = next(name for name in by_index if not name.endswith("DICOMDIR"))
    (tmp_path / gone).unlink()
    assert "missing" in found(index)[gone].problem
    assert "missing" in found(tmp_path / "disc")[gone].problem


def test_shards_part_the_files(tmp_path: Path) -> None:
    sources = [Source(f"a/{index}", "") for index in range(300)]
    parts = [[source for source in sources if in_shard(source, (part, 3))] for part in (1, 2, 3)]
    assert sum(map(len, parts)) == 300
    assert min(map(len, parts)) > 60


def test_hidden_paths_keep_folders_apart_and_the_suffix() -> None:
    one, two, other = (hidden_path(name, "salt") for name in ("a/b/x.dcm", "a/b/y.dcm", "a/c/x.dcm"))
    assert one.rpartition("/")[0] == two.rpartition("/")[0] != other.rpartition("/")[0]
    assert one.endswith(".dcm")
    assert one.count("/") == 2
    assert hidden_path("a/b/x.dcm", "other salt") != one
