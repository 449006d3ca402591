"""What every DICOM object written here begins with: UIDs, empty mandatory elements, who made it."""

from __future__ import annotations

import warnings
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from lrmcodec.formats.dicom_study import StudyTags, code
from lrmcodec.formats.dicom_tables import mandatory
from lrmcodec.formats.errors import OutputError
from lrmcodec.formats.frames import DicomOptions


def new_object(kind: str, sop_class: UID) -> Dataset:
    """An object without pixels that names nobody, with new UIDs.

    Parameters
    ----------
    kind : str
        Key of `dicom_tables.modules`: its mandatory modules' elements of type 2 are present and empty.
    sop_class : UID
        SOP class.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.file_meta.ImplementationVersionName = f"LRMCODEC_{version('lrmcodec')}"[:16]
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = sop_class
    for keyword in mandatory(kind, "2"):
        setattr(dataset, keyword, None)
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, keyword, generate_uid(prefix=None))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.Modality = "US"
    return dataset


def study_of(options: DicomOptions) -> StudyTags | None:
    """What a new object takes over, whole or without identity; None where nothing is known.

    Raises
    ------
    OutputError
        When a study is to be kept and none is known.
    FormatError
        When the study's bytes are damaged.
    """
    if not options.study:
        if options.keep_study:
            raise OutputError("no study is known for this clip.", "Encode the DICOM file with --keep-study.")
        return None
    tags = StudyTags.from_bytes(options.study)
    return tags if options.keep_study else tags.without_identity()


def put_maker(dataset: Dataset, what: str) -> None:
    """Add this program to the equipment that an object passed through (PS3.3 C.12.1)."""
    item = Dataset()
    item.PurposeOfReferenceCodeSequence = [code("109102", "Processing Equipment")]  # CID 7005
    item.Manufacturer, item.ManufacturerModelName = "lrmcodec", "lrmcodec"
    item.SoftwareVersions = version("lrmcodec")
    item.ContributionDescription = what
    dataset.ContributingEquipmentSequence = [*(dataset.get("ContributingEquipmentSequence") or []), item]


def save(target: Path | BinaryIO, dataset: Dataset) -> None:
    """Write a DICOM file; pydicom's warnings are dropped, they may quote a patient's data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pydicom.dcmwrite(target, dataset, enforce_file_format=True)
