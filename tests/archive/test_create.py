"""Archiving: every file accounted for, equal content once, sources untouched, and going on after any interruption."""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrmcodec.archive import home, objects, task
from lrmcodec.archive.create import Plan, Summary, plan
from lrmcodec.archive.entry import Entry
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.home import Archive, make_archive, open_archive
from lrmcodec.archive.manifest import Manifest
from lrmcodec.archive.policy import Policy, Rule, Target
from lrmcodec.archive.sources import walk
from lrmcodec.archive.store import LocalStore
from lrmcodec.benchmarks.studies import archive_set
from lrmcodec.decoders.registry import DEFAULT_PACK, find_pack
from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError, OutputError
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import beating_heart

Make = Callable[..., Summary]


def entries(place: Path) -> dict[str, Entry]:
    return {entry.path: entry for entry in Manifest(open_archive(str(place)).store).entries()}


def content(place: Path) -> dict[str, str]:
    """All objects and their digests; what differs from run to run left out of records."""
    out = {}
    for path in archive_set.files_below(place / "objects"):
        data = path.read_bytes()
        if path.suffix == ".json" and path.name != "archive.json":
            from lrmcodec.archive.entry import parse_line

            data = replace(parse_line(data), archived="", seconds=0.0, stat="").to_line()
        out[path.name] = hashlib.sha256(data).hexdigest()
    return out


def small(shape: tuple[int, int, int] = (8, 32, 32), seed: int = 0) -> np.ndarray[Any, Any]:
    y, x = np.mgrid[:shape[1], :shape[2]]
    frames = [128 + 60 * np.sin(x / 5 + k / 2 + seed) * np.cos(y / 7) for k in range(shape[0])]
    return np.clip(frames, 0, 255).astype(np.uint8)


def test_every_file_is_accounted_for(studies: Path, place: Path) -> None:
    found = entries(place)
    assert sorted(found) == [f"studies/{path.relative_to(studies)}" for path in archive_set.files_below(studies)]
    kinds = Counter(entry.why or entry.kind for entry in found.values())
    assert (kinds["report"], kinds["waveform"], kinds["color"], kinds["still"], kinds["other"]) == (1, 1, 1, 2, 1)
    assert kinds["clip"] + kinds["uncodable"] == 11
    for word, kind in (("IM00000", "clip"), ("copy_", "clip"), ("clip_", "clip"), ("broken_", "uncodable")):
        assert all((entry.why or entry.kind) == kind for path, entry in found.items() if word in path)
    for path, entry in found.items():
        assert entry.sha256 == hashlib.sha256((studies.parent / path).read_bytes()).hexdigest()
        assert entry.size_bytes == (studies.parent / path).stat().st_size
        assert entry.tool
        assert entry.modified.startswith("20")


def test_a_clip_says_how_it_was_coded(place: Path) -> None:
    entry = next(entry for path, entry in entries(place).items() if "/IM0" in path and entry.kind == "clip")
    coding = entry.coding
    assert coding is not None
    assert entry.coded is not None
    assert (coding.frames, coding.height, coding.width, coding.fps) == (8, 32, 32, 25.0)
    assert coding.settings == {"asked": {"quality": 40}, "quality": 40}
    assert coding.pack == find_pack(DEFAULT_PACK).digest
    assert 15 < coding.psnr_db < 60
    assert 0 < coding.ssim3d <= 1
    assert coding.ratio == pytest.approx(8 * 32 * 32 / entry.coded.size_bytes, abs=1e-3)
    assert coding.readout["quality_word"] in ("cardiac", "not cardiac")
    assert coding.technical["modality"] == "US"


def test_no_patient_in_manifest_and_coded_objects(studies: Path, place: Path) -> None:
    """Files that are kept are kept with all they say; nothing else names anybody, nor the day or the study."""
    import pydicom

    header = pydicom.dcmread(next(studies.rglob("IM00000.dcm")))
    secret = [archive_set.SURNAME.encode(), str(header.StudyInstanceUID).encode(), str(header.SOPInstanceUID).encode(),
              str(header.SeriesInstanceUID).encode(), b"20240", b"2024-0", b"19500101"]
    for path in archive_set.files_below(place):
        if path.suffix != ".zst":
            assert not [word for word in secret if word in path.read_bytes()], path


