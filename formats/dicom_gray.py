"""Decoded pictures of DICOM to gray levels, frame by frame. Needs the optional package pydicom.

References are to DICOM PS3.3, 2024.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.dicom_color import colored_area, is_partial, settle_space, widened
from lrmcodec.formats.dicom_file import DicomFile
from lrmcodec.formats.dicom_image import COLOR, ImageModule
from lrmcodec.formats.dicom_levels import (
    Grayscale,
    Palette,
    has_supplement,
    read_grayscale,
    read_palette,
    to_levels,
)
from lrmcodec.formats.dicom_pictures import Picture
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import GRAY_HINT, Frame, FrameCollector, luma

TABLE_BITS = 16
"""Bits up to which gray levels are looked up in a table of all stored values."""

AS_RGB = ("RGB", "YBR_ICT", "YBR_RCT")
"""Photometric interpretations that are RGB once decoded: JPEG 2000 undoes its own transforms."""


class GrayFrames:
    """Adds the pictures of one file to a collector as gray levels."""

    def __init__(self, file: DicomFile, image: ImageModule, collector: FrameCollector) -> None:
        self._file = file
        self._image = image
        self._collector = collector
        self._widens: bool | None = None
        self._table: tuple[Grayscale, int, Frame] | None = None

    def add(self, picture: Picture) -> None:
        """Append the next picture.

        Raises
        ------
        ClipError
            When it is in color that was not asked to be turned gray, or in a way that is not read.
        """
        kind = self._image.photometric
        if picture.values.ndim == 3:
            self._add_color(picture)
        elif kind == "PALETTE COLOR":
            self._add_palette(picture)
        elif self._supplement is not None:
            self._add_supplemented(picture, self._supplement)
        else:
            if not kind.startswith("MONOCHROME"):
                self._collector.warn(f"PhotometricInterpretation says {kind or 'nothing'}, pictures are gray")
            self._collector.add(self._levels(picture))

    def _add_color(self, picture: Picture) -> None:
        kind, name = self._image.photometric, self._collector.name
        if kind not in COLOR and self._image.is_color and not kind.startswith("MONOCHROME") and kind:
            raise ClipError(f"{name}: color as {kind} (PhotometricInterpretation) is not read.", "Convert it to RGB.")
        if picture.bits != 8:
            raise ClipError(f"{name} holds color of {picture.bits} bits.", "Convert it to 8 bits.")
        samples = np.asarray(picture.values).astype(np.uint8, copy=False)
        label = "RGB" if kind in AS_RGB else "YBR" if kind.startswith("YBR") else ""
        space, sure = settle_space(samples, picture.space or label or "RGB")
        if space != label:
            called = "RGB" if space == "RGB" else "YCbCr"
            self._collector.warn(f"PhotometricInterpretation says {kind or 'nothing'}, pictures are {called}")
        hint = GRAY_HINT if sure else (f"PhotometricInterpretation ({kind}) may be wrong, and so may be what --gray "
                                       "gives: compare with a viewer before you pass it.")
        self._collector.note_color(colored_area(samples, space), hint)
        self._collector.add(luma(samples) if space == "RGB" else self._luma(samples[..., 0], picture))

    def _luma(self, y: Frame, picture: Picture) -> Frame:
        """Luma of full range; partial range is widened unless the pictures are of full range after all."""
        if not self._image.photometric.startswith("YBR_PARTIAL"):
            return np.ascontiguousarray(y)
        if self._widens is None:
            self._widens = not picture.is_jpeg and is_partial(y)
            if not self._widens:
                self._collector.warn(f"PhotometricInterpretation says {self._image.photometric}, pictures are of full "
                                     "range")
        if self._widens and not is_partial(y):
            self._collector.warn("luma goes beyond the partial range of 16 to 235 and was clipped")
        return widened(y) if self._widens else np.ascontiguousarray(y)

    def _add_palette(self, picture: Picture) -> None:
        if self._palette.is_gray:
            self._collector.add(self._palette(picture.values)[..., 0])
        else:
            self._collector.add_rgb(self._palette(picture.values))

    def _add_supplemented(self, picture: Picture, palette: Palette) -> None:
        """Gray below the first value of the palette, color from there on (C.7.6.19)."""
        rgb = np.repeat(self._levels(picture)[..., None], 3, axis=2)
        colored = picture.values.astype(np.int64) >= palette.first
        rgb[colored] = palette(picture.values[colored])
        self._collector.add_rgb(rgb)

    @cached_property
    def _palette(self) -> Palette:
        file = self._file
        return read_palette(file.headers.shared, self._image, file.name, file.little_endian)

    @cached_property
    def _supplement(self) -> Palette | None:
        return self._palette if has_supplement(self._file.headers.shared, self._image) else None

    def _levels(self, picture: Picture) -> Frame:
        """Gray levels of stored values, by the table of this frame."""
        gray = self._grayscale()
        if picture.bits > TABLE_BITS or self._image.is_float:
            return self._shown(picture.values, picture.bits, gray)
        if self._table is None or self._table[0] is not gray or self._table[1] != picture.bits:
            codes = np.arange(1 << picture.bits)
            half = 1 << picture.bits >> 1
            values = (codes ^ half) - half if self._image.signed else codes
            self._table = gray, picture.bits, self._shown(values, picture.bits, gray)
        return np.asarray(self._table[2][picture.values.astype(np.int64) & ((1 << picture.bits) - 1)])

    def _shown(self, values: NDArray[Any], bits: int, gray: Grayscale) -> Frame:
        return to_levels(values, bits, self._image, gray, self._collector.name, self._collector.warn)

    def _grayscale(self) -> Grayscale:
        headers, index = self._file.headers, self._collector.count
        if index >= len(headers.per_frame):
            return self._shared_grayscale
        return self._read(index)

    @cached_property
    def _shared_grayscale(self) -> Grayscale:
        return self._read(len(self._file.headers.per_frame))

    def _read(self, index: int) -> Grayscale:
        header = self._file.headers.frame(index)
        return read_grayscale(header, self._image, self._file.name, self._file.little_endian)
