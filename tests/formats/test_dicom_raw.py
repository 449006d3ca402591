"""A .lrm file inside a DICOM object, and back."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pydicom = pytest.importorskip("pydicom")

from dicom_source import PATIENT, header  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402

from lrmcodec.formats import dicom_raw  # noqa: E402
from lrmcodec.formats.container import VERSION, CodedClip, CodedSegment, Component, pack_file, unpack_file  # noqa: E402
from lrmcodec.formats.dicom_study import StudyTags  # noqa: E402
from lrmcodec.formats.errors import FormatError, OutputError  # noqa: E402


def coded(payload: bytes = b"payload", study: bytes = b"") -> bytes:
    """A sound .lrm file."""
    segment = CodedSegment(0, 0, {Component.PICTURES: payload})
    return pack_file(CodedClip(bytes(8), 2, (16, 16), np.arange(3) / 25, [segment], {}, study=study))


SOURCE = header(3, 16, 16)
WITH_STUDY = coded(study=StudyTags.of(SOURCE).to_bytes())


def opened(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data))


@pytest.mark.parametrize("payload", [b"even", b"odd", b"ends in zero\0", b"ends in zeros\0\0"])
def test_there_and_back(payload: bytes) -> None:
    data = coded(payload)
    wrapped = dicom_raw.wrap(data)
    assert dicom_raw.unwrap(wrapped) == data
    assert wrapped[128:132] == b"DICM"


def test_it_is_a_raw_data_object_of_nobody() -> None:
    dataset = opened(dicom_raw.wrap(coded()))
    assert dataset.SOPClassUID == dataset.file_meta.MediaStorageSOPClassUID == "1.2.840.10008.5.1.4.1.1.66"
    assert dataset.Modality == "US"
    assert (dataset.ContentDate, dataset.ContentTime) == ("19000101", "000000")
    assert not dataset.PatientName
    assert not dataset.PatientID
    assert "PixelData" not in dataset
    private = [element for element in dataset if element.tag.is_private]
    assert [str(element.tag) for element in private] == ["(0099,0010)", "(0099,1001)", "(0099,1002)"]
    assert private[0].value == "LRMCODEC"


def test_the_creator_version_is_frozen() -> None:
    assert dicom_raw.CREATOR_VERSIONS[1] == "2.25.276106560092148052171167925903999577320"
    assert VERSION in dicom_raw.CREATOR_VERSIONS
    assert len(set(dicom_raw.CREATOR_VERSIONS.values())) == len(dicom_raw.CREATOR_VERSIONS)
    assert opened(dicom_raw.wrap(coded())).CreatorVersionUID == dicom_raw.CREATOR_VERSIONS[VERSION]


def test_the_study_is_kept_where_it_is_asked_for() -> None:
    wrapped = dicom_raw.wrap(WITH_STUDY, keep_study=True)
    dataset = opened(wrapped)
    for keyword in ("PatientName", "PatientID", "StudyDate", "AccessionNumber", "ContentDate"):
        assert dataset[keyword].value == PATIENT[keyword]
    assert dataset.StudyInstanceUID == SOURCE.StudyInstanceUID
    assert dataset.SeriesInstanceUID != SOURCE.SeriesInstanceUID
    assert dataset.ReferencedInstanceSequence[0].ReferencedSOPInstanceUID == SOURCE.SOPInstanceUID
    assert "SequenceOfUltrasoundRegions" not in dataset  # a Raw Data object is no picture
    assert "ImageType" not in dataset
    assert dicom_raw.unwrap(wrapped) == WITH_STUDY


def test_otherwise_it_is_taken_out_of_the_file_as_well() -> None:
    wrapped = dicom_raw.wrap(WITH_STUDY)
    found = dicom_raw.unwrap(wrapped)
    assert found != WITH_STUDY
    assert unpack_file(found).study == b""
    assert replace(unpack_file(found), times_s=None) == replace(unpack_file(coded()), times_s=None)
    for value in PATIENT.values():
        assert len(value) < 2 or value.encode() not in wrapped


def test_images_and_raw_data_stand_in_series_of_their_own() -> None:
    image = Dataset()
    image.Rows, image.Columns, image.NumberOfFrames = 16, 16, 3
    StudyTags.of(SOURCE).apply(image)
    assert image.SeriesInstanceUID != opened(dicom_raw.wrap(WITH_STUDY, keep_study=True)).SeriesInstanceUID


def test_what_cannot_be_wrapped() -> None:
    with pytest.raises(FormatError, match=r"not a \.lrm file"):
        dicom_raw.wrap(b"something else")
    with pytest.raises(FormatError):
        dicom_raw.wrap(coded()[:-1])
    with pytest.raises(OutputError, match="no study is known"):
        dicom_raw.wrap(coded(), keep_study=True)


def rewritten(change: str) -> bytes:
    """A wrapped file with one thing wrong."""
    dataset = opened(dicom_raw.wrap(coded(b"odd")))
    if change == "class":
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    elif change == "version":
        dataset.CreatorVersionUID = "2.25.1"
    elif change == "no block":
        dataset.remove_private_tags()
    elif change == "short":
        dataset[0x0099, 0x1001].value = dataset[0x0099, 0x1001].value[:-2]
    elif change == "length":
        dataset[0x0099, 0x1002].value = 1 << 31
    elif change == "no length":
        del dataset[0x0099, 0x1002]
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(("change", "words"), [
    ("class", r"holds no \.lrm"), ("version", "does not know"), ("no block", r"holds no \.lrm"),
    ("short", "cannot be read"), ("length", "cannot be read"), ("no length", r"holds no \.lrm"),
])
def test_what_cannot_be_unwrapped(change: str, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        dicom_raw.unwrap(rewritten(change))


def test_another_block_number_is_found() -> None:
    """Archives may renumber private blocks (PS3.5 section 7.8.1)."""
    dataset = opened(dicom_raw.wrap(coded()))
    value, length = dataset[0x0099, 0x1001].value, dataset[0x0099, 0x1002].value
    dataset.remove_private_tags()
    dataset.private_block(0x0099, "SOMEBODY ELSE", create=True).add_new(1, "LO", "x")
    block = dataset.private_block(0x0099, "LRMCODEC", create=True)
    block.add_new(1, "OB", value)
    block.add_new(2, "UL", length)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    assert dicom_raw.unwrap(buffer.getvalue()) == coded()


WRAPPED = dicom_raw.wrap(coded())


def test_cut_short_at_every_length() -> None:
    for length in range(len(WRAPPED)):
        with pytest.raises(FormatError):
            dicom_raw.unwrap(WRAPPED[:length])


@given(st.integers(0, len(WRAPPED) - 1), st.integers(1, 255))
def test_flipped_bytes_give_the_file_or_an_error(place: int, flip: int) -> None:
    damaged = bytearray(WRAPPED)
    damaged[place] ^= flip
    try:
        found = dicom_raw.unwrap(bytes(damaged))
        unpack_file(found)
    except FormatError:
        return
    assert found == coded()