def test_names_can_be_hidden(studies: Path, tmp_path: Path, make: Make) -> None:
    one = next(studies.rglob("IM00000.dcm"))
    named = tmp_path / "Erika_Mustermann" / "IM00000.dcm"
    named.parent.mkdir()
    shutil.copyfile(one, named)
    bad = tmp_path / "Erika_Mustermann" / "Erika.avi"
    bad.write_bytes(b"nothing")
    make(tmp_path / "a", named.parent, policy=Policy(Target(quality=40), hash_paths=True))
    for path in archive_set.files_below(tmp_path / "a"):
        assert b"Erika" not in path.read_bytes(), path
    again = make(tmp_path / "a", named.parent, policy=None)
    assert (again.new, again.skipped) == (0, 2)
    assert {path.rpartition(".")[2] for path in entries(tmp_path / "a")} == {"dcm", "avi"}


def test_keep_study_keeps_ids_date_and_header(studies: Path, tmp_path: Path, make: Make) -> None:
    import pydicom

    from lrmcodec.formats.dicom_study import StudyTags

    source = next(studies.rglob("IM00000.dcm"))
    make(tmp_path / "a", source, policy=Policy(Target(quality=40), keep_study=True))
    entry = entries(tmp_path / "a")["IM00000.dcm"]
    original = pydicom.dcmread(source)
    assert (entry.study, entry.date.replace("-", "")) == (original.StudyInstanceUID, original.StudyDate)
    assert entry.view == "Apical four chamber"
    assert entry.header is not None
    data = objects.read(open_archive(str(tmp_path / "a")).store, entry.header)
    assert StudyTags.from_bytes(data).elements.PatientName == original.PatientName


