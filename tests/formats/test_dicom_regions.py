"""Ultrasound regions of a DICOM header, and its word about burned-in annotation."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pydicom")

from dicom_source import header, region, waves, write_source
from pydicom.dataset import Dataset

from lrmcodec.formats.dicom_regions import Regions
from lrmcodec.formats.errors import ClipError


def test_regions_are_read_in_pixels(tmp_path: Path) -> None:
    write_source(tmp_path / "a.dcm", waves(2, 64, 80), BurnedInAnnotation="YES")
    found = Regions.read(tmp_path / "a.dcm")
    assert found == Regions(((6, 8, 58, 72),), 64, 80, True)
    assert found.boxes((64, 80)) == [(6, 8, 58, 72)]
    assert found.boxes((32, 160)) == [(3, 16, 29, 144)]


@pytest.mark.parametrize(("said", "burned_in"), [("NO", False), ("YES", True), ("", None), ("PERHAPS", None)])
def test_burned_in(said: str, burned_in: bool | None) -> None:
    assert Regions.of(header(1, 16, 16, BurnedInAnnotation=said)).burned_in is burned_in


def test_senseless_regions_are_left_out() -> None:
    regions = [Dataset(), region(64, 80, RegionLocationMaxX1=2), region(64, 80, RegionLocationMinX0=[1, 2]),
               region(64, 80, RegionLocationMaxX1=79)]
    assert Regions.of(header(1, 64, 80, SequenceOfUltrasoundRegions=regions)).found == ((6, 8, 58, 80),)


@pytest.mark.parametrize("beyond", [{"RegionLocationMaxX1": 80}, {"RegionLocationMaxY1": 400}])
def test_regions_of_a_picture_of_another_size_are_not_trusted(beyond: dict[str, int]) -> None:
    """Pictures are made smaller, and their headers forgotten."""
    regions = [region(64, 80), region(64, 80, **beyond)]
    assert Regions.of(header(1, 64, 80, SequenceOfUltrasoundRegions=regions)).found == ()


def test_a_header_without_regions_or_size() -> None:
    assert Regions.of(Dataset()) == Regions((), 0, 0, None)
    assert Regions.of(Dataset()).boxes((10, 10)) == []


@pytest.mark.parametrize("content", [b"", bytes(128) + b"DICM" + b"\xff" * 50, b"nothing of the kind " * 20])
def test_damaged_files_name_no_region(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.dcm").write_bytes(content)
    try:
        found = Regions.read(tmp_path / "a.dcm")
    except ClipError:
        return
    assert found.found == ()
