"""Ultrasound Multi-frame Image objects out. Needs the optional package pydicom.

A written object is derived and lossy and says so. It has new UIDs, and names the patient and the study only where
the caller asks for it and hands them over. Editions of the standard: see `dicom_tables`.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID
from pydicom.valuerep import format_number_as_ds

from lrmcodec.formats.dicom_object import new_object, put_maker, save, study_of
from lrmcodec.formats.dicom_study import code, put_derivation
from lrmcodec.formats.dicom_tables import ULTRASOUND_MULTIFRAME
from lrmcodec.formats.dicom_video import STREAMS, Stream, encode_stream
from lrmcodec.formats.errors import LrmError, OutputError
from lrmcodec.formats.frames import Output
from lrmcodec.formats.stamps import even_rate

ULTRASOUND_MULTIFRAME_IMAGE = UID("1.2.840.10008.5.1.4.1.1.3.1")

FRAME_TIME = Tag(0x0018, 0x1063)
FRAME_TIME_VECTOR = Tag(0x0018, 0x1065)

MAX_PIXEL_BYTES = 0xFFFFFFFE
MAX_VECTOR_BYTES = 0xFFFE
"""Lengths that explicit VR little endian can express (PS3.5 section 7.1.2)."""

METHOD = "LRMCODEC"
"""Our name among the methods of lossy compression, whose terms are open (PS3.3 C.7.6.1.1.5.1)."""


def write_dicom(path: Path, output: Output) -> None:
    """Write an Ultrasound Multi-frame Image; `output.dicom` says of which study, and how pixels are coded.

    Pixels are uncompressed in explicit VR little endian, or a video. The object is DERIVED and lossy: each step's
    method and ratio are appended to those of the source, "LRMCODEC" with `metadata["lossy_ratio"]`. Where the study
    has no regions, `metadata["pixel_spacing_mm"]` becomes one, over the whole picture.

    Raises
    ------
    OutputError
        When the frames pass 4 GiB, irregular times need more room than the format has, or a video cannot hold them.
    FormatError
        When the study's bytes are damaged.
    """
    if output.dicom.pixels == "native":
        _write_native(path, output)
    else:
        _write_video(path, output)


def _write_native(path: Path, output: Output) -> None:
    size = len(output.times_s) * output.height * output.width
    if size > MAX_PIXEL_BYTES:
        what = f"{size} bytes of frames are more than DICOM can hold."
        raise OutputError(what, "Choose .mkv, or shorten the clip.")
    with path.open("wb") as file:
        with _study_in_plain_words():
            save(file, _image(output, output.height, output.width))
        # The pixels are the last element; written here frame by frame, they need no memory.
        file.write(struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, size + size % 2))
        for frame in output.frames:
            file.write(np.ascontiguousarray(frame).data)
        file.write(b"\0" * (size % 2))


def _write_video(path: Path, output: Output) -> None:
    stream = STREAMS[output.dicom.pixels]
    data, height, width = encode_stream(output, output.dicom.pixels)
    with _study_in_plain_words():
        _write_stream(path, output, stream, data, height, width)


def _write_stream(path: Path, output: Output, stream: Stream, data: bytes, height: int, width: int) -> None:
    dataset = _image(output, height, width)
    dataset.file_meta.TransferSyntaxUID = stream.syntax
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "YBR_PARTIAL_420", 0
    raw = len(output.times_s) * height * width
    _append_lossy(dataset, stream.method, raw / len(data))
    dataset.PixelData = encapsulate([data], has_bot=False)
    dataset["PixelData"].VR = "OB"
    save(path, dataset)


@contextmanager
def _study_in_plain_words() -> Iterator[None]:
    """Turn what pydicom raises on damaged elements of a carried study into an error that says so."""
    try:
        yield
    except (LrmError, OSError, MemoryError):
        raise
    except Exception as error:  # of every kind
        what = f"the study that the clip carries is damaged and cannot be written ({type(error).__name__})."
        raise OutputError(what, "Encode the clip again without --keep-study.") from error


def _image(output: Output, height: int, width: int) -> Dataset:
    """Every element but the pixels, as for uncompressed gray ones."""
    dataset = new_object(ULTRASOUND_MULTIFRAME, ULTRASOUND_MULTIFRAME_IMAGE)
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.Laterality = dataset.PatientOrientation = None  # unknown
    dataset.BurnedInAnnotation = "YES"  # it cannot be ruled out; a study that is carried knows better
    dataset.Rows, dataset.Columns, dataset.NumberOfFrames = height, width, len(output.times_s)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 8, 8, 7, 0
    dataset.UltrasoundColorDataPresent, dataset.PresentationLUTShape = 0, "IDENTITY"
    study = study_of(output.dicom)
    if study is not None:
        study.apply(dataset)
    if "SequenceOfUltrasoundRegions" not in dataset:
        _put_spacing(dataset, output)
    _put_times(dataset, output.times_s)
    _put_derivation(dataset, output)
    return dataset


def _put_spacing(dataset: Dataset, output: Output) -> None:
    """A region over the whole picture that says how large a pixel is (PS3.3 C.8.5.5)."""
    spacing = _numbers(output.metadata, "pixel_spacing_mm")
    if not spacing:
        return
    if len(spacing) != 2:
        raise _unfit("pixel_spacing_mm", "one number down and one across")
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0  # 2D, tissue
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = output.width - 1, output.height - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3  # centimeters
    region.PhysicalDeltaY, region.PhysicalDeltaX = (float(step) / 10 for step in spacing)
    dataset.SequenceOfUltrasoundRegions = [region]


def _put_derivation(dataset: Dataset, output: Output) -> None:
    """Say what was done to the pixels, behind what was done before (PS3.3 C.7.6.1.1.3 and C.12.4)."""
    if "LossyImageCompressionMethod" not in dataset:
        _put_steps(dataset, _codes(output.metadata, "lossy_methods"), _numbers(output.metadata, "lossy_ratios"))
    if output.metadata.get("lossless") is True:
        put_derivation(dataset, f"lossless compression by lrmcodec {version('lrmcodec')}")
        put_maker(dataset, "Lossless compression of the pixels, and restoring them")
        return
    ratios = _numbers(output.metadata, "lossy_ratio")
    _append_lossy(dataset, METHOD, ratios[0] if ratios else None)
    put_derivation(dataset, f"lossy compression by lrmcodec {version('lrmcodec')}, for research")
    dataset.DerivationCodeSequence = [*(dataset.get("DerivationCodeSequence") or []),
                                      code("113040", "Lossy Compression")]  # CID 7203
    put_maker(dataset, "Lossy compression of the pixels, and restoring them")


def _numbers(metadata: Mapping[str, Any], key: str) -> list[float]:
    """A number, or all numbers of a list, in the metadata; empty where there is none.

    Raises
    ------
    OutputError
        When one is no number above 0.
    """
    value = metadata.get(key)
    values = list(value) if isinstance(value, (list, tuple, np.ndarray)) else [] if value is None else [value]
    try:
        numbers = [float(v) for v in values]
    except (TypeError, ValueError, OverflowError):
        numbers = [0.0]
    if not all(np.isfinite(number) and number > 0 for number in numbers):
        raise _unfit(key, "numbers above 0")
    return numbers


def _codes(metadata: Mapping[str, Any], key: str) -> list[str]:
    """Code strings in the metadata, empty where there are none; errors as `_numbers`."""
    value = metadata.get(key)
    values = list(value) if isinstance(value, (list, tuple)) else [] if value is None else [value]
    if not all(isinstance(v, str) and re.fullmatch(r"[A-Z0-9_ ]{1,16}", v) for v in values):
        raise _unfit(key, "codes of up to 16 capital letters, digits, spaces and underscores")
    return values


def _unfit(key: str, what: str) -> OutputError:
    return OutputError(f"DICOM cannot hold the clip's metadata '{key}': it needs {what}.", "Correct or remove it.")


def _append_lossy(dataset: Dataset, method: str, ratio: float | None) -> None:
    """Append a step to the history of lossy compressions; where its ratio is unknown, methods stand alone."""
    methods, ratios = (_values(dataset, f"LossyImageCompression{name}") for name in ("Method", "Ratio"))
    steps = list(zip(methods, ratios, strict=False))
    _put_steps(dataset, [*(name for name, _ in steps), method],
               [*(value for _, value in steps), ratio] if ratio is not None else [])


def _put_steps(dataset: Dataset, methods: Sequence[Any], ratios: Sequence[Any]) -> None:
    """Methods and ratios of all lossy compressions so far, in pairs (PS3.3 C.7.6.1.1.5). Once lossy, always lossy.

    A step of which only the method or only the ratio is known is dropped, unless no ratio is known at all: its value
    would be read as another step's.
    """
    count = min(len(methods), len(ratios)) if ratios else len(methods)
    for name, values in (("Method", [str(method) for method in methods[:count]]),
                         ("Ratio", [format_number_as_ds(float(ratio)) for ratio in ratios[:count]])):
        dataset.pop(f"LossyImageCompression{name}", None)
        if values:
            setattr(dataset, f"LossyImageCompression{name}", values)
    lossy = methods or ratios or dataset.get("LossyImageCompression") == "01"
    dataset.LossyImageCompression = "01" if lossy else "00"


def _values(dataset: Dataset, keyword: str) -> list[Any]:
    """Values of an element as a list; empty when it is missing or empty."""
    found = dataset.get(keyword)
    if found is None or found == "":
        return []
    return [found] if isinstance(found, (str, int, float)) else list(found)


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