def test_equal_pixels_under_other_tags_are_stored_once(studies: Path, tmp_path: Path, make: Make,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:
    clip = next(studies.rglob("IM00000.dcm"))
    again = tmp_path / "in" / "again.dcm"
    again.parent.mkdir()
    shutil.copyfile(clip, again.with_name("first.dcm"))
    import pydicom

    data = pydicom.dcmread(clip)
    data.PatientName = "Other"
    data.save_as(again)
    count = 0
    encode = task.codec.encode

    def counted(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        return encode(*arguments, **options)

    monkeypatch.setattr(task.codec, "encode", counted)
    make(tmp_path / "a", again.parent)
    first, second = entries(tmp_path / "a").values()
    assert first.id != second.id
    assert first.coded == second.coded
    assert count == 1, "equal pixels were coded again"


def test_sources_are_not_touched(studies: Path, tmp_path: Path, make: Make) -> None:
    before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in archive_set.files_below(studies)}
    make(tmp_path / "a", studies, policy=Policy(Target(keep=True)))
    assert before == {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in archive_set.files_below(studies)}


def test_again_does_nothing_but_says_the_same(studies: Path, place: Path, make: Make) -> None:
    before = content(place)
    again = make(place, studies, policy=None)
    assert (again.new, again.skipped, again.files) == (0, 17, 17)
    assert again.has_failed
    assert [path for path, _ in again.uncodable] == [path for path, entry in entries(place).items() if entry.failed]
    assert content(place) == before
    assert not list((place / "locks").iterdir())


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Do the slow part once for equal pixels."""
    known: dict[bytes, Any] = {}

    def call(clip: Clip, *rest: Any) -> Any:
        key = clip.frames.tobytes()
        if key not in known:
            known[key] = function(clip, *rest)
        return known[key]

    return call


class Stopped(BaseException):
    """Stands for a process that ends here and now."""


def test_stopped_at_every_write_it_goes_on_to_the_same_archive(studies: Path, place: Path, tmp_path: Path, make: Make,
                                                               monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever write is the last one, the next run finishes, and the archive is as if nothing had happened."""
    source = [next(studies.rglob(name)) for name in ("IM00000.dcm", "DOP*.dcm")]
    monkeypatch.setattr(home, "token_hex", lambda count: "ab" * count)  # ids are salted by the archive's own
    monkeypatch.setattr(task, "_meet", remembered(task._meet))
    make(tmp_path / "whole", *source)
    expected = content(tmp_path / "whole")
    writing, appending = LocalStore.writing, LocalStore.append

    for last in range(60):
        left = last

        def step() -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise Stopped

        def write(store: LocalStore, key: str, step: Callable[[], None] = step) -> Any:
            step()
            return writing(store, key)

        def append(store: LocalStore, key: str, data: bytes, part: int, step: Callable[[], None] = step) -> None:
            try:
                step()
            except Stopped:
                appending(store, key, data[:len(data) // 2], part)  # torn
                raise
            appending(store, key, data, part)

        target = tmp_path / f"a{last}"
        with monkeypatch.context() as patch:
            patch.setattr(LocalStore, "writing", write)
            patch.setattr(LocalStore, "append", append)
            try:
                make(target, *source)
                finished = True
            except Stopped:
                finished = False
        summary = make(target, *source)
        assert summary.files == 2
        assert not summary.failures
        assert content(target) == expected, last
        assert sorted(entries(target)) == sorted(path.name for path in source)
        shutil.rmtree(target)
        if finished:
            assert last > 6
            return
    pytest.fail("never finished")


def test_leftovers_of_a_crash_are_swept(studies: Path, place: Path, make: Make) -> None:
    for name in ("objects/ab/.half.123.lrm", "manifest/.x.jsonl"):
        (place / name).write_bytes(b"half")
    make(place, studies, policy=None)
    assert not list(place.rglob(".*"))


def test_a_lost_object_is_made_again(studies: Path, place: Path, make: Make) -> None:
    before = content(place)
    gone = next(entry for entry in entries(place).values() if entry.coded is not None)
    assert gone.coded is not None
    (place / gone.coded.key).unlink()
    again = make(place, studies, policy=None)
    assert again.new >= 1
    assert content(place) == before


def test_a_changed_file_is_another_entry(tmp_path: Path, make: Make) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "note.txt").write_text("one")
    make(tmp_path / "a", source)
    (source / "note.txt").write_text("two")
    assert make(tmp_path / "a", source).new == 1
    assert len(list(Manifest(open_archive(str(tmp_path / "a")).store).entries())) == 2


def test_other_settings_are_refused(studies: Path, place: Path, make: Make) -> None:
    with pytest.raises(ArchiveError, match="other settings"):
        make(place, studies, policy=Policy(Target(quality=90)))


def test_a_folder_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(ArchiveError, match="not an archive"):
        make_archive(str(tmp_path), None)


def test_lossless_originals(studies: Path, tmp_path: Path, make: Make) -> None:
    source = next(studies.rglob("IM00000.dcm"))
    make(tmp_path / "a", source, policy=Policy(Target(quality=40), lossless_originals=True))
    entry = entries(tmp_path / "a")["IM00000.dcm"]
    assert entry.kind == "clip"
    assert entry.coded is not None
    assert entry.original is not None
    assert objects.read(open_archive(str(tmp_path / "a")).store, entry.original) == source.read_bytes()


def test_policies_by_view_and_path(tmp_path: Path, make: Make) -> None:
    folder = tmp_path / "in" / "raw"
    folder.mkdir(parents=True)
    for index, view in enumerate(("Apical four chamber", "Parasternal long axis")):
        archive_set.dicom_clip(tmp_path / "in" / f"{index}.dcm", small(seed=index), index, view=view)
    write_clip(Clip.from_fps(small(seed=3), 20.0), folder / "x.avi")
    rules = Rule(Target(quality=20), view="apical*"), Rule(Target(keep=True), path="*/raw/*")
    policy = Policy(Target(quality=60), rules)
    make(tmp_path / "a", tmp_path / "in", policy=policy)
    found = entries(tmp_path / "a")
    first, second = found["in/0.dcm"].coding, found["in/1.dcm"].coding
    assert first is not None
    assert second is not None
    assert (first.settings["quality"], second.settings["quality"]) == (20, 60)
    assert (found["in/raw/x.avi"].kind, found["in/raw/x.avi"].why) == ("kept", "policy")


def test_min_ssim_codes_better_or_keeps(tmp_path: Path, make: Make) -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (8, 32, 32)).astype(np.uint8)
    heart = beating_heart(8, (48, 48), 25.0).frames
    archive_set.dicom_clip(tmp_path / "heart.dcm", heart, 0)
    archive_set.dicom_clip(tmp_path / "noise.dcm", noise, 1)
    policy = Policy(Target(quality=5, min_ssim=0.97), (Rule(Target(psnr=119, min_ssim=0.97), path="noise*"),))
    make(tmp_path / "a", tmp_path / "heart.dcm", tmp_path / "noise.dcm", policy=policy)
    found = entries(tmp_path / "a")
    coding = found["heart.dcm"].coding
    assert coding is not None
    assert coding.ssim3d >= 0.97
    assert coding.settings["min_ssim"] == 0.97
    assert (found["noise.dcm"].kind, found["noise.dcm"].why) == ("kept", "policy")


def test_what_cannot_be_read_is_listed_and_tried_again(tmp_path: Path, make: Make) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "gone.txt").symlink_to(tmp_path / "nothing")
    (source / "there.txt").write_text("there")
    first = make(tmp_path / "a", source)
    assert [failure.path for failure in first.failures] == ["in/gone.txt"]
    assert first.new == 1
    (tmp_path / "nothing").write_text("now")
    assert make(tmp_path / "a", source).failures == []


