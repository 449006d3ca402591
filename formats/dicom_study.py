"""Patient, study and acquisition of a DICOM clip: taken from its header, kept as bytes, put into a new object.

Nothing here is stored or written unless somebody asks for it (`--keep-study`). What is carried is a list, the
attributes of the modules below; private elements, overlays, icons, signatures and everything that describes the
stored pixels are left behind. The editions of the standard are those of `dicom_tables`.
"""

from __future__ import annotations

import io
import math
import uuid
import warnings
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from lrmcodec.formats.container import MAX_STUDY_BYTES
from lrmcodec.formats.dicom_header import Header
from lrmcodec.formats.dicom_tables import RAW_DATA, attributes, confidential, modules
from lrmcodec.formats.errors import ClipError, FormatError

IDENTIFYING_MODULES = (
    "patient", "clinical-trial-subject", "general-study", "patient-study", "clinical-trial-study",
    "clinical-trial-series", "frame-of-reference", "synchronization", "general-reference",
)
TECHNICAL_MODULES = (
    "general-series", "general-equipment", "general-acquisition", "general-image", "contrast-bolus", "device",
    "us-region-calibration", "us-image",
)
"""Modules whose attributes are carried; without identity only those of the second list, cut down by the profile."""

INSTANCE = (
    "TimezoneOffsetFromUTC", "CodingSchemeIdentificationSequence", "ContributingEquipmentSequence",
    "OriginalAttributesSequence", "ContentQualification", "LongitudinalTemporalInformationModified",
)
"""Attributes of the SOP Common module that are carried; the others belong to one instance only."""

SOURCE = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "NumberOfFrames")
"""Facts about the source: kept to refer to it and to scale its regions, never copied as they are."""

LEFT_BEHIND = frozenset({
    "SeriesInstanceUID", "SmallestPixelValueInSeries", "LargestPixelValueInSeries", "PixelPaddingValue",
    "RealWorldValueMappingSequence", "IconImageSequence", "PresentationLUTShape", "SourceImageSequence",
    "SourceInstanceSequence", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration",
    "FrameIncrementPointer", "UltrasoundColorDataPresent", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "OverlaySubtype",
})
"""Attributes of those modules that describe the source's pixels or series; the new object has its own."""

OF_ITS_FRAMES = ("RWaveTimeVector", "TriggerTime", "IVUSPullbackStartFrameNumber", "IVUSPullbackStopFrameNumber")
"""Attributes that are wrong once frames are cut off or added."""

IDENTIFYING_VR = frozenset({"PN", "DA", "DT", "TM", "UI", "LT", "ST", "UT", "UC", "UR", "UN", "OB", "OW"})
"""Kinds of values that may name somebody or date something, whatever the attribute: never kept without identity."""

ULTRASOUND = ("US", "IVUS")
"""Modalities of ultrasound; a clip of another kind of machine becomes plain ultrasound."""

MAX_ELEMENT_BYTES = 1 << 16
MASKED = "pixels outside the ultrasound sector set to 0"
"""What DerivationDescription says about a masked clip; the only part of it that is kept without identity."""
DAMAGED = "The file is damaged; get another copy."


