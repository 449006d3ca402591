"""Label files in all their forms, and errors of a readout against labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from lrmcodec.benchmarks.measure.labels import Labels, read_labels
from lrmcodec.benchmarks.measure.readout_error import readout_errors
from lrmcodec.cardiac.readout import Phase
from lrmcodec.formats.errors import ClipError


def phase(ed: list[int], es: list[int], rate: float | None = 60.0) -> Phase:
    return Phase(50.0, ed, es, [f / 50 for f in ed], [f / 50 for f in es], rate, [], np.zeros(200), 1.0, 1.0, "cardiac")


def test_json(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"a.avi": {"ed_frames": [50, 3], "es_frames": [20], "heart_rate_bpm": 64},
                                "b": {"ed_frames": [], "es_frames": [7], "every_beat": False}}))
    assert read_labels(path) == {"a": Labels((3, 50), (20,), 64.0), "b": Labels((), (7,), None, False)}


def test_a_folder_of_truths(tmp_path: Path) -> None:
    (tmp_path / "heart.json").write_text(json.dumps({"view": "a4c", "ed_frames": [1], "es_frames": [9], "fps": 50}))
    assert read_labels(tmp_path) == {"heart": Labels((1,), (9,))}


def test_csv_as_the_readout_prints_it(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("file,event,frame,time_s\nx/heart.lrm,ED,4,0.08\nx/heart.lrm,ES,20,0.4\nx/heart.lrm,ED,54,1.08\n")
    assert read_labels(path) == {"heart": Labels((4, 54), (20,))}


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": {"ed_frames": [1]}}', '{"a": 3}',
                                  '{"a": {"ed_frames": [-1], "es_frames": []}}',
                                  '{"a": {"ed_frames": ["x"], "es_frames": []}}'])
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.json"
    path.write_text(text)
    with pytest.raises(ClipError, match="does not hold labels"):
        read_labels(path)


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "clip,event,frame\nx,EF,3\n", "clip,event,frame\nx,ED,early\n"])
def test_other_csv_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(ClipError, match="does not hold labels"):
        read_labels(path)


def test_missing_labels_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="cannot be read"):
        read_labels(tmp_path / "no.json")


def test_errors_misses_and_false_alarms() -> None:
    labels = Labels((0, 50, 100), (20, 70, 120), 60.0)
    found = readout_errors(phase([2, 49], [20, 71, 95, 122], rate=63.0), labels)
    assert (found["ed_events"], found["ed_misses"], found["ed_false_alarms"]) == (3, 1, 0)
    assert found["ed_error_frames"] == pytest.approx(1.5)
    assert found["ed_error_ms"] == pytest.approx(30)
    assert (found["es_misses"], found["es_false_alarms"]) == (0, 1)
    assert found["es_error_frames"] == pytest.approx(1)
    assert found["heart_rate_error_bpm"] == pytest.approx(3)


def test_one_labelled_pair_makes_no_false_alarms() -> None:
    found = readout_errors(phase([2, 49, 99], [20, 71]), Labels((48,), (70,), every_beat=False))
    assert (found["ed_misses"], found["es_misses"]) == (0, 0)
    assert "ed_false_alarms" not in found
    assert "heart_rate_error_bpm" not in found


def test_nothing_found_is_all_missed() -> None:
    found = readout_errors(phase([], [], None), Labels((10, 60), (30,)))
    assert (found["ed_misses"], found["es_misses"], found["ed_false_alarms"]) == (2, 1, 0)
    assert "ed_error_frames" not in found


def test_the_rate_follows_from_the_labels() -> None:
    assert Labels((0, 50, 100), ()).rate_bpm(50.0) == pytest.approx(60)
    assert Labels((0,), (20,)).rate_bpm(50.0) is None
    assert Labels((0, 50), (), None, False).rate_bpm(50.0) is None