def test_a_full_disk_ends_the_run(studies: Path, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(store: LocalStore, key: str) -> Any:
        raise OutputError(f"{key} cannot be written: No space left on device.")

    make_archive(str(tmp_path / "a"), Policy(Target(quality=40)))
    monkeypatch.setattr(LocalStore, "writing", full)
    with pytest.raises(OutputError, match="No space"):
        make(tmp_path / "a", studies)


def test_memory_errors_are_failures_of_one_file(studies: Path, tmp_path: Path, make: Make,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*arguments: Any, **options: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(task.codec, "encode", starved)
    done = make(tmp_path / "a", next(studies.rglob("IM00000.dcm")))
    assert "memory" in done.failures[0].reason
    assert done.files == 1


def test_dry_run_changes_nothing(studies: Path, place: Path, archive: Archive, tmp_path: Path) -> None:
    seen: list[int] = []

    def watch(made: Plan) -> None:
        seen.append(made.files.total())

    made = plan(None, walk([str(studies)], str(tmp_path / "none")), None, watch)
    assert made.files.total() == seen[-1] == 17
    assert made.files["clip"] >= 6
    again = plan(archive, walk([str(studies)], str(place)), None, watch)
    assert again.files == {"archived": 17}


def test_shards_share_one_archive(studies: Path, place: Path, tmp_path: Path) -> None:
    from lrmcodec.archive.create import _opened, create
    from lrmcodec.archive.workers import Workers

    for index in (1, 2, 3):
        _opened.cache_clear()
        archive = make_archive(str(tmp_path / "a"), Policy(Target(quality=40)))
        create(archive, walk([str(studies)], str(tmp_path / "a")), Workers(), shard=(index, 3))
    assert set(entries(tmp_path / "a")) == set(entries(place))
    ours, theirs = (set(content(each)) - {"archive.json"} for each in (tmp_path / "a", place))
    assert ours == theirs


def test_hidden_archive_inside_the_source_is_left_out(tmp_path: Path, make: Make) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text("x")
    place = tmp_path / "in" / "archive"
    assert make(place, tmp_path / "in").files == 1
    assert make(place, tmp_path / "in").files == 1
    assert (place / "archive.json").exists()


def test_masked_clips_are_dark_beside_the_fan(tmp_path: Path, make: Make) -> None:
    frames = beating_heart(16, (64, 64), 25.0).frames.copy()
    frames[:, :6, :6] = 200
    archive_set.dicom_clip(tmp_path / "heart.dcm", frames, 0)
    make(tmp_path / "a", tmp_path / "heart.dcm", policy=Policy(Target(quality=70), mask="sector"))
    entry = entries(tmp_path / "a")["heart.dcm"]
    assert entry.coding is not None
    assert entry.coded is not None
    assert entry.coding.settings["mask"] in ("fan", "hull", "rectangle")
    decoded = task.codec.decode(objects.read(open_archive(str(tmp_path / "a")).store, entry.coded)).frames
    assert decoded[:, :5, :5].max() < 30


def test_a_missing_package_is_no_fault_of_the_file(studies: Path, tmp_path: Path, make: Make,
                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is archived then, so that the clip is coded once the package is there."""
    source = next(studies.rglob("IM00000.dcm"))

    def refuse(path: Path) -> Clip:
        raise ClipError("DICOM files need pydicom, which is not installed.")

    with monkeypatch.context() as patch:
        patch.setattr(task, "read_clip", refuse)
        done = make(tmp_path / "a", source)
    assert "not installed" in done.failures[0].reason
    assert make(tmp_path / "a", source).kinds["clip"] == 1


def test_what_another_version_makes_again_takes_the_place_of_what_was_lost(
        studies: Path, place: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the run was stopped between the record and the line of the manifest."""
    from lrmcodec.archive.verify import verify
    from lrmcodec.archive.workers import Workers

    before = entries(place)
    gone = next(entry for entry in before.values() if entry.coded is not None)
    assert gone.coded is not None
    (place / gone.coded.key).unlink()
    meet = task._meet
    monkeypatch.setattr(task, "_meet", lambda clip, target, pack: meet(clip, Target(quality=70), pack))
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "append", lambda *_: (_ for _ in ()).throw(OutputError("stopped")))
        with pytest.raises(OutputError):
            make(place, studies, policy=None)
    make(place, studies, policy=None)
    after = entries(place)
    assert after[gone.path].coded != gone.coded
    assert set(after) == set(before)
    assert verify(open_archive(str(place)), Workers()).problems == []
