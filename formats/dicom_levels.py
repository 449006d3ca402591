"""Stored values of DICOM to gray levels or color: modality, VOI and palette (PS3.3 C.11 and C.7.6.3, 2024)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.dicom_header import Header
from lrmcodec.formats.dicom_image import ImageModule
from lrmcodec.formats.dicom_lut import Lut, read_lut
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import Frame

PLAIN_WINDOW_LEVELS = 4
"""Levels by which a window may move those of an 8-bit picture and still count as none, as 127 with 254 does."""

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Window:
    """A VOI window: center, width > 0 and function (C.11.2.1.2)."""

    center: float
    width: float
    function: str

    def brightness(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Of values of any shape, 0 black to 1 white, before clipping."""
        if self.function == "SIGMOID":
            return np.asarray(1 / (1 + np.exp(np.clip(-4 * (values - self.center) / self.width, -700, 700))))
        if self.function == "LINEAR_EXACT":
            return (values - self.center) / self.width + 0.5
        if self.width <= 1:
            return (values > self.center - 0.5).astype(np.float64)
        return (values - (self.center - 0.5)) / (self.width - 1) + 0.5


@dataclass(frozen=True)
class Grayscale:
    """How the stored values of a frame are shown.

    Attributes
    ----------
    modality : Lut or None
        Modality LUT; None where values are rescaled.
    slope, intercept : float
        Of the rescaling.
    voi : Lut, Window or None
        How values become brightness; None where nothing says.
    inverted : bool
        Whether the lowest value is white.
    """

    modality: Lut | None
    slope: float
    intercept: float
    voi: Lut | Window | None
    inverted: bool


def read_grayscale(header: Header, image: ImageModule, name: str, little_endian: bool) -> Grayscale:
    """Read the Modality LUT, VOI LUT and presentation elements as a frame sees them.

    The first VOI LUT goes before the first window, as in pydicom; one of them is enough.
    """
    def lut(sequence: str, signed: bool) -> Lut | None:
        items = header.items(sequence)
        return read_lut(Header(items[:1]), "LUTDescriptor", "LUTData", name, little_endian, signed) if items else None

    modality = lut("ModalityLUTSequence", image.signed)
    slope, intercept = header.number("RescaleSlope") or 1.0, header.number("RescaleIntercept") or 0.0
    below_zero = modality is None and (image.signed or intercept < 0)
    voi = lut("VOILUTSequence", below_zero) or read_window(header, image.is_float)
    inverted = image.photometric == "MONOCHROME1" or header.code("PresentationLUTShape") == "INVERSE"
    return Grayscale(modality, slope, intercept, voi, inverted)


def read_window(header: Header, is_float: bool = False) -> Window | None:
    """First VOI window, or None."""
    center, width = header.number("WindowCenter"), header.number("WindowWidth")
    if center is None or width is None or width <= 0:
        return None
    function = header.code("VOILUTFunction") or "LINEAR"
    # LINEAR counts whole numbers: of values from 0 to 1 it would leave black and white.
    return Window(center, width, "LINEAR_EXACT" if is_float and function == "LINEAR" else function)


def to_levels(stored: NDArray[Any], bits: int, image: ImageModule, gray: Grayscale, name: str, warn: Warn) -> Frame:
    """Gray levels of stored values; never wrapped.

    Up to 8 bits all levels are kept, whatever the window. Deeper ones go through the VOI LUT or window. A modality
    LUT without one is shown over its whole range.

    Parameters
    ----------
    stored : ndarray, (H, W)
        Integers of `bits` bits, or floats.

    Raises
    ------
    ClipError
        When there are more than 8 bits and nothing says which levels to show.
    """
    values: NDArray[Any] = stored if gray.modality is None else gray.modality(stored)
    depth = bits if gray.modality is None else gray.modality.bits
    signed = image.signed and gray.modality is None
    if isinstance(gray.voi, Lut):
        bright = gray.voi.brightness(_rescaled(values, gray))
    elif gray.modality is None and depth <= 8 and not image.is_float:
        bright = _whole_range(values, depth, signed)
        _mention_window(gray, depth, signed, warn)
        bright = 1 - bright if gray.slope < 0 else bright
    elif gray.voi is not None:
        bright = gray.voi.brightness(_rescaled(values, gray))
    elif gray.modality is not None:
        bright = _whole_range(values, depth, False)
    else:
        kind = "floating point values" if image.is_float else f"{bits} bits a pixel"
        raise ClipError(f"{name} has {kind} and no window that says which levels to show.",
                        "Convert it to 8 bits, or store WindowCenter and WindowWidth.")
    if image.is_float and np.isnan(bright).any():
        warn("pixels that are no number (NaN) were shown black")
        bright = np.where(np.isnan(bright), float(gray.inverted), bright)
    return to_bytes(1 - bright if gray.inverted else bright)


