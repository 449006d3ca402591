"""A .lrm file inside a DICOM object, for archives that hold nothing else: Raw Data Storage (PS3.3 A.37), and back.

The bytes stand in one private block:

| element | VR | meaning |
| --- | --- | --- |
| (0099,0010) | LO | private creator, LRMCODEC |
| (0099,xx01) | OB | the .lrm file, with a zero byte behind it where its length is odd |
| (0099,xx02) | UL | its length in bytes |

Creator-Version UID (0008,9123) says which version of the .lrm format it is.
"""

from __future__ import annotations

import datetime
import io
import warnings
from dataclasses import replace
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from lrmcodec.formats.container import pack_file, unpack_file
from lrmcodec.formats.dicom_object import new_object, put_maker, save, study_of
from lrmcodec.formats.dicom_tables import RAW_DATA
from lrmcodec.formats.errors import FormatError, OutputError
from lrmcodec.formats.frames import DicomOptions

RAW_DATA_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66")
GROUP, CREATOR, FILE, LENGTH = 0x0099, "LRMCODEC", 0x01, 0x02

CREATOR_VERSIONS = {1: UID("2.25.276106560092148052171167925903999577320"),
                    2: UID("2.25.280222268185590152791668776238246048887")}
"""Creator-Version UID of each version of the .lrm format; frozen, never reused."""

MAX_VALUE_BYTES = 0xFFFFFFFE
UNKNOWN_DATE, UNKNOWN_TIME = "19000101", "000000"
"""Stand for dates that the standard demands and nobody is to know (PS3.15 E.1.1, action D)."""


def wrap(data: bytes, *, keep_study: bool = False) -> bytes:
    """Bytes of a DICOM file that holds a .lrm file.

    Parameters
    ----------
    data : bytes
        The .lrm file; it is checked.
    keep_study : bool
        Give the object the patient and study that the file holds. Otherwise the object is of nobody, and the study is
        taken out of the file as well.

    Raises
    ------
    FormatError
        When `data` is no sound .lrm file.
    OutputError
        When a study is to be kept and the file has none, or the file is too long.
    """
    coded = unpack_file(data)
    if coded.study and not keep_study:
        data = pack_file(replace(coded, study=b""))
    if len(data) > MAX_VALUE_BYTES - 1:
        raise OutputError(f"{len(data)} bytes are more than a DICOM element holds.", "Encode the clip in parts.")
    dataset = new_object(RAW_DATA, RAW_DATA_STORAGE)
    study = study_of(DicomOptions(coded.study, keep_study))
    if study is not None:
        study.apply_to_raw_data(dataset)
    _put_raw_data(dataset, data[3], keep_study)
    put_maker(dataset, "Lossy compression of the pixels")
    block = dataset.private_block(GROUP, CREATOR, create=True)
    block.add_new(FILE, "OB", data + b"\0" * (len(data) % 2))
    block.add_new(LENGTH, "UL", len(data))
    buffer = io.BytesIO()
    save(buffer, dataset)
    return buffer.getvalue()


def unwrap(source: bytes | Path) -> bytes:
    """The .lrm file inside a DICOM file that `wrap` made; its bytes are not looked at.

    Raises
    ------
    FormatError
        When it is no DICOM file, holds none, or one of a newer version.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's may quote a patient's data
            dataset = pydicom.dcmread(io.BytesIO(source) if isinstance(source, bytes) else source)
            kind = dataset.get("SOPClassUID")
            version = dataset.get("CreatorVersionUID")
            found = _file(dataset) if kind == RAW_DATA_STORAGE else None
    except OSError:
        raise
    except Exception as error:
        # pydicom raises errors of every kind on damaged bytes; their text may quote a patient's data.
        raise FormatError(f"this DICOM file cannot be read ({type(error).__name__}).",
                          "Check that it is complete.") from None
    if found is None:
        raise FormatError("this DICOM file holds no .lrm file.",
                          "A DICOM clip becomes a .lrm file with 'lrmcodec encode'.")
    if version not in CREATOR_VERSIONS.values():
        raise FormatError("the .lrm file in this DICOM file is of a version that this program does not know.",
                          "Use a newer lrmcodec.")
    return found


def _file(dataset: Dataset) -> bytes | None:
    """Value of the private block, cut to its length; None where there is no such block."""
    try:
        block = dataset.private_block(GROUP, CREATOR)
        value, length = bytes(block[FILE].value), int(block[LENGTH].value)
    except KeyError:
        return None
    if len(value) != length + length % 2:
        raise ValueError("length and value disagree")
    return value[:length]


def _put_raw_data(dataset: Dataset, version: int, keep_study: bool) -> None:
    """The Raw Data module (PS3.3 C.19.1) for a file of this format version."""
    dataset.CreatorVersionUID = CREATOR_VERSIONS[version]
    dataset.ContentLabel = "LRM"
    dataset.ContentDescription = "ultrasound clip, .lrm file in private block LRMCODEC"
    now = datetime.datetime.now()
    if not dataset.get("ContentDate"):
        dataset.ContentDate = f"{now:%Y%m%d}" if keep_study else UNKNOWN_DATE
    if not dataset.get("ContentTime"):
        dataset.ContentTime = f"{now:%H%M%S}" if keep_study else UNKNOWN_TIME
