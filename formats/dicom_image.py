"""The Image Pixel module: how stored samples lie and what they mean. Needs the optional package pydicom.

References are to DICOM PS3.3, 2024, section C.7.6.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.dicom_header import Header
from lrmcodec.formats.errors import ClipError

MAX_PIXELS = 1 << 24
"""Of one frame: several times the largest pictures of any modality that makes clips."""

COLOR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT")
"""Photometric interpretations of three samples a pixel that are read."""

FLOAT_BITS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


@dataclass(frozen=True)
class ImageModule:
    """What the header says about its pixels.

    Attributes
    ----------
    rows, columns : int
        Size of a frame.
    samples : int
        Samples a pixel, 1 or 3.
    photometric : str
        Photometric interpretation, or '' when it is missing.
    allocated, stored, high : int
        Bits of a sample as it lies in the file, bits of it that are used, and number of the highest of these.
    signed : bool
        Whether stored values are signed.
    planar : bool
        Whether uncompressed samples lie plane by plane.
    frames : int or None
        How many frames are promised; None when the number is missing or makes no sense.
    is_float : bool
        Whether values are IEEE numbers.
    """

    rows: int
    columns: int
    samples: int
    photometric: str
    allocated: int
    stored: int
    high: int
    signed: bool
    planar: bool
    frames: int | None
    is_float: bool

    @property
    def is_color(self) -> bool:
        """Whether a pixel has three samples."""
        return self.samples == 3


def read_image_module(header: Header, name: str, keyword: str) -> ImageModule:
    """Read and check the Image Pixel module; `keyword` is the element that holds the pixels.

    Raises
    ------
    ClipError
        When the size is missing or absurd, or a number of bits or samples is one that no reader here knows.
    """
    rows, columns = (_needed(header, name, k) for k in ("Rows", "Columns"))
    if not 0 < rows * columns <= MAX_PIXELS or rows < 0:
        raise ClipError(f"{name}: frames of {rows} x {columns} pixels cannot be.", "The header may be damaged.")
    samples = header.integer("SamplesPerPixel") or 1
    if samples not in (1, 3):
        raise ClipError(f"{name} has {samples} samples a pixel (SamplesPerPixel).", "1 and 3 can be read; convert it.")
    is_float = keyword in FLOAT_BITS
    allocated = FLOAT_BITS.get(keyword) or header.integer("BitsAllocated") or 8
    if allocated not in (1, 8, 16, 32, 64) or (allocated == 1 and samples != 1):
        raise ClipError(f"{name} has {allocated} bits a sample (BitsAllocated).", "Convert it to 8 or 16 bits.")
    stored = allocated if is_float else header.integer("BitsStored") or allocated
    high = header.integer("HighBit")
    high = stored - 1 if is_float or high is None else high
    if not 0 < stored <= allocated or not stored - 1 <= high < allocated:
        raise ClipError(f"{name}: {stored} bits up to bit {high} do not fit into {allocated} (BitsStored, HighBit, "
                        "BitsAllocated).", "Correct these elements; which of them is wrong cannot be told.")
    frames = header.integer("NumberOfFrames")
    return ImageModule(rows, columns, samples, header.code("PhotometricInterpretation"), allocated, stored, high,
                       header.integer("PixelRepresentation") == 1, header.integer("PlanarConfiguration") == 1,
                       frames if frames is not None and frames > 0 else None, is_float)


def _needed(header: Header, name: str, keyword: str) -> int:
    value = header.integer(keyword)
    if value is None:
        raise ClipError(f"{name}: the element {keyword} is no number.", "The header is damaged; get another copy.")
    return value


def used_bits(raw: NDArray[Any], stored: int, high: int, signed: bool) -> NDArray[Any]:
    """Stored values from samples as they lie in the file: the bits `high` - `stored` + 1 to `high` (PS3.5 8.1.1).

    Parameters
    ----------
    raw : ndarray of integers
        Of any shape.

    Returns
    -------
    ndarray of integers
        Of the same shape and size of sample, signed or unsigned.
    """
    width = raw.dtype.itemsize * 8
    unsigned = raw.view(f"u{raw.dtype.itemsize}")
    if stored == width:
        return unsigned.view(f"i{raw.dtype.itemsize}") if signed else unsigned
    lifted = unsigned << (width - 1 - high)
    if signed:
        lifted = lifted.view(f"i{raw.dtype.itemsize}")
    return np.asarray(lifted >> (width - stored))


def loose_bits(raw: NDArray[Any], stored: int, high: int) -> bool:
    """Whether samples have bits set outside the used ones that are no copies of a sign."""
    unsigned = raw.view(f"u{raw.dtype.itemsize}")
    below = high + 1 - stored
    outside = unsigned & ((1 << below) - 1) if below else unsigned >> stored
    return bool(outside.any())
