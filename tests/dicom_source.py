"""Ultrasound DICOM objects as a scanner would write them, for several test modules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

FRAME_TIME = 0x00181063

PATIENT = {
    "PatientName": "Müller^Jörg", "PatientID": "4711-X", "PatientBirthDate": "19500203", "PatientSex": "M",
    "StudyDate": "20240102", "StudyTime": "101112", "AccessionNumber": "A-7788", "StudyID": "S1",
    "ReferringPhysicianName": "Doc^Tor", "StudyDescription": "Echo of a friend", "StationName": "ECHO2",
    "DeviceSerialNumber": "SN-123", "InstitutionName": "Clinic", "AcquisitionDateTime": "20240102101500",
    "ContentDate": "20240102", "ContentTime": "101500", "SeriesDescription": "A4C", "OperatorsName": "Sono^Grapher",
}


def region(height: int, width: int, **elements: Any) -> Dataset:
    """A region of tissue in centimeters, eight columns and six rows inside the picture."""
    found = Dataset()
    found.RegionSpatialFormat, found.RegionDataType, found.RegionFlags = 1, 1, 0
    found.RegionLocationMinX0, found.RegionLocationMaxX1 = 8, width - 9
    found.RegionLocationMinY0, found.RegionLocationMaxY1 = 6, height - 7
    found.PhysicalUnitsXDirection = found.PhysicalUnitsYDirection = 3
    found.PhysicalDeltaX, found.PhysicalDeltaY = 0.05, 0.04
    found.ReferencePixelX0, found.ReferencePixelY0 = width // 2 - 8, 0
    found.ReferencePixelPhysicalValueX = found.ReferencePixelPhysicalValueY = 0.0
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


def header(count: int, height: int, width: int, **elements: Any) -> Dataset:
    """An Ultrasound Multi-frame Image with a patient, without pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, keyword, generate_uid(prefix=None))
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "US", 2, 17
    dataset.Manufacturer, dataset.ManufacturerModelName, dataset.HeartRate = "Acme", "E95", 66
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "TTE", "0001"]
    dataset.PatientOrientation = dataset.PositionReferenceIndicator = dataset.Laterality = None
    dataset.SequenceOfUltrasoundRegions = [region(height, width)]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = height, width, count
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.FrameTime, dataset.FrameIncrementPointer, dataset.UltrasoundColorDataPresent = "20", FRAME_TIME, 0
    for keyword, value in {**PATIENT, **elements}.items():
        setattr(dataset, keyword, value)
    return dataset


def waves(count: int, height: int, width: int) -> NDArray[np.uint8]:
    """Frames (count, height, width) of a moving pattern."""
    y, x = np.mgrid[:height, :width]
    return np.rint([127.5 + 120 * np.sin(x / 9 + k / 3) * np.cos(y / 11) for k in range(count)]).astype(np.uint8)


def write_source(path: Path, frames: NDArray[np.uint8], **elements: Any) -> Dataset:
    """Write a clip with a patient, uncompressed; gives the data set back."""
    dataset = header(*frames.shape, **elements)
    dataset.PixelData = frames.tobytes() + b"\0" * (frames.nbytes % 2)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path, enforce_file_format=True)
    return dataset
