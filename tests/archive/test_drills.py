"""The disasters of docs/archive.md: what is lost is found by `verify`, mended by `repair`, and made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lrmcodec.archive.create import Summary
from lrmcodec.archive.entry import Entry
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.home import Archive, open_archive
from lrmcodec.archive.manifest import Manifest
from lrmcodec.archive.repair import Repairs, repair
from lrmcodec.archive.verify import Findings, verify
from lrmcodec.archive.workers import Workers
from lrmcodec.decoders.registry import DEFAULT_PACK

Make = Callable[..., Summary]


def check(place: Path, subset: str = "100%") -> Findings:
    from lrmcodec.archive import verify as module

    module._opened.cache_clear()
    return verify(open_archive(str(place)), Workers(), subset)


def entries(place: Path) -> list[Entry]:
    return list(Manifest(open_archive(str(place)).store).entries())


def mend(place: Path) -> Repairs:
    return repair(open_archive(str(place)))


def a_clip(place: Path) -> Entry:
    return next(entry for entry in entries(place) if entry.coded is not None)


def a_kept(place: Path) -> Entry:
    return next(entry for entry in entries(place) if entry.original is not None and entry.size_bytes > 100)


def test_a_sound_archive(place: Path) -> None:
    found = check(place)
    assert found.problems == []
    assert (found.files, found.decoded) == (len(entries(place)), len(entries(place)))
    assert (found.differing, found.loose) == (0, 0)
    assert mend(place) == Repairs()


def test_subsets(place: Path) -> None:
    count = len(entries(place))
    parts = [check(place, f"{index}/3").decoded for index in (1, 2, 3)]
    assert sum(parts) == count
    assert max(parts) < count
    assert check(place, "0%").decoded == 0
    for wrong in ("5", "0/3", "4/3", "200%", "x%"):
        with pytest.raises(ArchiveError, match="no subset"):
            check(place, wrong)


def test_names_and_sizes_are_checked_whatever_the_subset(place: Path) -> None:
    blob = a_clip(place).coded
    assert blob is not None
    (place / blob.key).write_bytes((place / blob.key).read_bytes()[:-1])
    found = check(place, "0%")
    assert "bytes instead of" in found.problems[0].what
    assert found.problems[0].path == a_clip(place).path


@pytest.mark.parametrize("of", [a_clip, a_kept])
def test_object_damaged(place: Path, studies: Path, make: Make, of: Callable[[Path], Entry]) -> None:
    entry = of(place)
    path = place / entry.blobs[0].key
    sound = path.read_bytes()
    harmed = bytearray(sound)
    harmed[len(harmed) // 2] ^= 1
    path.write_bytes(harmed)
    found = check(place)
    assert {problem.id for problem in found.problems} == {
        each.id for each in entries(place) if entry.blobs[0] in each.blobs}
    assert "damaged" in found.problems[0].what
    repaired = mend(place)
    assert entry.id in {id_ for id_, _, _ in repaired.lost}
    assert (place / repaired.moved[0]).read_bytes() == harmed
    make(place, studies, policy=None)
    assert path.read_bytes() == sound
    assert check(place).problems == []


def test_object_missing(place: Path, studies: Path, make: Make) -> None:
    entry = a_clip(place)
    (place / entry.blobs[0].key).unlink()
    assert "is missing" in check(place, "0%").problems[0].what
    make(place, studies, policy=None)
    assert check(place).problems == []


def test_manifest_lost(place: Path) -> None:
    before = {entry.id: entry for entry in entries(place)}
    shutil.rmtree(place / "manifest")
    assert f"{len(before)} files are among the objects but not in the manifest" in check(place).problems[0].what
    assert mend(place).lines == len(before)
    assert {entry.id: entry for entry in entries(place)} == before
    assert check(place).problems == []


def test_manifest_lost_is_also_mended_by_going_on(place: Path, studies: Path, make: Make) -> None:
    before = {entry.id: entry for entry in entries(place)}
    shutil.rmtree(place / "manifest")
    assert make(place, studies, policy=None).new == 0
    assert {entry.id: entry for entry in entries(place)} == before


def test_everything_lost_but_objects_and_packs(place: Path) -> None:
    before = {entry.id: entry for entry in entries(place)}
    settings = open_archive(str(place)).policy
    for name in ("manifest", "locks"):
        shutil.rmtree(place / name)
    (place / "archive.json").unlink()
    mend(place)
    assert open_archive(str(place)).policy == settings
    assert {entry.id: entry for entry in entries(place)} == before
    assert check(place).problems == []


def test_a_torn_last_line_is_no_damage(place: Path) -> None:
    journal = next((place / "manifest").iterdir())
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-40])
    found = check(place)
    assert [problem.what for problem in found.problems] == ["1 files are among the objects but not in the manifest"]
    mend(place)
    assert check(place).problems == []


def test_a_damaged_line_in_the_middle(place: Path) -> None:
    before = {entry.id for entry in entries(place)}
    journal = next((place / "manifest").iterdir())
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(b'"size_bytes":', b'"size_bytes":1', 1)
    journal.write_bytes(b"".join(lines))
    assert "1 lines of the manifest are damaged" in check(place).problems[0].what
    mend(place)
    assert {entry.id for entry in entries(place)} == before
    assert check(place).problems == []
    assert list((place / "damaged").rglob("*.jsonl"))


def test_records_lost(place: Path) -> None:
    for entry in entries(place):
        (place / entry.record_key).unlink()
    assert "record is missing" in check(place).problems[0].what
    assert mend(place).records == len(entries(place))
    assert check(place).problems == []


def test_a_damaged_record(place: Path) -> None:
    path = place / a_clip(place).record_key
    path.write_bytes(path.read_bytes()[:50])
    assert len(check(place).problems) == 1
    assert mend(place).records == 1
    assert check(place).problems == []


def test_pack_missing(place: Path) -> None:
    shutil.rmtree(place / "packs")
    clips = [entry.id for entry in entries(place) if entry.coded is not None]
    found = check(place)
    assert sorted(problem.id for problem in found.problems) == sorted(clips)
    assert "decoder pack" in found.problems[0].what
    assert mend(place).packs == [DEFAULT_PACK]
    assert check(place).problems == []


def test_pack_damaged(place: Path) -> None:
    card = next((place / "packs").glob("*/card.json"))
    card.write_bytes(card.read_bytes().replace(b'"id": ', b'"id": 1'))
    assert any("pack" in problem.what for problem in check(place).problems)
    assert mend(place).packs == [DEFAULT_PACK]
    assert check(place).problems == []


def test_pack_that_no_installation_has(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrmcodec.archive import repair as module

    shutil.rmtree(place / "packs")
    monkeypatch.setattr(module, "shipped_packs", list)
    assert "which this lrmcodec does not have" in mend(place).lost[0][2]


def test_wrong_content_under_a_right_name(place: Path, archive: Archive) -> None:
    """An object that is sound in itself but another's."""
    one, two = [entry.coded for entry in entries(place) if entry.coded is not None][:2]
    assert one is not None
    assert two is not None
    (place / one.key).write_bytes((place / two.key).read_bytes())
    assert one.key.rpartition("/")[2][:64] != two.key.rpartition("/")[2][:64]
    assert check(place).problems


def test_an_archive_that_is_being_written_is_not_called_damaged(place: Path, studies: Path,
                                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects that appear after they were listed, and records whose lines are still to come."""
    from lrmcodec.archive import verify as module
    from lrmcodec.archive.lock import locked

    listing = dict(module.present(open_archive(str(place)).store))
    clip = a_clip(place)
    monkeypatch.setattr(module, "present", lambda store: [item for item in listing.items() if clip.id not in item[0]])
    assert check(place).problems == []
    shutil.rmtree(place / "manifest")
    (place / "manifest").mkdir()
    with locked(open_archive(str(place)).store):
        assert check(place).problems == []
    assert check(place).problems
