"""Patient and study of a DICOM clip: carried whole where asked, otherwise only what identifies nobody."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pydicom = pytest.importorskip("pydicom")

from dicom_source import PATIENT, header, region, waves, write_source  # noqa: E402
from pydicom.datadict import dictionary_VR, keyword_for_tag  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402

from lrmcodec.formats import dicom_study, dicom_tables  # noqa: E402
from lrmcodec.formats.dicom_study import StudyTags  # noqa: E402
from lrmcodec.formats.errors import ClipError, FormatError  # noqa: E402

SECRET = {"PN": "Secret^Name", "DA": "19010203", "TM": "010203", "DT": "19010203010203", "UI": "1.2.3.77777",
          "AS": "077Y", "IS": "77777", "DS": "77777", "US": 7777, "UL": 77777, "SL": 77777, "SS": 7777, "FD": 77777.0,
          "FL": 77777.0, "UR": "http://secret", "AE": "SECRET", "CS": "SECRET"}


def written(dataset: Dataset) -> Dataset:
    """The data set as it comes back from a file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=False, implicit_vr=False, little_endian=True)
    buffer.seek(0)
    return pydicom.dcmread(buffer, force=True)


def target(count: int, height: int, width: int) -> Dataset:
    """A new object as far as `apply` needs it."""
    dataset = Dataset()
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = height, width, count
    return dataset


# -- tables --------------------------------------------------------------------------------------------------


def test_tables_name_their_editions() -> None:
    assert dicom_tables.editions() == {"modules": "DICOM PS3.3 2024c",
                                       "profile": "DICOM PS3.15 2026c, Table E.1-1, Basic Profile"}


def test_tables_agree_with_the_standard() -> None:
    """Spot checks against the text of PS3.3 A.7.3 and A.37, C.7.1.1, C.8.5.5, and PS3.15 Table E.1-1."""
    image = dicom_tables.modules(dicom_tables.ULTRASOUND_MULTIFRAME)
    assert {"patient", "general-study", "general-series", "general-equipment", "cine", "multi-frame", "us-image",
            "sop-common", "image-pixel"} <= {name for name, usage in image.items() if usage == "M"}
    assert image["us-region-calibration"] == image["frame-of-reference"] == "U"
    assert dicom_tables.modules(dicom_tables.RAW_DATA)["raw-data"] == "M"
    assert dicom_tables.attributes("patient")["PatientName"] == "2"
    assert dicom_tables.attributes("us-region-calibration") == {"SequenceOfUltrasoundRegions": "1"}
    assert dicom_tables.attributes("raw-data")["CreatorVersionUID"] == "1"
    assert "PatientID" in dicom_tables.mandatory(dicom_tables.RAW_DATA, "2")
    names = {keyword_for_tag(tag) for tag in dicom_tables.confidential()}
    assert names >= set(PATIENT)
    assert names >= {"PatientAge", "ImageComments", "SOPInstanceUID", "DeviceUID", "RequestAttributesSequence"}
    assert not names & {"Rows", "FrameTime", "SequenceOfUltrasoundRegions", "Modality", "PhysicalDeltaX"}


def test_every_carried_keyword_is_in_the_dictionary() -> None:
    for keyword in (*dicom_study.carried(), *dicom_study.SOURCE):
        assert pydicom.datadict.tag_for_keyword(keyword) is not None, keyword


# -- carried -------------------------------------------------------------------------------------------------


def test_study_survives_as_bytes() -> None:
    source = header(5, 64, 80)
    nested = Dataset()
    nested.RequestedProcedureDescription = "Übung"
    source.RequestAttributesSequence = [nested]
    tags = StudyTags.of(written(source))
    assert tags.left_out == ()
    again = StudyTags.from_bytes(tags.to_bytes())
    for keyword, value in PATIENT.items():
        assert again.elements[keyword].value == value
    assert again.elements.RequestAttributesSequence[0].RequestedProcedureDescription == "Übung"
    assert again.elements.SpecificCharacterSet == "ISO_IR 192"
    assert again.to_bytes() == tags.to_bytes()