@dataclass(frozen=True)
class StudyTags:
    """What a new object takes over from the DICOM object that a clip came from.

    Attributes
    ----------
    elements : Dataset
        Carried elements and the facts of `SOURCE`, text in UTF-8. Not to be changed.
    left_out : tuple of str
        Keywords of elements that were there but could not be carried: too long or malformed. Never their values.
    """

    elements: Dataset
    left_out: tuple[str, ...] = ()

    @classmethod
    def of(cls, header: Dataset) -> StudyTags:
        """Take the carried elements from an object's header; `header` is left as it is.

        Raises
        ------
        ClipError
            When they are larger than 1 MiB together.
        """
        kept, left_out = Dataset(), []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's may quote a patient's data
            for keyword in (*carried(), *SOURCE):
                if keyword in header:
                    element = _copy(header, keyword)
                    if element is None:
                        left_out.append(keyword)
                    elif not (element.is_empty and keyword in never_empty()):
                        kept.add(element)
        kept.SpecificCharacterSet = "ISO_IR 192"
        tags = cls(kept, tuple(left_out))
        if len(tags.to_bytes()) > MAX_STUDY_BYTES:
            raise ClipError(f"the header holds more than {MAX_STUDY_BYTES} bytes about the study.",
                            "Encode the clip without --keep-study.")
        return tags

    @classmethod
    def read(cls, path: str | Path) -> StudyTags:
        """Take the carried elements from a DICOM file, without reading its pixels.

        Raises
        ------
        ClipError
            When it is damaged or no DICOM file.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        except OSError:
            raise
        except Exception as error:
            # The message is left out: it may quote a patient's data.
            raise ClipError(f"{path} is not a readable DICOM file ({type(error).__name__}).",
                            "Check that it is complete.") from None
        if "SOPClassUID" not in header and "Rows" not in header:
            raise ClipError(f"{path} is no DICOM file, so it has no study to keep.", "Leave --keep-study out.")
        return cls.of(header)

    def to_bytes(self) -> bytes:
        """The elements as a DICOM data set, explicit VR little endian, without file meta information; no pixels."""
        return _encode(self.elements)

    @classmethod
    def from_bytes(cls, data: bytes) -> StudyTags:
        """Take apart what `to_bytes` made; the bytes are not trusted, and elements that are not carried are dropped.

        Raises
        ------
        FormatError
            When the bytes are too long or no data set.
        """
        if len(data) > MAX_STUDY_BYTES:
            raise FormatError(f"the study takes {len(data)} bytes, at most {MAX_STUDY_BYTES} are allowed.", DAMAGED)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = read_dataset(io.BytesIO(data), is_implicit_VR=False, is_little_endian=True)
                if _encode(found) != data:
                    raise ValueError("cut short, or not a data set at all")
                return cls.of(found)
        except Exception as error:
            # pydicom raises errors of every kind on damaged bytes; their text may quote a patient's data.
            raise FormatError(f"the study cannot be read ({type(error).__name__}).", DAMAGED) from None

    def without_identity(self) -> StudyTags:
        """What the Basic Application Level Confidentiality Profile leaves of the technical modules, and less.

        Names, dates, times, UIDs, long texts and unknown values are dropped at every depth, whatever their attribute.
        This is a choice of attributes, not a de-identification: pixels and short texts are not looked at.
        """
        kept = Dataset()
        for keyword in (*technical(), "Rows", "Columns", "NumberOfFrames"):
            if keyword in self.elements:
                _keep_harmless(kept, self.elements[keyword])
        if MASKED in str(self.elements.get("DerivationDescription") or ""):
            kept.DerivationDescription = MASKED
        kept.SpecificCharacterSet = "ISO_IR 192"
        return StudyTags(kept)

    def masked(self) -> StudyTags:
        """The same for a clip of which only the ultrasound sector is left, which DerivationDescription says then."""
        elements = deepcopy(self.elements)
        put_derivation(elements, MASKED)
        return StudyTags(elements, self.left_out)

    def apply(self, dataset: Dataset) -> None:
        """Put the study into a new, derived object.

        `dataset` has its Rows, Columns and NumberOfFrames already; regions are scaled to them. SeriesInstanceUID is
        new and the same for all clips of one source series; SOPInstanceUID is left to the caller. ImageType becomes
        DERIVED; the source, where its UIDs are known, is named in SourceImageSequence.
        """
        self._put(dataset, (element.keyword for element in self.elements))
        if dataset.get("NumberOfFrames") != self.elements.get("NumberOfFrames"):
            for keyword in OF_ITS_FRAMES:
                dataset.pop(keyword, None)
        dataset.ImageType = _derived(self.elements.get("ImageType"))
        self._put_series(dataset)
        source = self._source()
        if source is not None:
            dataset.SourceImageSequence = [source]
        self._scale_regions(dataset)

    def apply_to_raw_data(self, dataset: Dataset) -> None:
        """Put into a new Raw Data object what that kind of object can hold: all but what is said about a picture."""
        known = {keyword for module in modules(RAW_DATA) for keyword in attributes(module)}
        self._put(dataset, known & set(carried()))
        self._put_series(dataset, "raw data")
        source = self._source()
        if source is not None:
            dataset.ReferencedInstanceSequence = [source]

    def _put(self, dataset: Dataset, keywords: Iterable[str]) -> None:
        for keyword in keywords:
            if keyword in self.elements and keyword not in SOURCE:
                dataset.add(deepcopy(self.elements[keyword]))
        if dataset.get("Modality") not in ULTRASOUND:
            dataset.Modality = "US"

    def scale(self, height: int, width: int) -> tuple[float, float]:
        """Rows and columns of a picture of this size for one of the source's."""
        rows, columns = (Header([self.elements]).integer(keyword) or 0 for keyword in ("Rows", "Columns"))
        return (height / rows if rows else 1.0), (width / columns if columns else 1.0)

    def _put_series(self, dataset: Dataset, kind: str = "") -> None:
        """A series for objects of one kind beside the source's, with its number plus 1000."""
        source = self.elements.get("SeriesInstanceUID")
        if not source:
            return
        dataset.SeriesInstanceUID = derived_uid(f"{source} {kind}".strip())
        number = self.elements.get("SeriesNumber")
        if number is not None:
            dataset.SeriesNumber = int(number) + 1000
        described = str(self.elements.get("SeriesDescription") or "")
        dataset.SeriesDescription = f"{described[:50]} (lrmcodec)".strip()

    def _source(self) -> Dataset | None:
        """Reference to the object that the clip was made from, where its UIDs are known (PS3.3 table 10-3)."""
        source, kind = self.elements.get("SOPInstanceUID"), self.elements.get("SOPClassUID")
        if not source or not kind:
            return None
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, source
        # CID 7202; "uncompressed predecessor" would be wrong for a source that was lossy itself.
        lossy = str(self.elements.get("LossyImageCompression") or "00") == "01"
        purpose = ("121322", "Source image for image processing operation") if lossy \
            else ("121320", "Uncompressed predecessor")
        item.PurposeOfReferenceCodeSequence = [code(*purpose)]
        return item

    def _scale_regions(self, dataset: Dataset) -> None:
        """Move the regions with the pixels when the size has changed (PS3.3 C.8.5.5)."""
        down, across = self.scale(int(dataset.Rows), int(dataset.Columns))
        for region in dataset.get("SequenceOfUltrasoundRegions") or []:
            region.pop("ActiveImageAreaOverlayGroup", None)  # overlays are not carried
            if (down, across) != (1.0, 1.0):
                _scale_region(region, down, across)


