"""Evaluation of the phase readout: matching, tables, and runs that go on where they were stopped."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrmcodec.benchmarks.measure.readout_error import match
from lrmcodec.benchmarks.studies import phase
from lrmcodec.formats.video import write_clip
from lrmcodec.simulate.heart.phantom import random_phantom

pytestmark = pytest.mark.usefixtures("quick_pictures")


def heart(preset: str, seed: int, folder: Path | None) -> phase.Labelled:
    """A quick heart instead of the simulator's."""
    made = random_phantom(seed, 90, (64, 64))
    return phase.Labelled(f"{preset}_{seed}", made.clip, made.ed_frames.tolist(), made.es_frames.tolist(),
                          made.cavity_volume, "sinus")


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


def test_a_tally_counts_what_is_left_over() -> None:
    tally = phase.Tally()
    tally.add([10, 50, 90], [11, 48, 70, 75], 10, 25)
    assert (tally.events, tally.missed, tally.invented) == (3, 1, 2)
    assert tally.errors == [1, -2]
    assert tally.cells() == ["1.50", "3.00", "-1.00", "33.3 %", "66.7 %"]
    assert tally.cells(every_beat=False)[-1] == "-"
    assert phase.Tally().cells()[0] == "-"


def row(**changed: Any) -> phase.Row:
    values = {"clip": "x", "rank": 4, "size_bytes": 999, "phase_bytes": 7, "fps": 50.0, "frames": 100,
              "rhythm": "sinus", "every_beat": True, "true_ed": [10, 60], "true_es": [30, 80], "ed": [31, 79],
              "es": [11, 61], "oracle_ed": [11, 61], "oracle_es": [31, 79], "wrong_sign": True, "word": "cardiac",
              "quality": 0.9, "confidence": 0.6}
    return values | changed


def test_tables_show_what_polarity_costs() -> None:
    good = row(ed=[11, 61], es=[31, 79], wrong_sign=False)
    lines = phase.table({("hearts", "2", "stored direction"): [good, row()]})
    assert len(lines) == 4
    assert "50.0 %" in lines[2]
    assert "oracle polarity" in lines[3]
    assert "| 1.00 | 1.00 | +1.00 | 0.0 % | 0.0 %" in lines[3]
    assert len(phase.table({("hearts", "2", "stored direction"): [good]})) == 3


def test_the_papers_protocol_takes_the_nearest_event() -> None:
    one = row(every_beat=False, true_ed=[10], true_es=[30], oracle_ed=[13, 60], oracle_es=[29])
    lines = phase.paper_table([one, row(oracle_ed=[], oracle_es=[], every_beat=False)])
    assert lines[2:] == ["| ED | 1 | 1 | 3.00 |", "| ES | 1 | 1 | 1.00 |"]


def test_confidence_is_compared_with_what_came_true() -> None:
    lines = phase.reliability([row(), row(wrong_sign=False), row(confidence=0.97, wrong_sign=False)])
    assert lines[2:] == ["| 0.5 to 0.7 | 2 | 0.60 | 50.0 % |", "| 0.95 to 1 | 1 | 0.97 | 100.0 % |"]


def test_irregular_rhythms_are_shown_by_themselves() -> None:
    rows = {"p_0|1000|best|stored": row(), "p_1|1000|best|stored": row(rhythm="ectopic"),
            "p_1|1000|2|stored": row(rhythm="ectopic"), "q_1|1000|2|stored": row()}
    groups = phase.grouped(rows, "P", "p_")
    assert {key: len(found) for key, found in groups.items()} == {
        ("P", "best", "stored direction"): 2, ("P", "2", "stored direction"): 1,
        ("P, irregular rhythm", "best", "stored direction"): 1}


def test_clips_without_a_heart_are_counted() -> None:
    lines = phase.lung_lines([row(word="not cardiac", phase_bytes=0, quality=0.25, clip="a"), row(clip="b")])
    assert "'not cardiac' in 1 of 2; the encoder saw a heart in 1" in lines[0]
    assert lines[4:] == ["| a | not cardiac | 0.25 |", "| b | cardiac | 0.90 |"]


def test_a_run_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int] = []

    def load(seed: int) -> phase.Labelled:
        loaded.append(seed)
        return heart("p", seed, None)

    tasks = [phase.Task(f"p_{seed}|60|{rank}|stored", partial(load, seed), 60, rank)
             for seed in (1, 2) for rank in (2, 4)]
    first = phase.run(tasks[:3], tmp_path / "x.jsonl")
    assert loaded == [1, 2]
    again = phase.run(tasks, tmp_path / "x.jsonl")
    assert loaded == [1, 2, 2]
    assert {key: again[key] for key in first} == first
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) == 4
    assert [values["rank"] for values in again.values()] == [2, 4, 2, 4]
    assert all(values["ed"] and values["size_bytes"] < 90 * 64 * 64 / 60 for values in again.values())


def test_the_command_writes_page_and_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(phase, "simulated", heart)
    monkeypatch.setattr(sys, "argv", ["phase", "-o", str(tmp_path), "--hearts", "p:1:2", "--ranks", "best,2",
                                      "--ratio", "60", "--without", "1"])
    phase.main()
    text = (tmp_path / "phase.md").read_text()
    assert text == capsys.readouterr().out
    assert "| p | 2 | stored direction | 2 |" in text
    assert "p:1:2" in text
    assert "no component" in text
    keys = [json.loads(line)["key"] for line in (tmp_path / "phase.jsonl").read_text().splitlines()]
    assert keys == ["p_1|60|best|stored", "p_1|60|2|stored", "p_1|60|best|none", "p_2|60|best|stored",
                    "p_2|60|2|stored"]


def test_one_labelled_pair_a_clip(tmp_path: Path) -> None:
    """The layout of EchoNet-Dynamic: the last frame listed is end diastole, the first end systole."""
    made = heart("p", 1, None)
    (tmp_path / "Videos").mkdir()
    write_clip(made.clip, tmp_path / "Videos" / "A.avi")
    (tmp_path / "FileList.csv").write_text("FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split\n"
                                           "A,60,40,100,64,64,50,90,TEST\nB,60,40,100,64,64,50,90,TRAIN\n")
    ed, es = made.ed[0], next(frame for frame in made.es if frame > made.ed[0])
    (tmp_path / "VolumeTracings.csv").write_text("FileName,X1,Y1,X2,Y2,Frame\n" + "".join(
        f"A.avi,1,1,2,2,{frame}\n" for frame in (es, es, ed, ed)))
    tasks = list(phase.echonet_tasks(tmp_path, "test", None, 60, [4]))
    rows = phase.run(tasks, tmp_path / "x.jsonl")
    assert list(rows) == ["echonet_test_A|60|4|stored"]
    one = rows["echonet_test_A|60|4|stored"]
    assert (one["true_ed"], one["true_es"], one["every_beat"]) == ([ed], [es], False)
    lines = phase.table(phase.grouped(rows, "real", "echonet_test_"))
    assert lines[2].endswith("| - |")
    assert len(phase.paper_table(list(rows.values()))) == 4


def test_simulated_clips_are_kept(tmp_path: Path) -> None:
    first = phase.simulated("pocus_plax", 3, tmp_path)
    kept = list(tmp_path.glob("*/pocus_plax_3.npz"))
    assert len(kept) == 1
    again = phase.simulated("pocus_plax", 3, tmp_path)
    np.testing.assert_array_equal(first.clip.frames, again.clip.frames)
    assert (first.ed, first.es, first.rhythm) == (again.ed, again.es, again.rhythm)
    assert first.area is not None
    assert len(first.area) == len(first.clip.frames)