@pytest.mark.parametrize(("charset", "name"), [
    ("ISO_IR 100", "Müller^Jörg"), ("ISO_IR 144", "\u041b\u044e\u043a\u0441"), ("ISO_IR 192", "王^小东"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"), ("GB18030", "Wang^XiaoDong=王^小东"),
])
def test_every_script_becomes_unicode(charset: Any, name: str) -> None:
    source = header(1, 16, 16, SpecificCharacterSet=charset, PatientName=name)
    assert str(StudyTags.of(written(source)).elements.PatientName) == name


def test_what_is_left_behind() -> None:
    source = header(5, 64, 80, IconImageSequence=[target(1, 8, 8)], SmallestPixelValueInSeries=3,
                    DigitalSignaturesSequence=[Dataset()])
    source.private_block(0x0019, "ACME", create=True).add_new(1, "LO", "private")
    inner = Dataset()
    inner.private_block(0x0019, "ACME", create=True).add_new(1, "LO", "private")
    source.ProcedureCodeSequence = [inner]
    source.add_new(0x60000022, "LO", "overlay text")
    source.PixelData = b"\0" * (5 * 64 * 80)
    tags = StudyTags.of(source)
    data = tags.to_bytes()
    assert b"private" not in data
    assert b"ACME" not in data
    assert b"overlay" not in data
    assert "SmallestPixelValueInSeries" not in tags.elements
    assert "IconImageSequence" not in tags.elements
    assert "PixelData" not in tags.elements
    assert "private" in str(source.get_private_item(0x0019, 1, "ACME").value)  # the source is left alone


def test_empty_elements_that_must_have_a_value() -> None:
    tags = StudyTags.of(written(header(1, 16, 16, AcquisitionDateTime=None, FrameOfReferenceUID=None, StudyID=None)))
    assert "AcquisitionDateTime" not in tags.elements
    assert "FrameOfReferenceUID" not in tags.elements
    assert "StudyID" in tags.elements


def test_dates_and_times_of_before_1993() -> None:
    source = written(header(1, 16, 16))
    for keyword, kind, value in (("StudyDate", "DA", b"1992.12.31"), ("StudyTime", "TM", b"23:59:59.5")):
        tag = pydicom.tag.Tag(keyword)
        source[tag] = pydicom.dataelem.RawDataElement(tag, kind, len(value), value, 0, False, True)
    tags = StudyTags.of(source)
    assert (tags.elements.StudyDate, tags.elements.StudyTime) == ("19921231", "235959.5")


def test_malformed_and_endless_elements_are_named_and_left_out() -> None:
    source = header(5, 64, 80)
    source.add_new("ImageComments", "UT", "x" * 70_000)
    raw = written(source)
    raw.add(pydicom.dataelem.RawDataElement(pydicom.tag.Tag("HeartRate"), "IS", 4, b"sixt", 0, False, True))
    tags = StudyTags.of(raw)
    assert sorted(tags.left_out) == ["HeartRate", "ImageComments"]
    assert tags.elements.PatientID == PATIENT["PatientID"]


def test_a_header_of_megabytes_is_refused() -> None:
    source = header(1, 16, 16)
    for keyword in dicom_study.carried():
        if dictionary_VR(keyword) in ("LT", "ST", "UT", "UC"):
            source.add_new(keyword, "UT", "y" * 65_000)
    nested = Dataset()
    nested.add_new("LongCodeValue", "UC", "z" * 60_000)
    for keyword in dicom_study.carried():
        if dictionary_VR(keyword) == "SQ":
            setattr(source, keyword, [nested])
    with pytest.raises(ClipError, match="1048576 bytes"):
        StudyTags.of(source)


def test_reading_files(tmp_path: Path) -> None:
    write_source(tmp_path / "a.dcm", waves(2, 16, 16))
    assert StudyTags.read(tmp_path / "a.dcm").elements.PatientID == PATIENT["PatientID"]
    (tmp_path / "b.txt").write_bytes(b"nothing of the kind " * 20)
    with pytest.raises(ClipError):
        StudyTags.read(tmp_path / "b.txt")
    with pytest.raises(OSError, match="No such file"):
        StudyTags.read(tmp_path / "c.dcm")


# -- hostile bytes -------------------------------------------------------------------------------------------


def test_cut_short_at_every_length() -> None:
    data = StudyTags.of(header(2, 16, 16)).to_bytes()
    whole = {len(part) for part in _prefixes(data)}
    for length in range(len(data)):
        if length in whole:
            continue  # cut between two elements: a data set as well
        with pytest.raises(FormatError):
            StudyTags.from_bytes(data[:length])


def _prefixes(data: bytes) -> list[bytes]:
    """The data set after each of its elements, and nothing."""
    elements = StudyTags.from_bytes(data).elements
    parts, growing = [b""], Dataset()
    for element in elements:
        growing.add(element)
        parts.append(dicom_study._encode(growing))
    return parts


@given(st.binary(max_size=200))
def test_garbage_is_refused_or_harmless(data: bytes) -> None:
    with contextlib.suppress(FormatError):
        assert StudyTags.from_bytes(data).left_out is not None


def test_deep_and_long_bytes_are_refused() -> None:
    inner = Dataset()
    for _ in range(600):
        outer = Dataset()
        outer.ProcedureCodeSequence = [inner]
        inner = outer
    open_item = b"\x08\x00\x32\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with pytest.raises(FormatError):
        StudyTags.from_bytes(open_item * 5000)
    with pytest.raises(FormatError, match="at most"):
        StudyTags.from_bytes(bytes(dicom_study.MAX_STUDY_BYTES + 1))


# -- without identity ----------------------------------------------------------------------------------------


def test_without_identity_keeps_only_what_identifies_nobody() -> None:
    tags = StudyTags.of(header(5, 64, 80, BurnedInAnnotation="NO")).without_identity()
    text = str(tags.elements)
    assert not [value for value in PATIENT.values() if len(value) > 1 and value in text]
    assert tags.elements.Manufacturer == "Acme"
    assert tags.elements.HeartRate == 66
    assert tags.elements.BurnedInAnnotation == "NO"
    assert tags.elements.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == 0.05
    assert not {"SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"} & set(
        tags.elements.dir())


def test_nothing_of_the_profile_s_table_survives() -> None:
    """Every attribute of Table E.1-1 filled with a secret, outside and inside sequences that are kept."""
    source, inside = header(5, 64, 80), region(64, 80)
    for tag in dicom_tables.confidential():
        keyword = keyword_for_tag(tag)
        if not keyword or tag >> 16 == 2:
            continue
        value = _secret(dictionary_VR(tag))
        for dataset in (source, inside):
            if not (dataset is source and keyword in dicom_study.SOURCE):
                setattr(dataset, keyword, value)
    source.SequenceOfUltrasoundRegions = [inside]
    source.AnatomicRegionSequence = [_secret_item()]
    tags = StudyTags.of(source)
    assert b"SECRET" in tags.to_bytes()
    kept = tags.without_identity()
    data = kept.to_bytes()
    assert not [secret for secret in ("SECRET", "Secret", "7777", "1901", "077Y") if secret.encode() in data]
    assert not {int(element.tag) for element in kept.elements.iterall()} & dicom_tables.confidential()


def _secret(kind: str) -> Any:
    """A value of a kind."""
    if kind == "SQ":
        return [_secret_item()]
    return b"SECRETSECRET" if kind[0] == "O" else SECRET.get(kind, "SECRET")


def _secret_item() -> Dataset:
    item = Dataset()
    item.PatientName, item.StudyDate, item.TextValue, item.ReferencedSOPInstanceUID = (
        SECRET["PN"], SECRET["DA"], "SECRET", SECRET["UI"])
    return item


# -- applied -------------------------------------------------------------------------------------------------


def test_applied_whole() -> None:
    source = header(5, 64, 80, RWaveTimeVector=[10.0, 900.0])
    made = target(5, 64, 80)
    StudyTags.of(source).apply(made)
    for keyword, value in PATIENT.items():
        if keyword != "SeriesDescription":
            assert made[keyword].value == value
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert "SOPInstanceUID" not in made
    assert made.SeriesNumber == 1002
    assert made.SeriesDescription == "A4C (lrmcodec)"
    assert list(made.ImageType) == ["DERIVED", "PRIMARY", "TTE", "0001"]
    assert made.RWaveTimeVector == [10.0, 900.0]
    item = made.SourceImageSequence[0]
    assert item.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert item.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"


def test_clips_of_one_series_stay_together() -> None:
    first, second = header(5, 64, 80), header(7, 64, 80)
    second.SeriesInstanceUID = first.SeriesInstanceUID
    made = [target(5, 64, 80), target(7, 64, 80)]
    for source, dataset in zip((first, second), made, strict=True):
        StudyTags.of(source).apply(dataset)
    assert made[0].SeriesInstanceUID == made[1].SeriesInstanceUID
    assert made[0].SourceImageSequence != made[1].SourceImageSequence


def test_a_lossy_source_is_no_uncompressed_predecessor() -> None:
    made = target(5, 64, 80)
    StudyTags.of(header(5, 64, 80, LossyImageCompression="01")).apply(made)
    assert made.SourceImageSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "121322"


def test_regions_follow_the_size() -> None:
    made = target(5, 32, 160)
    StudyTags.of(header(5, 64, 80)).apply(made)
    place = made.SequenceOfUltrasoundRegions[0]
    assert (place.RegionLocationMinX0, place.RegionLocationMaxX1) == (16, 143)
    assert (place.RegionLocationMinY0, place.RegionLocationMaxY1) == (3, 28)
    assert place.PhysicalDeltaX == pytest.approx(0.025)
    assert place.PhysicalDeltaY == pytest.approx(0.08)


def test_other_frames_lose_what_belonged_to_the_old_ones() -> None:
    made = target(4, 64, 80)
    StudyTags.of(header(5, 64, 80, RWaveTimeVector=[10.0, 900.0])).apply(made)
    assert "RWaveTimeVector" not in made


def test_other_machines_become_ultrasound() -> None:
    for modality, expected in (("XA", "US"), ("IVUS", "IVUS"), ("US", "US")):
        made = target(5, 64, 80)
        StudyTags.of(header(5, 64, 80, Modality=modality)).apply(made)
        assert made.Modality == expected
