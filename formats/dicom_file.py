"""A DICOM file opened for reading: its header, and where its pixels lie. Needs the optional package pydicom.

References are to DICOM PS3.5 and PS3.10, 2024.
"""

from __future__ import annotations

import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from lrmcodec.formats.dicom_header import FrameHeaders
from lrmcodec.formats.errors import ClipError, LrmError

MAX_INFLATED_BYTES = 1 << 32
"""More than DICOM can hold in one element; what inflates beyond is no clip but an attack."""

IN_MEMORY_BYTES = 1 << 26

UNDEFINED = 0xFFFFFFFF

PIXEL_KEYWORDS = {0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData", 0x7FE00010: "PixelData"}

_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"UN")
_COMPLETE = "Check that it is complete."


@dataclass(frozen=True)
class Pixels:
    """Where the pixels lie.

    Attributes
    ----------
    keyword : str
        PixelData, FloatPixelData or DoubleFloatPixelData.
    words : bool
        Whether they are 16-bit words (VR OW), whose bytes big endian files swap.
    start, stop : int
        Their bytes in the file, as far as the file goes.
    encapsulated : bool
        Whether the length is undefined, as that of compressed pictures.
    missing : int
        Bytes that the element promises beyond the end of the file.
    """

    keyword: str
    words: bool
    start: int
    stop: int
    encapsulated: bool
    missing: int


@dataclass(frozen=True)
class DicomFile:
    """An open file: `file` (which may be an inflated copy), headers, transfer syntax and pixels."""

    name: str
    file: BinaryIO
    headers: FrameHeaders
    syntax: UID
    named_syntax: bool
    little_endian: bool
    pixels: Pixels


@contextmanager
def open_dicom(path: Path, name: str) -> Iterator[DicomFile]:
    """Open a DICOM file with or without preamble, deflated or not; messages call it `name`.

    Raises
    ------
    ClipError
        When it is no DICOM, holds no pixels, or its header is damaged.
    """
    with path.open("rb") as file:
        if not _skip_meta_of_deflated(file):
            file.seek(0)
            yield _located(name, file, _dataset(name, file))
            return
        with _inflated(name, file) as copy:
            yield replace(_located(name, copy, _dataset(name, copy)), syntax=DeflatedExplicitVRLittleEndian)


def _skip_meta_of_deflated(file: BinaryIO) -> bool:
    """Whether the data set of a file is deflated (PS3.5 section A.5); the file is then left where it begins."""
    file.seek(128)
    if file.read(4) != b"DICM":
        return False
    try:
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        return str(meta.get("TransferSyntaxUID", "")) == DeflatedExplicitVRLittleEndian
    except Exception:  # pydicom raises errors of every kind; `_dataset` meets the damage again and tells
        return False


@contextmanager
def _inflated(name: str, file: BinaryIO) -> Iterator[BinaryIO]:
    """A copy of a file that is not deflated, in memory or an unnamed temporary file."""
    with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as copy:
        syntax = str(ExplicitVRLittleEndian).encode() + b"\0"
        copy.write(b"\0" * 128 + b"DICM" + struct.pack("<HH2sH", 2, 0x10, b"UI", len(syntax)) + syntax)
        _inflate(name, file, cast(BinaryIO, copy))
        copy.seek(0)
        yield cast(BinaryIO, copy)


def _inflate(name: str, source: BinaryIO, target: BinaryIO) -> None:
    inflate, done = zlib.decompressobj(-zlib.MAX_WBITS), 0
    try:
        while not inflate.eof:
            data = inflate.unconsumed_tail or source.read(1 << 16)
            if not data:
                break
            plain = inflate.decompress(data, 1 << 20)
            done += len(plain)
            if done > MAX_INFLATED_BYTES:
                raise ClipError(f"{name} inflates to more than {MAX_INFLATED_BYTES} bytes.", "It is no usual clip.")
            target.write(plain)
    except zlib.error as error:
        raise ClipError(f"{name} is deflated DICOM that is damaged ({error}).", _COMPLETE) from error


def _dataset(name: str, file: BinaryIO) -> Dataset:
    """Everything before the pixels; the file is left where they begin."""
    try:
        # Some devices leave out the preamble: force, and see whether there is a picture.
        dataset: Dataset = pydicom.dcmread(file, stop_before_pixels=True, force=True)
        dataset.get("Rows"), dataset.get("SOPClassUID")
    except (LrmError, OSError):
        raise
    except Exception as error:
        # The message is left out: it may quote a patient's data.
        raise ClipError(f"{name} is not a readable DICOM file ({type(error).__name__}).", _COMPLETE) from error
    if "Rows" not in dataset or "Columns" not in dataset:
        kind = UID(str(dataset.get("SOPClassUID") or dataset_kind(dataset))).name
        what = f" but a {kind}" if kind and kind[0].isalpha() else ""
        raise ClipError(f"{name} is no DICOM file with a picture{what}.", "Choose a multi-frame ultrasound file.")
    return dataset


def dataset_kind(dataset: Dataset) -> str:
    """SOP class of the file meta information, '' when it has none."""
    meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
    return str(meta.get("MediaStorageSOPClassUID", ""))


def _located(name: str, file: BinaryIO, dataset: Dataset) -> DicomFile:
    implicit, little = dataset.original_encoding
    named = str(dataset.file_meta.get("TransferSyntaxUID") or "")
    if named:
        syntax = UID(named)
    elif implicit:
        syntax = ImplicitVRLittleEndian
    else:
        syntax = ExplicitVRBigEndian if little is False else ExplicitVRLittleEndian
    little = little is not False
    pixels = _pixels(name, file, little)
    return DicomFile(name, file, FrameHeaders(dataset), syntax, bool(named), little, pixels)


def _pixels(name: str, file: BinaryIO, little: bool) -> Pixels:
    """Read the head of the pixel element, at which the file stands."""
    order = "<" if little else ">"
    head = file.read(12)
    group, element = struct.unpack_from(f"{order}HH", head) if len(head) >= 8 else (0, 0)
    keyword = PIXEL_KEYWORDS.get(group << 16 | element)
    if keyword is None or len(head) < 8:
        raise ClipError(f"{name} holds no pixels.", "It may be cut off, or its pictures were removed.")
    explicit = head[4:6] in _LONG
    if explicit and len(head) < 12:
        raise ClipError(f"{name} ends where its pixels should begin.", _COMPLETE)
    length = struct.unpack_from(f"{order}I", head, 8 if explicit else 4)[0]
    start = file.tell() - len(head) + (12 if explicit else 8)
    size = file.seek(0, os.SEEK_END)
    words = head[4:6] == b"OW"
    if length == UNDEFINED:
        return Pixels(keyword, words, start, size, True, 0)
    stop = min(start + length, size)
    return Pixels(keyword, words, start, stop, False, start + length - stop)


def read_span(file: BinaryIO, start: int, stop: int) -> bytes:
    """Bytes of a file from `start` to `stop`; fewer at its end."""
    file.seek(start)
    return file.read(max(0, stop - start))


