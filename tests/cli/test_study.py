"""`--keep-study`: the patient and the study through a .lrm file and back, only where they are asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_source import PATIENT, waves, write_source  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402

Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.usefixtures("quick_pictures")


@pytest.fixture
def source(tmp_path: Path) -> Dataset:
    """A clip with a patient at `tmp_path / "a.dcm"`."""
    return write_source(tmp_path / "a.dcm", waves(6, 32, 48))


def names_somebody(data: bytes) -> list[str]:
    return [value for value in PATIENT.values() if len(value) > 1 and value.encode() in data]


def test_there_and_back(run: Run, source: Dataset, tmp_path: Path) -> None:
    code, out, _ = run("encode", tmp_path / "a.dcm", "--keep-study", "--ratio", 5, "--json")
    assert code == 0
    facts = json.loads(out)
    assert facts["ratio"] >= 5  # the study is counted
    code, out, _ = run("info", tmp_path / "a.lrm", "--json")
    assert json.loads(out)["bytes"]["study"] > 300
    assert not names_somebody(out.encode())
    _, out, _ = run("info", tmp_path / "a.lrm")
    assert "patient and study of a DICOM clip are stored" in out
    assert not names_somebody(out.encode())
    assert run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.dcm", "--keep-study")[0] == 0
    written = pydicom.dcmread(tmp_path / "b.dcm")
    assert written.PatientName == PATIENT["PatientName"]
    assert written.StudyInstanceUID == source.StudyInstanceUID
    assert written.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert float(written.LossyImageCompressionRatio) == pytest.approx(facts["ratio"])


def test_info_tells_where_the_times_come_from(run: Run, source: Dataset, tmp_path: Path) -> None:
    assert run("encode", tmp_path / "a.dcm", "--ratio", 5)[0] == 0
    _, out, _ = run("info", tmp_path / "a.lrm")
    assert "times_source FrameTime" in " ".join(out.split())
    _, out, _ = run("info", tmp_path / "a.lrm", "--json")
    assert json.loads(out)["metadata"] == {"times_source": "FrameTime"}


def test_another_size_moves_the_regions(run: Run, source: Dataset, tmp_path: Path) -> None:
    assert run("encode", tmp_path / "a.dcm", "--keep-study", "--rank", 1)[0] == 0
    assert run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.dcm", "--keep-study", "--size", "64x96")[0] == 0
    place = pydicom.dcmread(tmp_path / "b.dcm").SequenceOfUltrasoundRegions[0]
    assert place.PhysicalDeltaX == pytest.approx(source.SequenceOfUltrasoundRegions[0].PhysicalDeltaX / 2)
    assert (place.RegionLocationMinX0, place.RegionLocationMaxX1) == (16, 79)


@pytest.mark.parametrize(("encoding", "decoding"), [((), ()), (("--keep-study",), ())])
def test_nobody_is_named_unasked(run: Run, source: Dataset, tmp_path: Path, encoding: tuple[str, ...],
                                 decoding: tuple[str, ...]) -> None:
    assert run("encode", tmp_path / "a.dcm", "--rank", 1, *encoding)[0] == 0
    if not encoding:
        assert not names_somebody((tmp_path / "a.lrm").read_bytes())
    assert run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.dcm", *decoding)[0] == 0
    data = (tmp_path / "b.dcm").read_bytes()
    assert not names_somebody(data)
    assert source.StudyInstanceUID.encode() not in data


def test_no_study_to_keep(run: Run, source: Dataset, tmp_path: Path) -> None:
    assert run("encode", tmp_path / "a.dcm", "--rank", 1)[0] == 0
    code, _, err = run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.dcm", "--keep-study")
    assert code == 1
    assert "no study is known" in err
    assert "encode" in err.lower()
    assert run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.avi")[0] == 0
    code, _, err = run("encode", tmp_path / "b.avi", "-o", tmp_path / "b.lrm", "--keep-study")
    assert code == 1
    assert "no DICOM file" in err


@pytest.mark.parametrize("option", [["--keep-study"], ["--dicom-pixels", "h264"]])
def test_options_of_dicom_are_for_dicom(run: Run, tmp_path: Path, option: list[str]) -> None:
    code, _, err = run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.mp4", *option)
    assert code == 2
    assert option[0] in err
    assert ".dcm" in err


def test_video_for_archives(run: Run, source: Dataset, tmp_path: Path) -> None:
    assert run("encode", tmp_path / "a.dcm", "--keep-study", "--rank", 1)[0] == 0
    code, _, _ = run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.dcm", "--keep-study", "--dicom-pixels", "h264")
    assert code == 0
    written = pydicom.dcmread(tmp_path / "b.dcm")
    assert written.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.102"
    assert written.PatientID == PATIENT["PatientID"]


def test_left_out_elements_are_named_without_their_values(run: Run, tmp_path: Path) -> None:
    long = Dataset()
    long.add_new("TextValue", "UT", "Geheim " * 12_000)
    write_source(tmp_path / "a.dcm", waves(3, 32, 48), ProcedureCodeSequence=[long])
    code, out, err = run("encode", tmp_path / "a.dcm", "--keep-study", "--rank", 0)
    assert code == 0
    assert "ProcedureCodeSequence" in err
    assert "Geheim" not in out + err


def test_lossless_files_add_no_loss(run: Run, source: Dataset, tmp_path: Path) -> None:
    assert run("encode", tmp_path / "a.dcm", "--keep-study", "--lossless")[0] == 0
    assert run("decode", tmp_path / "a.lrm", "-o", tmp_path / "b.dcm", "--keep-study")[0] == 0
    written = pydicom.dcmread(tmp_path / "b.dcm")
    assert written.LossyImageCompression == "00"
    assert written.PixelData == source.PixelData
    assert run("decode", tmp_path / "a.lrm", "-o", tmp_path / "c.dcm", "--size", "64x96")[0] == 0
    assert pydicom.dcmread(tmp_path / "c.dcm").LossyImageCompression == "01"
