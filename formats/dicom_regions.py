"""What a DICOM header says about places in the picture: ultrasound regions, and whether text is burned in."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from lrmcodec.formats.errors import ClipError

Box = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; bottom and right are the first ones outside."""

EDGES = ("RegionLocationMinY0", "RegionLocationMinX0", "RegionLocationMaxY1", "RegionLocationMaxX1")


@dataclass(frozen=True)
class Regions:
    """Regions of an ultrasound picture (PS3.3 C.8.5.5) and the header's word about burned-in annotation.

    Attributes
    ----------
    found : tuple of Box
        In pixels of the stored picture; empty where the header names none, or one that reaches beyond the picture: it
        was made for a picture of another size.
    height, width : int
        Size of the stored picture.
    burned_in : bool or None
        Value of BurnedInAnnotation (PS3.3 C.7.6.1); None where the header says nothing.
    """

    found: tuple[Box, ...]
    height: int
    width: int
    burned_in: bool | None

    @classmethod
    def of(cls, header: Dataset) -> Regions:
        """Take them from a header; regions with missing or senseless values are left out."""
        height, width = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
        said = str(header.get("BurnedInAnnotation") or "").upper()
        found = tuple(_boxes(header))
        if any(bottom > height or right > width for _, _, bottom, right in found):
            found = ()
        return cls(found, height, width, {"YES": True, "NO": False}.get(said))

    @classmethod
    def read(cls, path: str | Path) -> Regions:
        """Take them from a DICOM file.

        Raises
        ------
        ClipError
            When its header cannot be read.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pydicom's may quote a patient's data
                return cls.of(pydicom.dcmread(path, stop_before_pixels=True, force=True))
        except OSError:
            raise
        except Exception as error:
            raise ClipError(f"{path} is not a readable DICOM file ({type(error).__name__}).",
                            "Check that it is complete.") from None

    def boxes(self, size: tuple[int, int]) -> list[Box]:
        """The regions in a picture of `size` (H, W) that shows the stored one whole."""
        down, across = size[0] / max(self.height, 1), size[1] / max(self.width, 1)
        return [(int(top * down), int(left * across), -int(-bottom * down // 1), -int(-right * across // 1))
                for top, left, bottom, right in self.found]


def _boxes(header: Dataset) -> Iterator[Box]:
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        edges = [region.get(keyword) for keyword in EDGES]
        if not all(isinstance(edge, int) for edge in edges):
            continue
        top, left, bottom, right = edges
        if 0 <= top <= bottom and 0 <= left <= right:
            yield top, left, bottom + 1, right + 1
