"""Sample files of pydicom through a second, independent reader: the same levels, or refused with a reason."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("pydicom")

from lrmcodec.benchmarks.studies import dicom_readers

MAX_BYTES = 160_000
"""Larger ones are in the table of docs/inputs.md."""

AS_THE_HEADER_SAYS = "J2K_pixelrep_mismatch.dcm"
"""GDCM follows the picture's sign."""

FILES = [path for path in dicom_readers.sample_files()
         if path.stat().st_size < MAX_BYTES and path.name != AS_THE_HEADER_SAYS]


@pytest.mark.skipif(shutil.which(dicom_readers.DCMTK) is None, reason="DCMTK (dcmj2pnm) is not installed")
@pytest.mark.skipif(find_spec("gdcm") is None, reason="GDCM (python-gdcm) is not installed")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_as_a_second_reader(path: Path) -> None:
    found = dicom_readers.compare(path)
    if found.ours.startswith("refused: "):
        assert len(found.ours) > 30
    elif not path.name.startswith("liver"):  # of 1 bit
        assert found.difference is not None
        assert found.difference <= 1
