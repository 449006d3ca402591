"""Getting files back: byte for byte, decoded, interrupted, into folders that hold something, under hostile names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrmcodec import codec
from lrmcodec.archive.create import Summary
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.home import Archive
from lrmcodec.archive.manifest import Manifest
from lrmcodec.archive.restore import Restored, choose, output_path, restore
from lrmcodec.archive.workers import Workers
from lrmcodec.formats.video import read_clip

Make = Callable[..., Summary]


def get(archive: Archive, folder: Path, kind: str = "", **options: bool) -> Restored:
    return restore(archive, Manifest(archive.store).entries(), str(folder), kind, Workers(), **options)


def test_all(studies: Path, archive: Archive, tmp_path: Path) -> None:
    done = get(archive, tmp_path / "out")
    assert (done.failures, done.there, done.written) == ([], 0, len(list(Manifest(archive.store).entries())))
    for entry in Manifest(archive.store).entries():
        source = studies.parent / entry.path
        if entry.kind == "kept":
            assert (tmp_path / "out" / entry.path).read_bytes() == source.read_bytes()
        else:
            assert entry.coding is not None
            name = entry.path if source.suffix in (".dcm", ".avi", ".mkv", ".npz") else entry.path + ".dcm"
            back, first = read_clip(tmp_path / "out" / name), read_clip(source)
            assert back.frames.shape == first.frames.shape
            assert back.times_s == pytest.approx(first.times_s, abs=1e-5)
            error = back.frames.astype(float) - first.frames
            assert 20 * np.log10(255 / np.sqrt((error**2).mean())) == pytest.approx(entry.coding.psnr_db, abs=1)


def test_going_on_leaves_what_is_there(archive: Archive, tmp_path: Path) -> None:
    get(archive, tmp_path / "out")
    mine = sorted((tmp_path / "out").rglob("*.txt"))[0] if list((tmp_path / "out").rglob("*.txt")) else None
    some = sorted(path for path in (tmp_path / "out").rglob("*") if path.is_file())
    some[0].unlink()
    some[1].write_bytes(b"mine")
    done = get(archive, tmp_path / "out")
    assert (done.written, done.there) == (1, len(some) - 1)
    assert some[1].read_bytes() == b"mine"
    assert get(archive, tmp_path / "out", force=True).written == len(some)
    assert some[1].read_bytes() != b"mine"
    assert mine is None or mine.exists()


@pytest.mark.parametrize(("kind", "suffix"), [("dicom", ".dcm"), ("avi", ".avi"), ("mp4", ".mp4"), ("lrm", ".lrm")])
def test_one_as(archive: Archive, tmp_path: Path, kind: str, suffix: str) -> None:
    entry = next(entry for entry in Manifest(archive.store).entries() if entry.coded is not None)
    done = restore(archive, choose(archive, [entry.id[:8]]), str(tmp_path), kind, Workers())
    assert (done.written, done.exact, done.failures) == (1, 0, [])
    target = (tmp_path / entry.path).with_suffix(suffix)
    frames = codec.decode(target).frames if kind == "lrm" else read_clip(target).frames
    assert entry.coding is not None
    assert frames.shape == (entry.coding.frames, entry.coding.height, entry.coding.width)


def test_original_is_never_pretended(archive: Archive, tmp_path: Path) -> None:
    done = get(archive, tmp_path, "original")
    clips = [entry.id for entry in Manifest(archive.store).entries() if entry.original is None]
    assert sorted(id_ for id_, _, _ in done.failures) == sorted(clips)
    assert "only the coded clip is stored" in done.failures[0][2]
    assert done.exact == done.written > 0


def test_originals_where_they_are_kept(studies: Path, tmp_path: Path, make: Make) -> None:
    from lrmcodec.archive.home import make_archive
    from lrmcodec.archive.policy import Policy, Target

    source = next(studies.rglob("IM00000.dcm"))
    make(tmp_path / "a", source, policy=Policy(Target(quality=40), lossless_originals=True))
    archive = make_archive(str(tmp_path / "a"), None)
    assert get(archive, tmp_path / "out").exact == 1
    assert (tmp_path / "out" / "IM00000.dcm").read_bytes() == source.read_bytes()
    assert get(archive, tmp_path / "clips", "avi").exact == 0
    assert (tmp_path / "clips" / "IM00000.avi").exists()


def test_two_contents_of_one_name_both_come_back(tmp_path: Path, make: Make) -> None:
    from lrmcodec.archive.home import make_archive

    note = tmp_path / "note.txt"
    for text in ("one", "two"):
        note.write_text(text)
        make(tmp_path / "a", note)
    get(make_archive(str(tmp_path / "a"), None), tmp_path / "out")
    assert sorted(path.read_text() for path in (tmp_path / "out").iterdir()) == ["one", "two"]


def test_damage_is_said_and_nothing_is_written(archive: Archive, place: Path, tmp_path: Path) -> None:
    entry = next(entry for entry in Manifest(archive.store).entries() if entry.original is not None)
    assert entry.original is not None
    (place / entry.original.key).write_bytes(b"nonsense")
    done = get(archive, tmp_path / "out")
    assert entry.path in [path for _, path, _ in done.failures]
    assert not (tmp_path / "out" / entry.path).exists()
    assert not list((tmp_path / "out").rglob(".*"))


def test_choosing(archive: Archive) -> None:
    entry = next(Manifest(archive.store).entries())
    assert [each.id for each in choose(archive, [entry.path])] == [entry.id]
    with pytest.raises(ArchiveError, match="names no file"):
        choose(archive, ["ffffffffffffffff"])
    with pytest.raises(ArchiveError, match="names no file"):
        choose(archive, [entry.id[:2]])


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "", "a/./b", "a\0b"])
def test_names_that_lead_out_of_the_folder(archive: Archive, tmp_path: Path, path: str) -> None:
    entry = replace(next(Manifest(archive.store).entries()), path=path)
    with pytest.raises(ArchiveError, match="leads out"):
        output_path(entry, str(tmp_path), "", True)


def test_studies_come_back_as_the_archive_kept_them(studies: Path, tmp_path: Path, make: Make) -> None:
    """With --keep-study patient and study, as new instances of a new series; without it nobody's."""
    import pydicom

    from lrmcodec.archive.home import make_archive
    from lrmcodec.archive.policy import Policy, Target

    source = next(studies.rglob("IM00000.dcm"))
    original = pydicom.dcmread(source)
    for keep in (True, False):
        make(tmp_path / f"a{keep}", source, policy=Policy(Target(quality=40), keep_study=keep))
        get(make_archive(str(tmp_path / f"a{keep}"), None), tmp_path / f"out{keep}")
        back = pydicom.dcmread(tmp_path / f"out{keep}" / "IM00000.dcm")
        assert (back.get("PatientName") == original.PatientName) is keep
        assert (back.get("StudyInstanceUID") == original.StudyInstanceUID) is keep
        assert back.SOPInstanceUID != original.SOPInstanceUID
        assert back.ImageType[0] == "DERIVED"
        assert back.LossyImageCompression == "01"
