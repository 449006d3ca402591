"""Uncompressed pixel data of DICOM, frame by frame. Needs the optional package pydicom.

References are to DICOM PS3.3 section C.7.6.3 and PS3.5 section 8, 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from lrmcodec.formats.dicom_color import gray_share
from lrmcodec.formats.dicom_decode import run_decoder
from lrmcodec.formats.dicom_file import DicomFile, read_span
from lrmcodec.formats.dicom_image import ImageModule, loose_bits
from lrmcodec.formats.errors import ClipError

HALVED = ("YBR_FULL_422", "YBR_PARTIAL_422")
"""Photometric interpretations of which uncompressed frames hold two chroma samples for two pixels."""

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Layout:
    """How frames lie: the module, and whether chroma is halved (C.7.6.3.1.2)."""

    image: ImageModule
    halved: bool

    @property
    def frame_bits(self) -> int:
        """Bits of one frame."""
        image = self.image
        samples = 2 if self.halved else image.samples
        return image.rows * image.columns * samples * image.allocated


def read_native(file: DicomFile, image: ImageModule, warn: Warn) -> Iterator[NDArray[Any]]:
    """Yield frames as they are stored: (rows, columns) or (rows, columns, 3), no color converted, no bits removed.

    All whole frames that lie in the file are read, whatever the header promises; halved chroma is doubled.

    Raises
    ------
    ClipError
        When not even one frame is whole.
    """
    layout = _layout(file, image, warn)
    size = file.pixels.stop - file.pixels.start
    count = size * 8 // layout.frame_bits
    if _fits(layout, image.frames or 1, size):
        count = image.frames or 1  # what is left is a byte that makes the length even
    if count == 0:
        raise ClipError(f"{file.name} ends in frame 0: it holds {size} bytes of pixels, a frame has "
                        f"{-(-layout.frame_bits // 8)}.", "Get a complete copy of the file.")
    _compare(file, image, layout, count, size, warn)
    for i in range(count):
        yield _frame(file, layout, i)


def _compare(file: DicomFile, image: ImageModule, layout: Layout, count: int, size: int, warn: Warn) -> None:
    left = size - -(-count * layout.frame_bits // 8)
    if file.pixels.missing or (left > 1 and count < (image.frames or 1)):
        warn(f"the file is cut off in frame {count}" + (f" of {image.frames}" if image.frames else ""))
    elif left > 1:
        warn(f"{left} bytes behind the last frame were left out")


def _layout(file: DicomFile, image: ImageModule, warn: Warn) -> Layout:
    """As declared, unless the number of bytes fits the number of frames in another way, and the pictures agree."""
    declared = Layout(image, image.is_color and image.photometric in HALVED)
    size = file.pixels.stop - file.pixels.start + file.pixels.missing
    if _fits(declared, image.frames or 1, size) or size * 8 < declared.frame_bits:
        return declared
    if image.is_color and image.photometric.startswith("YBR"):
        other = replace(declared, halved=not declared.halved)
        shares = [gray_share(_frame(file, layout, 0), "YBR") for layout in (declared, other)]
        if _fits(other, image.frames or 1, size) and shares[1] > shares[0]:
            stored = "4:2:2" if other.halved else "4:4:4"
            warn(f"PhotometricInterpretation says {image.photometric}, but samples are stored as {stored}")
            return other
    if image.allocated == 16 and image.high < 8:
        other = replace(declared, image=replace(image, allocated=8))
        if _fits(other, image.frames or 1, size) and loose_bits(_frame(file, declared, 0), image.stored, image.high):
            warn("BitsAllocated says 16, but samples are stored with 8 bits")
            return other
    return declared


def _fits(layout: Layout, frames: int, size: int) -> bool:
    expected = -(-layout.frame_bits * frames // 8)
    return expected <= size <= expected + 1


def _frame(file: DicomFile, layout: Layout, index: int) -> NDArray[Any]:
    start, stop = index * layout.frame_bits, (index + 1) * layout.frame_bits
    data = _bytes(file, start // 8, -(-stop // 8))
    image = layout.image
    if image.allocated == 1:
        bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
        return bits[start % 8 :][: image.rows * image.columns].reshape(image.rows, image.columns)
    syntax = ExplicitVRLittleEndian if file.little_endian else ExplicitVRBigEndian
    # Of pydicom's decoder only the unpacking is used: it takes HighBit for BitsStored - 1, and 8-bit words of big
    # endian files frame by frame.
    kind = "YBR_FULL_422" if layout.halved else "RGB" if image.is_color else "MONOCHROME2"
    samples = run_decoder(
        get_decoder(syntax), data + b"\0" * (len(data) % 2), rows=image.rows, columns=image.columns,
        samples_per_pixel=image.samples, photometric_interpretation=kind, bits_allocated=image.allocated,
        bits_stored=image.allocated, pixel_representation=int(image.signed),
        planar_configuration=int(image.planar and not layout.halved), pixel_keyword=file.pixels.keyword,
        allow_excess_frames=False)
    return samples.astype(samples.dtype.newbyteorder("="), copy=False)


def _bytes(file: DicomFile, start: int, stop: int) -> bytes:
    """Bytes of the pixels, those of big endian words put in order (PS3.5 section 8.1.1)."""
    swapped = not file.little_endian and file.pixels.words
    wide = file.headers.whole.integer("BitsAllocated") not in (1, 8)
    first = file.pixels.start
    if not swapped or wide:
        return read_span(file.file, first + start, first + stop)
    begin = start - start % 2
    data = read_span(file.file, first + begin, first + stop + stop % 2)
    pairs = np.frombuffer(data + b"\0" * (len(data) % 2), np.uint8).reshape(-1, 2)[:, ::-1]
    return pairs.tobytes()[start - begin : stop - begin]
