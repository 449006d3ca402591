"""Multi-frame DICOM out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pydicom = pytest.importorskip("pydicom")

from pydicom.tag import Tag  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian  # noqa: E402

from lrmcodec.formats.clip import Clip  # noqa: E402
from lrmcodec.formats.errors import OutputError  # noqa: E402
from lrmcodec.formats.video import read_clip, write_clip  # noqa: E402


def ramp(count: int = 5, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + k / 3) * np.cos(y / 11) for k in range(count)]
    return np.rint(127.5 + 127.5 * np.array(waves)).astype(np.uint8)


def test_written_file_is_a_valid_anonymous_secondary_capture(tmp_path: Path) -> None:
    metadata = {"pixel_spacing_mm": [0.3, 1 / 3], "lossy_ratios": [8.0], "lossy_methods": ["ISO_10918_1"],
                "lossy_ratio": 312.7}
    write_clip(Clip.from_fps(ramp(), 30000 / 1001, metadata), tmp_path / "a.dcm")
    written = pydicom.dcmread(tmp_path / "a.dcm")
    assert written.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert written.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7.2"
    assert list(written.ImageType) == ["DERIVED", "SECONDARY"]
    assert written.LossyImageCompression == "01"
    assert list(written.LossyImageCompressionRatio) == [8, 312.7]
    assert list(written.LossyImageCompressionMethod) == ["ISO_10918_1", "LRMCODEC"]
    assert written.FrameIncrementPointer == Tag("FrameTime")
    assert float(written.FrameTime) == pytest.approx(1001 / 30)
    assert [float(value) for value in written.PixelSpacing] == pytest.approx([0.3, 1 / 3])
    assert written.BurnedInAnnotation == "YES"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
        assert keyword in written
        assert not written[keyword].value
    np.testing.assert_array_equal(written.pixel_array, ramp())


def test_written_twice_has_new_uids(tmp_path: Path) -> None:
    uids = set()
    for name in ("a.dcm", "b.dcm"):
        write_clip(Clip.from_fps(ramp(), 25), tmp_path / name)
        written = pydicom.dcmread(tmp_path / name)
        uids |= {written.SOPInstanceUID, written.SeriesInstanceUID, written.StudyInstanceUID}
    assert len(uids) == 6


def test_written_times_do_not_drift(tmp_path: Path) -> None:
    steps = np.random.default_rng(5).uniform(0.0195, 0.0205, 1999)
    times = np.concatenate([[0.0], np.cumsum(steps)])
    write_clip(Clip(np.zeros((2000, 4, 4), np.uint8), times), tmp_path / "a.dcm")
    assert np.abs(read_clip(tmp_path / "a.dcm").times_s - times).max() < 0.6e-6


def test_what_dicom_cannot_hold(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(0).uniform(0.01, 0.02, 12000))
    clip = Clip(np.zeros((12000, 1, 1), np.uint8), times - times[0])
    with pytest.raises(OutputError, match="irregular frame times") as caught:
        write_clip(clip, tmp_path / "a.dcm")
    assert ".npz" in caught.value.hint
    huge = np.broadcast_to(np.zeros((1, 1, 1), np.uint8), (2200, 2048, 1024))
    with pytest.raises(OutputError, match="more than DICOM can hold"):
        write_clip(Clip.from_fps(huge, 25), tmp_path / "a.dcm")
    assert list(tmp_path.iterdir()) == []
