"""Multi-frame ultrasound DICOM out. Needs the optional package pydicom.

Writing makes a new object, a Multi-frame Grayscale Byte Secondary Capture, with new UIDs and without a patient. It
says BurnedInAnnotation YES: the standard demands an answer, and text in the picture cannot be ruled out.

References are to DICOM PS3.3 and PS3.5, 2024.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from lrmcodec.formats.errors import OutputError
from lrmcodec.formats.frames import Output
from lrmcodec.formats.stamps import even_rate

MULTIFRAME_GRAYSCALE_BYTE_SC = UID("1.2.840.10008.5.1.4.1.1.7.2")

FRAME_TIME = Tag(0x0018, 0x1063)
FRAME_TIME_VECTOR = Tag(0x0018, 0x1065)

MAX_PIXEL_BYTES = 0xFFFFFFFE
MAX_VECTOR_BYTES = 0xFFFE
"""Lengths that explicit VR little endian can express (PS3.5 section 7.1.2)."""


def write_dicom(path: Path, output: Output) -> None:
    """Write a Multi-frame Grayscale Byte Secondary Capture, uncompressed, explicit VR little endian.

    It is marked DERIVED and lossy, with "LRMCODEC" appended to the compression methods, and
    `metadata["lossy_ratio"]`, where given, to the ratios. `metadata["pixel_spacing_mm"]` is kept.

    Raises
    ------
    OutputError
        When the frames pass 4 GiB, or irregular times need more room than the format has.
    """
    size = len(output.times_s) * output.height * output.width
    if size > MAX_PIXEL_BYTES:
        what = f"{size} bytes of frames are more than DICOM can hold."
        raise OutputError(what, "Choose .mkv, or shorten the clip.")
    dataset = _secondary_capture(output)
    _put_times(dataset, output.times_s)
    with path.open("wb") as file:
        pydicom.dcmwrite(file, dataset, enforce_file_format=True)
        # The pixels are the last element; written here frame by frame, they need no memory.
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, size + size % 2))
        for frame in output.frames:
            file.write(np.ascontiguousarray(frame).data)
        file.write(b"\0" * (size % 2))


def _secondary_capture(output: Output) -> Dataset:
    """Every element but the pixels and times; those that name a patient or a study are present and empty."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = MULTIFRAME_GRAYSCALE_BYTE_SC
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = MULTIFRAME_GRAYSCALE_BYTE_SC
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(dataset, keyword, generate_uid(prefix="2.25."))
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
                    "StudyID", "AccessionNumber", "ReferringPhysicianName", "SeriesNumber", "InstanceNumber",
                    "Laterality", "Manufacturer", "PatientOrientation"):
        setattr(dataset, keyword, None)
    dataset.Modality = "US"
    dataset.ConversionType = "WSD"
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.BurnedInAnnotation = "YES"
    _put_pixel_module(dataset, output)
    _put_lossiness(dataset, output.metadata)
    return dataset


def _put_pixel_module(dataset: Dataset, output: Output) -> None:
    dataset.Rows, dataset.Columns = output.height, output.width
    dataset.NumberOfFrames = len(output.times_s)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    spacing = output.metadata.get("pixel_spacing_mm")
    if spacing is not None:
        dataset.PixelSpacing = [format_number_as_ds(float(s)) for s in spacing]


def _put_lossiness(dataset: Dataset, metadata: Mapping[str, Any]) -> None:
    """Append our step to the history of lossy compressions (PS3.3 C.7.6.1.1.5)."""
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = [*metadata.get("lossy_methods", []), "LRMCODEC"]
    ratios = [*metadata.get("lossy_ratios", [])]
    if "lossy_ratio" in metadata:
        ratios.append(metadata["lossy_ratio"])
    if ratios:
        dataset.LossyImageCompressionRatio = [format_number_as_ds(float(ratio)) for ratio in ratios]


def _put_times(dataset: Dataset, times_s: NDArray[np.float64]) -> None:
    """Write FrameTime for even times, else a FrameTimeVector in ms, to 1 µs without adding up errors."""
    rate = even_rate(times_s)
    if rate is not None:
        dataset.FrameTime = format_number_as_ds(float(Fraction(1000) / rate))
        dataset.FrameIncrementPointer = FRAME_TIME
        return
    steps_us = np.diff(np.rint(times_s * 1e6), prepend=0.0)
    vector = [f"{step / 1000:.3f}".rstrip("0").rstrip(".") for step in steps_us]
    if sum(len(step) + 1 for step in vector) > MAX_VECTOR_BYTES:
        raise OutputError(f"DICOM cannot hold {len(vector)} irregular frame times.", "Choose .mkv or .npz.")
    dataset.FrameTimeVector = vector
    dataset.FrameIncrementPointer = FRAME_TIME_VECTOR
