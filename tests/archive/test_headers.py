"""What files are, and what of their headers is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from lrmcodec.archive.headers import Facts, read_facts, without_identity
from lrmcodec.benchmarks.studies import archive_set


@pytest.mark.parametrize(("name", "why"), [("a.avi", ""), ("a.MP4", ""), ("a.png", "still"), ("a.pdf", "report"),
                                           ("a.bin", "other"), ("noname", "other"), ("a.dcm", "")])
def test_by_name(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert read_facts(tmp_path / name, f"x/{name}").why == why


def test_of_a_clip(tmp_path: Path) -> None:
    file = archive_set.dicom_clip(tmp_path / "IM1", np.zeros((3, 16, 16), np.uint8), 4, view="Apical two chamber")
    facts, date = read_facts(file, "IM1"), pydicom.dcmread(file).StudyDate
    assert (facts.why, facts.modality, facts.view) == ("", "US", "Apical two chamber")
    assert facts.date.replace("-", "") == date
    hidden = without_identity(facts, "salt")
    assert (hidden.modality, hidden.view, hidden.date) == ("US", "Apical two chamber", "")
    assert hidden.study.startswith("2.25.")
    assert len(hidden.study) <= 64
    assert without_identity(facts, "salt") == hidden
    assert without_identity(facts, "pepper").study != hidden.study
    assert without_identity(Facts(""), "salt").study == ""


def test_a_header_that_is_cut_off_is_a_damaged_clip_not_some_file(tmp_path: Path) -> None:
    file = archive_set.dicom_clip(tmp_path / "IM1", np.zeros((3, 16, 16), np.uint8), 4)
    file.write_bytes(file.read_bytes()[:400])
    assert read_facts(file, "IM1").why == ""


def test_a_wrong_date_is_none(tmp_path: Path) -> None:
    file = archive_set.dicom_still(tmp_path / "IM1", np.zeros((16, 16), np.uint8), 4)
    data = pydicom.dcmread(file)
    data.StudyDate = ""
    data.save_as(file)
    assert (read_facts(file, "IM1").date, read_facts(file, "IM1").why) == ("", "still")