def to_bytes(brightness: NDArray[np.float64]) -> Frame:
    """Levels of 0 to 255 of brightness of 0 to 1, clipped."""
    return np.rint(np.clip(brightness, 0, 1) * 255).astype(np.uint8)


def _rescaled(values: NDArray[Any], gray: Grayscale) -> NDArray[np.float64]:
    """Values in the unit that windows are given in (C.11.1)."""
    wide = values.astype(np.float64)
    return wide if gray.modality is not None else wide * gray.slope + gray.intercept


def _whole_range(values: NDArray[Any], bits: int, signed: bool) -> NDArray[np.float64]:
    low = -(1 << bits >> 1) if signed else 0
    return (values.astype(np.float64) - low) / max(1, (1 << bits) - 1)


def _mention_window(gray: Grayscale, bits: int, signed: bool, warn: Warn) -> None:
    """Say that a window of an 8-bit picture was left out, where it would change anything."""
    if not isinstance(gray.voi, Window):
        return
    low = -(1 << bits >> 1) if signed else 0
    values = np.arange(low, low + (1 << bits))
    shown = np.clip(gray.voi.brightness(_rescaled(values, gray)), 0, 1)
    plain = _whole_range(values, bits, signed)
    if np.abs(shown - (1 - plain if gray.slope < 0 else plain)).max() * 255 > PLAIN_WINDOW_LEVELS:
        warn(f"all levels were kept: the window of center {gray.voi.center:g} and width {gray.voi.width:g} was not "
             "applied")


@dataclass(frozen=True)
class Palette:
    """A color table: `colors` (n, 3) uint8 for the stored values from `first` on."""

    first: int
    colors: NDArray[np.uint8]

    @property
    def is_gray(self) -> bool:
        """Whether all colors are gray."""
        return bool((self.colors == self.colors[:, :1]).all())

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.uint8]:
        """Colors (..., 3) of stored values; what lies outside takes the nearest entry."""
        places = np.clip(stored.astype(np.int64) - self.first, 0, len(self.colors) - 1)
        return np.asarray(self.colors[places])


def read_palette(header: Header, image: ImageModule, name: str, little_endian: bool) -> Palette:
    """Read the three tables of a palette.

    Raises
    ------
    ClipError
        When one is missing or damaged, or they differ in what they stand for.
    """
    tables = [read_lut(header, f"{color}PaletteColorLookupTableDescriptor", f"{color}PaletteColorLookupTableData",
                       name, little_endian, image.signed) for color in ("Red", "Green", "Blue")]
    if len({(table.first, len(table.entries)) for table in tables}) != 1:
        raise ClipError(f"{name}: the three tables of its palette differ in length.", "Get another copy of the file.")
    bits = max(table.bits for table in tables)
    colors = [Lut(table.first, table.entries, bits).levels() for table in tables]
    return Palette(tables[0].first, np.stack(colors, axis=1))


def has_supplement(header: Header, image: ImageModule) -> bool:
    """Whether a gray picture has color for its highest values (C.7.6.19 and C.8.16.2)."""
    return (not image.is_color and image.photometric.startswith("MONOCHROME")
            and header.code("PixelPresentation") in ("COLOR", "MIXED")
            and header.has("RedPaletteColorLookupTableDescriptor"))
