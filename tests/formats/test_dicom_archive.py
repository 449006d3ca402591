"""Written DICOM objects stored in a real archive and read back, over DICOMweb and DIMSE."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

import orthanc  # noqa: E402
from dicom_source import PATIENT, header, waves, write_source  # noqa: E402
from dicomweb_client.api import DICOMwebClient  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian  # noqa: E402
from pynetdicom import AE, build_role, evt  # noqa: E402
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet  # noqa: E402

from lrmcodec.formats import dicom_raw  # noqa: E402
from lrmcodec.formats.container import CodedClip, CodedSegment, Component, pack_file  # noqa: E402
from lrmcodec.formats.dicom_study import StudyTags  # noqa: E402
from lrmcodec.formats.frames import DicomOptions  # noqa: E402
from lrmcodec.formats.video import read_clip, write_frames  # noqa: E402

pytestmark = pytest.mark.skipif(bool(orthanc.missing()), reason=orthanc.missing())

FRAMES = waves(5, 48, 64)
KINDS = ["native", "h264", "hevc", "raw data"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[orthanc.Archive]:
    with orthanc.running(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


def written(folder: Path, kind: str) -> Path:
    """A new object of a kind, of a new study of the same patient."""
    study = StudyTags.of(header(*FRAMES.shape)).to_bytes()
    path = folder / "a.dcm"
    if kind == "raw data":
        segment = CodedSegment(0, 0, {Component.PICTURES: b"payload"})
        path.write_bytes(dicom_raw.wrap(pack_file(CodedClip(bytes(8), 2, (16, 16), np.arange(3) / 25, [segment], {},
                                                            study=study)), keep_study=True))
    else:
        write_frames(path, iter([FRAMES]), np.arange(len(FRAMES)) / 50, metadata={"lossy_ratio": 100.0},
                     dicom=DicomOptions(study, True, kind))
    return path


def check_same(sent: Path, came: Dataset, folder: Path) -> None:
    """What came back is what was sent: every element, and so the pixels."""
    original = pydicom.dcmread(sent)
    assert came.PatientName == PATIENT["PatientName"]
    assert came.to_json_dict() == original.to_json_dict()
    came.save_as(folder / "back.dcm", enforce_file_format=True)
    if original.SOPClassUID == dicom_raw.RAW_DATA_STORAGE:
        assert dicom_raw.unwrap(folder / "back.dcm") == dicom_raw.unwrap(sent)
    else:
        np.testing.assert_array_equal(read_clip(folder / "back.dcm").frames, read_clip(sent).frames)


@pytest.mark.parametrize("kind", KINDS)
def test_dicomweb(archive: orthanc.Archive, tmp_path: Path, kind: str) -> None:
    sent = written(tmp_path, kind)
    dataset = pydicom.dcmread(sent)
    client = DICOMwebClient(archive.web, session=orthanc.session())
    client.store_instances([dataset])
    found = client.search_for_instances(dataset.StudyInstanceUID, search_filters={"PatientID": PATIENT["PatientID"]})
    assert [item["00080018"]["Value"] for item in found] == [[dataset.SOPInstanceUID]]
    came = client.retrieve_instance(dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID,
                                    media_types=(("application/dicom", "*"),))  # as it is stored
    check_same(sent, came, tmp_path)


@pytest.mark.parametrize("kind", KINDS)
def test_dimse(archive: orthanc.Archive, tmp_path: Path, kind: str) -> None:
    sent = written(tmp_path, kind)
    dataset = pydicom.dcmread(sent)
    syntax = dataset.file_meta.TransferSyntaxUID
    entity = AE("TEST")
    entity.add_requested_context(dataset.SOPClassUID, syntax)
    link = entity.associate("127.0.0.1", archive.dicom_port, ae_title=orthanc.TITLE)
    assert link.is_established
    assert link.send_c_store(dataset).Status == 0
    link.release()
    check_same(sent, fetched(archive, dataset), tmp_path)


def fetched(archive: orthanc.Archive, dataset: Dataset) -> Dataset:
    """The object that the archive hands out by C-GET."""
    came: list[Dataset] = []

    def store(event: Any) -> int:
        found = event.dataset
        found.file_meta = event.file_meta
        came.append(found)
        return 0

    entity = AE("TEST")
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet, ExplicitVRLittleEndian)
    entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
    link = entity.associate("127.0.0.1", archive.dicom_port, ae_title=orthanc.TITLE,
                            ext_neg=[build_role(dataset.SOPClassUID, scp_role=True)],
                            evt_handlers=[(evt.EVT_C_STORE, store)])
    query = Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(query, keyword, dataset[keyword].value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        statuses = [status.Status for status, _ in link.send_c_get(query, StudyRootQueryRetrieveInformationModelGet)]
    link.release()
    assert statuses[-1] == 0
    return came[0]


def test_restored_clips_of_one_study_stand_beside_their_source(archive: orthanc.Archive, tmp_path: Path) -> None:
    """A study in the archive gains a series; the source stays as it was."""
    write_source(tmp_path / "source.dcm", FRAMES)
    source = pydicom.dcmread(tmp_path / "source.dcm")
    client = DICOMwebClient(archive.web, session=orthanc.session())
    client.store_instances([source])
    for _ in range(2):
        write_frames(tmp_path / "a.dcm", iter([FRAMES]), np.arange(len(FRAMES)) / 50, force=True,
                     dicom=DicomOptions(StudyTags.of(source).to_bytes(), True))
        client.store_instances([pydicom.dcmread(tmp_path / "a.dcm")])
    series = client.search_for_series(source.StudyInstanceUID)
    assert len(series) == 2
    assert len(client.search_for_instances(source.StudyInstanceUID)) == 3
    came = client.retrieve_instance(source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID)
    assert came.to_json_dict() == source.to_json_dict()