def put_derivation(dataset: Dataset, words: str) -> None:
    """Say what was done to the pixels, behind what was done before."""
    before = dataset.get("DerivationDescription")
    dataset.DerivationDescription = f"{before}; {words}"[-1024:] if before else words


def code(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    """An item of a code sequence (PS3.3 section 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def derived_uid(source: str) -> UID:
    """A UID that follows from a text, so that what belongs together stays together (PS3.5 Annex B.2)."""
    return UID(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'lrmcodec {source}').int}")


@cache
def technical() -> tuple[str, ...]:
    """Keywords carried that describe the acquisition rather than the patient."""
    found = {keyword: None for module in TECHNICAL_MODULES for keyword in attributes(module)}
    return tuple(keyword for keyword in found if keyword not in LEFT_BEHIND)


@cache
def carried() -> tuple[str, ...]:
    """Keywords of all elements that a study's tags carry."""
    found = {keyword: None for module in IDENTIFYING_MODULES for keyword in attributes(module)}
    identifying = (keyword for keyword in found if keyword not in LEFT_BEHIND)
    return tuple(dict.fromkeys((*identifying, *technical(), *INSTANCE)))


@cache
def never_empty() -> frozenset[str]:
    """Keywords carried that some module wants with a value (types 1, 1C), and none without (types 2, 2C)."""
    found: dict[str, set[str]] = {}
    for module in (*IDENTIFYING_MODULES, *TECHNICAL_MODULES):
        for keyword, type_ in attributes(module).items():
            found.setdefault(keyword, set()).add(type_)
    return frozenset(keyword for keyword, types in found.items() if types & {"1", "1C"} and not types & {"2", "2C"})


def _copy(header: Dataset, keyword: str) -> DataElement | None:
    """One element in UTF-8 without private parts; None when it is malformed or too long to be carried."""
    try:
        element = deepcopy(header[keyword])
        if element.VR in ("IS", "DS") and any(isinstance(value, str) and value for value in _values(element)):
            return None  # what is no number stays a text
        _decode(element)
        alone = Dataset()
        alone.SpecificCharacterSet = "ISO_IR 192"
        alone.add(element)
        alone.remove_private_tags()
        return element if len(_encode(alone)) <= MAX_ELEMENT_BYTES else None
    except Exception:
        # pydicom converts values when they are asked for, and raises errors of every kind on malformed ones.
        return None


def _values(element: DataElement) -> list[Any]:
    return list(element.value) if element.VM > 1 else [element.value]


def _decode(element: DataElement) -> None:
    """Free the texts of an element and of the items in it from the character sets that they came in.

    Dates and times as they were written before 1993, 1992.12.31 and 23:59:59, become 19921231 and 235959 (PS3.5 6.2).
    """
    if element.VR in ("DA", "TM") and isinstance(element.value, str):
        element.value = element.value.replace("." if element.VR == "DA" else ":", "")
    if element.VR == "PN":
        # A name that was written once keeps the bytes of that time: make it anew from its text.
        names = [str(name) for name in _values(element)]
        element.value = names if element.VM > 1 else names[0]
    for item in element.value if element.VR == "SQ" else ():
        item.decode()
        item.pop("SpecificCharacterSet", None)
        for inner in item:
            _decode(inner)


def _encode(dataset: Dataset) -> bytes:
    """Bytes of a data set, explicit VR little endian."""
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def _keep_harmless(target: Dataset, element: DataElement) -> None:
    """Add an element to `target` unless it may identify somebody; sequences are gone through."""
    if int(element.tag) in confidential() or element.VR in IDENTIFYING_VR or element.tag.is_private:
        return
    if element.VR != "SQ":
        target.add(deepcopy(element))
        return
    items = []
    for item in element.value:
        harmless = Dataset()
        for inner in item:
            _keep_harmless(harmless, inner)
        if len(harmless):
            items.append(harmless)
    if items:
        target.add(DataElement(element.tag, "SQ", items))


def _derived(image_type: Any) -> list[str]:
    """Image type of a picture made from one of this type (PS3.3 C.7.6.1.1.2)."""
    values = [str(value) for value in ([image_type] if isinstance(image_type, str) else image_type or [])]
    return ["DERIVED", *(values[1:] or ["PRIMARY"])]


_EDGES = {"RegionLocationMinX0": (1, 0), "RegionLocationMaxX1": (1, 1),
          "RegionLocationMinY0": (0, 0), "RegionLocationMaxY1": (0, 1)}
"""First and last pixels of a region: along rows (0) or columns (1), and 1 for the last pixel."""

_POINTS = {"ReferencePixelX0": 1, "ReferencePixelY0": 0, "DopplerSampleVolumeXPosition": 1,
           "DopplerSampleVolumeYPosition": 0, "TMLinePositionX0": 1, "TMLinePositionX1": 1, "TMLinePositionY0": 0,
           "TMLinePositionY1": 0}
"""Places in pixels."""

_STEPS = {"PhysicalDeltaX": 1, "PhysicalDeltaY": 0}
"""Physical steps from one pixel to the next."""


def _scale_region(region: Dataset, down: float, across: float) -> None:
    """Give a region the places it has in a picture whose sides are these times as long."""
    scales = down, across
    for keyword, (axis, last) in _EDGES.items():
        if region.get(keyword) is not None:
            edge = (int(region[keyword].value) + last) * scales[axis]
            region[keyword].value = max(0, math.ceil(edge) - 1 if last else math.floor(edge))
    for keyword, axis in _POINTS.items():
        if region.get(keyword) is not None:
            region[keyword].value = round((float(region[keyword].value) + 0.5) * scales[axis] - 0.5)
    for keyword, axis in _STEPS.items():
        if region.get(keyword) is not None:
            region[keyword].value = float(region[keyword].value) / scales[axis]
