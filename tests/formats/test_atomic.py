"""Outputs are written whole or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from lrmcodec.formats.atomic import atomic_path, check_writable, write_atomic
from lrmcodec.formats.errors import OutputError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def write_file(target: Path, then: Callable[[], object], force: bool = False) -> None:
    """Write a file, and do something before it gets its name."""
    with atomic_path(target, force) as temporary:
        temporary.write_bytes(b"ours")
        then()


def write_folder(target: Path, name: str, then: Callable[[], object] = lambda: None, force: bool = False) -> None:
    """Write a folder of one picture, and do something before it gets its name."""
    with atomic_path(target, force) as temporary:
        temporary.mkdir()
        (temporary / name).write_bytes(b"png")
        then()


def stop(failure: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise failure

    return fail


def test_writes_bytes_and_leaves_nothing_else(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a.lrm", b"data")
    assert (tmp_path / "a.lrm").read_bytes() == b"data"
    assert names(tmp_path) == ["a.lrm"]


def test_refuses_an_existing_file_and_names_the_way_out(tmp_path: Path) -> None:
    target = tmp_path / "a.lrm"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists") as caught:
        write_atomic(target, b"new")
    assert "--force" in caught.value.hint
    assert target.read_bytes() == b"old"
    write_atomic(target, b"new", force=True)
    assert target.read_bytes() == b"new"


def test_refuses_a_file_that_appears_meanwhile(tmp_path: Path) -> None:
    target = tmp_path / "a.lrm"
    with pytest.raises(OutputError, match="exists"):
        write_file(target, lambda: target.write_bytes(b"theirs"))
    assert target.read_bytes() == b"theirs"
    assert names(tmp_path) == ["a.lrm"]


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, SystemExit])
def test_any_failure_leaves_the_old_file_alone(tmp_path: Path, failure: type[BaseException]) -> None:
    target = tmp_path / "a.lrm"
    target.write_bytes(b"old")
    with pytest.raises(failure):
        write_file(target, stop(failure()), force=True)
    assert target.read_bytes() == b"old"
    assert names(tmp_path) == ["a.lrm"]


@pytest.mark.parametrize("function", ["fsync", "rename"])
def test_full_disk_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if function == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(os, "link", full)
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OutputError, match="No space left") as caught:
        write_atomic(tmp_path / "a.lrm", b"data")
    assert "space" in caught.value.hint
    assert names(tmp_path) == []


def test_missing_parent(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no folder"):
        check_writable(tmp_path / "missing" / "a.lrm")


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(OutputError, match="no permission"):
        check_writable(tmp_path / "a.lrm")


@pytest.mark.skipif(os.name == "nt", reason="POSIX devices")
def test_never_replaces_a_device() -> None:
    with pytest.raises(OutputError, match="not a regular file"):
        check_writable("/dev/null", force=True)


def test_keeps_a_symbolic_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.lrm", tmp_path / "link.lrm"
    real.write_bytes(b"old")
    link.symlink_to(real)
    write_atomic(link, b"new", force=True)
    assert link.is_symlink()
    assert real.read_bytes() == b"new"


def test_name_at_the_limit_of_the_file_system(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 250 + ".lrm")
    write_atomic(target, b"data")
    assert target.exists()
    with pytest.raises(OutputError, match="too long") as caught:
        write_atomic(tmp_path / ("n" * 300 + ".lrm"), b"data")
    assert "shorter" in caught.value.hint


def test_folder_of_frames_is_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "frames"
    for round_number in range(2):
        write_folder(target, f"{round_number}.png", force=round_number == 1)
    assert names(target) == ["1.png"]
    assert names(tmp_path) == ["frames"]


def test_empty_folder_needs_no_force(tmp_path: Path) -> None:
    target = tmp_path / "frames"
    target.mkdir()
    write_folder(target, "0.png")
    assert names(target) == ["0.png"]


def test_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "frames", "0.png", stop(KeyboardInterrupt()))
    assert names(tmp_path) == []


def test_folder_comes_back_when_the_new_one_cannot_be_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, rename = tmp_path / "frames", Path.rename
    target.mkdir()
    (target / "old.png").write_bytes(b"png")

    def fail_for_new(self: Path, other: Path) -> Path:
        if (self / "new.png").exists():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", fail_for_new)
    with pytest.raises(OutputError):
        write_folder(target, "new.png", force=True)
    assert names(tmp_path) == ["frames"]
    assert names(target) == ["old.png"]


def test_force_never_deletes_a_folder_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").write_bytes(b"years")
    with pytest.raises(OutputError, match="other files"):
        check_writable(tmp_path, force=True)
