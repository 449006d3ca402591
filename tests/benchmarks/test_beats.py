"""Evaluation of the readout of beats: matching, signs, tables, and runs that go on where they were stopped."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrmcodec import codec
from lrmcodec.benchmarks.measure import kept_clips
from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.readout_error import match, readout_cells, with_right_sign
from lrmcodec.benchmarks.measure.rows import Row, read_rows
from lrmcodec.benchmarks.measure.sets import Source
from lrmcodec.benchmarks.setting import Setting
from lrmcodec.benchmarks.studies import beats
from lrmcodec.cardiac.readout import read_phase
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import Phantom, phantom

BEST = Setting("ratio", 1000)
COMMON: dict[str, Any] = {"rank": 4, "group": "hearts", "verdict": "cardiac", "polarity_confidence": 0.6,
                          "rhythm": "sinus", "parts": "header=10 phase=5"}


def row(**changed: Any) -> Row:
    """A row whose sign is wrong: what was read lies half a beat off."""
    events = {"ed_labels": (10, 60), "es_labels": (30, 80), "ed_found": (31, 79), "es_found": (11, 61),
              "ed_turned": (11, 61), "es_turned": (31, 79), "ed_events": 2, "es_events": 2, "ed_misses": 0,
              "es_misses": 0, "ed_false_alarms": 0, "es_false_alarms": 0, "ed_error_frames": 20.0,
              "ed_error_ms": 400.0, "ed_bias_frames": 20.0, "es_error_frames": 19.0, "es_error_ms": 380.0,
              "es_bias_frames": -19.0, "sign_right": False}
    return Row("x", "id", "lrmcodec spatial", BEST, 100, 112, 112, 50.0, 1254400, **{**COMMON, **events, **changed})


@pytest.mark.parametrize(("true", "found", "errors"), [
    ([10, 50], [12, 49], [2, -1]),
    ([10, 50], [30], []),  # half a beat is 15 here
    ([10], [8, 11], [1]),
    ([10, 20], [16], [-4]),  # the nearer one, and only one
    ([10, 20], [14, 15], [4, -5]),  # most pairs come first
    ([], [3], []), ([3], [], []),
])
def test_events_are_matched_one_to_one(true: list[int], found: list[int], errors: list[float]) -> None:
    assert match(true, found, 15) == errors


def test_tables_show_what_polarity_costs() -> None:
    good = replace(with_right_sign(row()), sign_right=True)
    assert (good.ed_error_frames, good.es_bias_frames, good.ed_misses) == (1, 0, 0)
    lines = beats.beat_table({("hearts", BEST): [good, row()]}).rows
    assert len(lines) == 2
    assert lines[0][:7] == ("hearts", "best (4 to 4)", "stored direction", "2", "5.0", "0", "50.0 %")
    assert lines[1][2] == "stored direction, oracle polarity"
    assert lines[1][6:] == ("-", "1.00", "1.00", "+1.00", "0.0 %", "0.0 %", "1.00", "1.00", "+0.00", "0.0 %", "0.0 %")
    assert len(beats.beat_table({("hearts", BEST): [good]}).rows) == 1


def test_what_nobody_labelled_is_no_false_alarm() -> None:
    (line,) = beats.beat_table({("real", BEST): [replace(row(), sign_right=True, ed_false_alarms=None,
                                                         es_false_alarms=None)]}).rows
    assert (line[11], line[16]) == ("-", "-")


def test_the_papers_protocol_takes_the_nearest_event() -> None:
    one = row(ed_labels=(10,), es_labels=(30,), ed_turned=(13, 60), es_turned=(29,), ed_false_alarms=None)
    lost = row(ed_turned=(), es_turned=(), ed_false_alarms=None)
    assert beats.paper_table([one, lost]).rows == [("ED", "1", "1", "3.00"), ("ES", "1", "1", "1.00")]


def test_confidence_is_compared_with_what_came_true() -> None:
    lines = beats.reliability([row(), row(sign_right=True), row(polarity_confidence=0.97, sign_right=True)]).rows
    assert lines == [("0.5 to 0.7", "2", "0.60", "50.0 %"), ("0.95 to 1", "1", "0.97", "100.0 %")]


def test_irregular_rhythms_are_shown_by_themselves() -> None:
    two = Setting("ratio", 1000, 2)
    groups = beats.grouped([row(), row(rhythm="ectopic"), replace(row(rhythm="ectopic"), setting=two)])
    assert {key: len(found) for key, found in groups.items()} == {
        ("hearts", BEST): 2, ("hearts", two): 1, ("hearts, irregular rhythm", BEST): 1}


def test_clips_without_a_heart_are_counted() -> None:
    table = beats.lung_table([row(verdict="not cardiac", parts="header=9", readout_quality=0.25),
                              row(readout_quality=0.9)])
    assert "'not cardiac' in 1 of 2; the encoder saw a heart in 1" in table.title
    assert table.rows == [("x", "not cardiac", "0.25"), ("x", "cardiac", "0.90")]


@pytest.fixture(scope="module")
def heart() -> Phantom:
    return phantom(60, (32, 32), seed=1)


@pytest.mark.usefixtures("quick_pictures")
def test_a_wrong_sign_is_seen_and_turned(heart: Phantom) -> None:
    file = codec.open(codec.encode(heart.clip, ratio=60, rank=4).data)
    read = read_phase(file)
    ed, es = (tuple(frames.tolist()) for frames in (heart.ed_frames, heart.es_frames))
    labels = Labels(ed, es, area=tuple(heart.cavity_volume.tolist()))
    right = readout_cells(file, read, labels)
    assert right["sign_right"] is True
    assert "ed_turned" not in right
    upside_down = replace(read, signal=-read.signal)
    for known in (labels, replace(labels, area=())):
        wrong = readout_cells(file, upside_down, known)
        assert wrong["sign_right"] is False
        assert wrong["ed_turned"] == tuple(read.ed_frames)
    assert readout_cells(file, read, None)["verdict"] == read.quality_word
    assert [beats.phase_bytes(row(parts=f"header=10 {part}=6")) for part in ("heart", "ventricle", "phase")] == [6] * 3


@pytest.mark.usefixtures("quick_bench")
def test_the_command_writes_page_and_rows(heart: Phantom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    """Quick hearts from files in place of the simulator's; one EchoNet-Dynamic clip with one labelled pair."""
    folder = tmp_path / "echonet"
    (folder / "Videos").mkdir(parents=True)
    write_clip(heart.clip, folder / "Videos" / "A.avi")
    (folder / "FileList.csv").write_text("FileName,Split\nA,TEST\nB,TRAIN\n")
    ed = int(heart.ed_frames[0])
    es = next(int(frame) for frame in heart.es_frames if frame > ed)
    (folder / "VolumeTracings.csv").write_text(f"FileName,Frame\nA.avi,{es}\nA.avi,{es}\nA.avi,{ed}\nA.avi,{ed}\n")
    labels = Labels(tuple(heart.ed_frames.tolist()), tuple(heart.es_frames.tolist()), rhythm="ectopic",
                    area=tuple(heart.cavity_volume.tolist()))
    monkeypatch.setattr(beats, "hearts", lambda spec, cache: [
        Source("p_1", str(folder / "Videos" / "A.avi"), group="p", labels=labels)])
    monkeypatch.setattr(sys, "argv", ["beats", "-o", str(tmp_path / "out"), "--hearts", "p:1:1", "--ranks", "best,2",
                                      "--ratio", "60", "--without", "1", "--echonet", str(folder)])
    beats.main()
    text = (tmp_path / "out" / beats.PAGE).read_text()
    assert text == capsys.readouterr().out
    for line in ("| p | 2 | stored direction | 1 |", "| p, irregular rhythm | best", "no component",
                 "| EchoNet-Dynamic test | 2 | stored direction | 1 |", "by the paper's protocol", "p:1:1"):
        assert line in text, line
    rows = read_rows(tmp_path / "out" / "rows.tsv")
    assert {(row.clip, row.setting.words) for row in rows} == {
        ("p_1", "ratio 60"), ("p_1", "rank 2 ratio 60"), ("p_1", "ratio 60 without phase"),
        ("A", "ratio 60"), ("A", "rank 2 ratio 60")}
    (real,) = [row for row in rows if row.clip == "A" and row.setting.asked_rank == 2]
    assert (real.ed_labels, real.es_labels, real.ed_false_alarms) == ((ed,), (es,), None)


def test_simulated_clips_are_kept(heart: Phantom, tmp_path: Path) -> None:
    made: list[int] = []
    labels = Labels((1, 20), (8,), 70.0, rhythm="sinus", area=(1.0, 2.5))

    def make() -> tuple[Any, Labels]:
        made.append(1)
        return heart.clip, labels

    for _ in range(2):
        clip, known = kept_clips.kept(tmp_path, "heart", make)
        np.testing.assert_array_equal(clip.frames, heart.clip.frames)
        np.testing.assert_array_equal(clip.times_s, heart.clip.times_s)
        assert known == labels
    assert made == [1]
    assert [path.name for path in tmp_path.glob("*/*")] == ["heart.npz"]
