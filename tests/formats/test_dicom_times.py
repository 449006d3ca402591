"""Frame times of DICOM: order of precedence, disagreement, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom")

from dicom_files import item, make, ramp
from pydicom.tag import Tag

from lrmcodec.formats.stamps import UNKNOWN_RATE
from lrmcodec.formats.video import read_clip


@pytest.mark.parametrize(
    ("elements", "expected", "source"),
    [
        ({"FrameTime": "40", "FrameIncrementPointer": Tag("FrameTime")}, [0, 0.04, 0.08], "FrameTime"),
        ({"FrameTime": "40"}, [0, 0.04, 0.08], "FrameTime"),
        ({"FrameTimeVector": [0, 20, 35.5], "FrameIncrementPointer": Tag("FrameTimeVector")}, [0, 0.02, 0.0555],
         "FrameTimeVector"),
        ({"FrameTimeVector": [20, 35.5]}, [0, 0.02, 0.0555], "FrameTimeVector"),
        ({"CineRate": "50"}, [0, 0.02, 0.04], "CineRate"),
        ({"RecommendedDisplayFrameRate": "20"}, [0, 0.05, 0.1], "RecommendedDisplayFrameRate"),
        ({"ActualFrameDuration": "50"}, [0, 0.05, 0.1], "ActualFrameDuration"),
        ({"FrameTime": "0", "CineRate": "50"}, [0, 0.02, 0.04], "CineRate"),
        ({"FrameTime": None, "CineRate": "50"}, [0, 0.02, 0.04], "CineRate"),
        ({"FrameTime": "33.37", "CineRate": "30", "RecommendedDisplayFrameRate": "29"}, [0, 0.03337, 0.06674],
         "FrameTime"),
    ],
)
def test_times(tmp_path: Path, elements: dict[str, Any], expected: list[float], source: str) -> None:
    clip = read_clip(make(tmp_path / "a.dcm", ramp(3), **elements))
    np.testing.assert_allclose(clip.times_s, expected, atol=1e-12)
    assert clip.metadata["times_source"] == source
    assert clip.warnings == ()


@pytest.mark.parametrize(
    ("elements", "expected", "source", "words"),
    [
        ({"FrameTimeVector": [0, 20, 35], "FrameTime": "40", "FrameIncrementPointer": Tag("FrameTime")},
         [0, 0.04, 0.08], "FrameTime", ["FrameTime says 25", "FrameTimeVector 36.36"]),
        ({"FrameTimeVector": [0, 20, 35], "FrameTime": "40", "FrameIncrementPointer": Tag("FrameTimeVector")},
         [0, 0.02, 0.055], "FrameTimeVector", ["FrameTimeVector says 36.36", "FrameTime 25"]),
        ({"FrameTime": "40", "CineRate": "50"}, [0, 0.04, 0.08], "FrameTime", ["FrameTime says 25", "CineRate 50"]),
        ({"CineRate": "50", "RecommendedDisplayFrameRate": "25"}, [0, 0.02, 0.04], "CineRate",
         ["CineRate says 50", "RecommendedDisplayFrameRate 25"]),
        ({"FrameTimeVector": [0, 20]}, [0, 0.02, 0.04], "FrameTimeVector", ["one step short"]),
        ({"FrameTimeVector": [0, 20, 20, 20, 20], "CineRate": "50"}, [0, 0.02, 0.04], "CineRate",
         ["5 values for 3 frames"]),
        ({"FrameTimeVector": [0, 20, 0], "CineRate": "50"}, [0, 0.02, 0.04], "CineRate", ["does not rise"]),
        ({"FrameTimeVector": [0, 20, -5], "FrameTime": "20"}, [0, 0.02, 0.04], "FrameTime", ["does not rise"]),
        ({"FrameTime": "1e-300", "CineRate": "50"}, [0, 0.02, 0.04], "CineRate", ["makes no sense"]),
        ({"FrameTime": "-40"}, [0, 0.04, 0.08], "assumed", ["makes no sense", UNKNOWN_RATE]),
        ({"FrameTime": "0.01"}, [0, 0.04, 0.08], "assumed", ["makes no sense", UNKNOWN_RATE]),
        ({"CineRate": "2147483647"}, [0, 0.04, 0.08], "assumed", ["makes no sense", UNKNOWN_RATE]),
        ({}, [0, 0.04, 0.08], "assumed", [UNKNOWN_RATE]),
    ],
)
def test_what_disagrees_or_makes_no_sense_is_said(
    tmp_path: Path, elements: dict[str, Any], expected: list[float], source: str, words: list[str]
) -> None:
    path = make(tmp_path / "a.dcm", ramp(3), **elements)
    clip = read_clip(path)
    np.testing.assert_allclose(clip.times_s, expected, atol=1e-12)
    assert clip.metadata["times_source"] == source
    for word in words:
        assert any(word in text for text in clip.warnings), clip.warnings
    assert all(text.startswith("frame times") for text in clip.warnings)
    assert read_clip(path, fps=30).warnings == ()


def groups(*stamps: dict[str, Any]) -> list[Any]:
    return [item(FrameContentSequence=[item(**stamp)]) for stamp in stamps]


def test_times_of_functional_groups_go_before_rates(tmp_path: Path) -> None:
    stamps = ["20240229235959.980000", "20240301000000.000000", "20240301000000.050000"]
    frames = groups(*({"FrameAcquisitionDateTime": stamp} for stamp in stamps))
    path = make(tmp_path / "a.dcm", ramp(3), PerFrameFunctionalGroupsSequence=frames, FrameTime="40")
    clip = read_clip(path)
    np.testing.assert_allclose(clip.times_s, [0, 0.02, 0.07], atol=1e-9)
    assert clip.metadata["times_source"] == "FrameAcquisitionDateTime"
    assert any("FrameTime 25" in text for text in clip.warnings)


def test_pointed_element_goes_before_functional_groups(tmp_path: Path) -> None:
    frames = groups(*({"FrameReferenceDateTime": f"2024010100000{i}+0100"} for i in range(3)))
    path = make(tmp_path / "a.dcm", ramp(3), PerFrameFunctionalGroupsSequence=frames, FrameTime="40",
                FrameIncrementPointer=Tag("FrameTime"))
    clip = read_clip(path)
    assert clip.metadata["times_source"] == "FrameTime"
    assert any("FrameReferenceDateTime 1;" in text for text in clip.warnings)


def test_temporal_positions(tmp_path: Path) -> None:
    frames = [item(TemporalPositionSequence=[item(TemporalPositionTimeOffset=0.5 + i / 64)]) for i in range(3)]
    clip = read_clip(make(tmp_path / "a.dcm", ramp(3), PerFrameFunctionalGroupsSequence=frames))
    np.testing.assert_allclose(clip.times_s, [0, 1 / 64, 2 / 64])
    assert clip.metadata["times_source"] == "TemporalPositionTimeOffset"
    assert clip.warnings == ()


def test_functional_groups_that_do_not_fit(tmp_path: Path) -> None:
    known = {"FrameAcquisitionDateTime": "20240101000000"}
    for frames, word in ((groups(known, known, known), "does not rise"), (groups(known, {}, {}), "known of 1 of 3"),
                         (groups(known, known), "groups for 2 of 3")):
        clip = read_clip(make(tmp_path / "a.dcm", ramp(3), PerFrameFunctionalGroupsSequence=frames, FrameTime="40"))
        assert clip.metadata["times_source"] == "FrameTime"
        assert any(word in text for text in clip.warnings), clip.warnings


def test_vector_of_more_frames_than_are_left(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(4), FrameTimeVector=[0, 20, 30, 40])
    path.write_bytes(path.read_bytes()[:-100])
    clip = read_clip(path)
    np.testing.assert_allclose(clip.times_s, [0, 0.02, 0.05])
    assert any("cut off in frame 3 of 4" in text for text in clip.warnings)
