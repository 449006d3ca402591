"""What a file is and which study it belongs to: from a DICOM header where it has one, else from its name and folders.

References are to DICOM PS3.3 and PS3.15, 2024.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from lrmcodec.archive.entry import INDEX, OTHER, REPORT, STILL, WAVEFORM
from lrmcodec.archive.errors import ArchiveError
from lrmcodec.archive.sources import DICOMDIR

DICOM_SUFFIXES = {".dcm", ".dicom", ".ima"}
CLIP_SUFFIXES = {".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".gif", ".npy", ".npz"}
STILL_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".jp2"}
REPORT_SUFFIXES = {".pdf", ".txt", ".csv", ".xml", ".html", ".doc", ".docx", ".rtf", ".json"}
REPORT_MODALITIES = {"SR", "DOC", "KO", "PR", "AU"}
REPORT_ELEMENTS = {"EncapsulatedDocument", "ContentSequence"}
DIRECTORY_CLASS = "1.2.840.10008.1.3.10"


@dataclass(frozen=True)
class Facts:
    """What is known of a file before its pixels are looked at.

    Attributes
    ----------
    why : str
        Why it is kept as it is; '' for a clip.
    study, series, instance : str
        DICOM unique ids.
    modality, date, view : str
        Of the header; the date as YYYY-MM-DD.
    is_dicom : bool
    """

    why: str
    study: str = ""
    series: str = ""
    instance: str = ""
    modality: str = ""
    date: str = ""
    view: str = ""
    is_dicom: bool = False


def read_facts(file: Path, path: str) -> Facts:
    """Facts of a file, which has the name `path` in the archive.

    Raises
    ------
    ArchiveError
        When it is a DICOM file and pydicom is not installed.
    """
    header = read_header(file, path)
    if header is not None:
        return _dicom_facts(header, path)
    return Facts(_why_by_name(PurePosixPath(path)))


def read_header(file: Path, path: str) -> Any | None:
    """Data set of a DICOM file without its pixels; None of other files and of damaged headers."""
    with file.open("rb") as opened:
        head = opened.read(132)
    if head[128:] != b"DICM" and not (head and PurePosixPath(path).suffix.lower() in DICOM_SUFFIXES):
        return None
    try:
        from pydicom import dcmread
    except ImportError as error:
        raise ArchiveError("DICOM files need pydicom, which is not installed.",
                           "Install it with: pip install 'lrmcodec[dicom]'") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's may quote a patient's data
        try:
            header = dcmread(file, stop_before_pixels=True, force=True)
            return header if len(header) or len(header.file_meta) else None
        except Exception:  # damaged headers raise errors of every kind
            return None


def without_identity(facts: Facts, salt: str) -> Facts:
    """Facts under new unique ids, the same for the same ones, and without the date.

    This is what the basic confidentiality profile does with them (PS3.15 table E.1-1, actions U and X or Z).
    """
    study, series, instance = (_new_uid(uid, salt) for uid in (facts.study, facts.series, facts.instance))
    return replace(facts, study=study, series=series, instance=instance, date="")


def _new_uid(uid: str, salt: str) -> str:
    """A unique id of the form 2.25.N (PS3.5 section B.2) that the old one leads to, and not the other way round."""
    number = int.from_bytes(hashlib.sha256(f"{salt}{uid}".encode()).digest()[:16], "big")
    return f"2.25.{number}" if uid else ""


def _dicom_facts(header: Any, path: str) -> Facts:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        date = _text(header, "StudyDate")
        return Facts(
            _why_dicom(header, path), _text(header, "StudyInstanceUID"), _text(header, "SeriesInstanceUID"),
            _text(header, "SOPInstanceUID"), _text(header, "Modality")[:16],
            f"{date[:4]}-{date[4:6]}-{date[6:]}" if len(date) == 8 and date.isdigit() else "", _view(header), True)


def _why_dicom(header: Any, path: str) -> str:
    """Why a DICOM file is kept as it is, by what its header holds."""
    if PurePosixPath(path).name == DICOMDIR or _text(header.file_meta, "MediaStorageSOPClassUID") == DIRECTORY_CLASS:
        return INDEX
    if "WaveformSequence" in header:
        return WAVEFORM
    if _text(header, "Modality") in REPORT_MODALITIES or REPORT_ELEMENTS & set(header.dir()):
        return REPORT
    if "Rows" not in header or "Columns" not in header:
        return "" if _is_picture(header) else OTHER
    return "" if _count(header) > 1 else STILL


def _is_picture(header: Any) -> bool:
    """Whether its class is one of pictures, so that a header without them is cut off; the reader says so."""
    from pydicom.uid import UID

    return "Image Storage" in UID(_text(header.file_meta, "MediaStorageSOPClassUID")).name


def _count(header: Any) -> int:
    try:
        return int(header.get("NumberOfFrames") or 1)
    except (TypeError, ValueError):
        return 2  # nonsense: the reader says what is wrong


def _view(header: Any) -> str:
    """Name of the view: by its code (PS3.3 section C.8.5.6.1.19), else the view's own name (C.8.5.14)."""
    for item in header.get("ViewCodeSequence") or []:
        meaning = _text(item, "CodeMeaning")
        if meaning:
            return meaning[:64]
    return _text(header, "ViewName")[:64]


def _text(header: Any, keyword: str) -> str:
    try:
        return str(header.get(keyword, "") or "").strip()
    except Exception:  # values of damaged elements are only looked at when they are asked for
        return ""


def _why_by_name(path: PurePosixPath) -> str:
    """Why a file that is no DICOM is kept as it is, by its name."""
    suffix = path.suffix.lower()
    if suffix in CLIP_SUFFIXES or suffix in DICOM_SUFFIXES:
        return ""
    if suffix in STILL_SUFFIXES:
        return STILL
    return REPORT if suffix in REPORT_SUFFIXES else OTHER
