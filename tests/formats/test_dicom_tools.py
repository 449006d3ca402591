"""Written DICOM objects as other programs see them: dciodvfy of dicom3tools, dcmdump and dcmdjpeg of dcmtk."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pydicom")

from dicom_source import PATIENT, header, waves

from lrmcodec.formats import dicom_raw
from lrmcodec.formats.container import CodedClip, CodedSegment, Component, pack_file
from lrmcodec.formats.dicom_study import StudyTags
from lrmcodec.formats.frames import DicomOptions
from lrmcodec.formats.video import write_frames

FRAMES = waves(5, 48, 64)
STUDY = StudyTags.of(header(*FRAMES.shape, LossyImageCompression="01", LossyImageCompressionRatio="8",
                            LossyImageCompressionMethod="ISO_10918_1")).to_bytes()
STUDIES = {"of nobody": DicomOptions(), "without identity": DicomOptions(STUDY), "kept": DicomOptions(STUDY, True)}
TIMES = {"even": np.arange(5) / 50, "uneven": np.array([0, 0.02, 0.05, 0.06, 0.11])}


def image(path: Path, options: DicomOptions, times: str = "even") -> Path:
    write_frames(path, iter([FRAMES]), TIMES[times], dicom=options,
                 metadata={"lossy_ratio": 100.0, "pixel_spacing_mm": [0.4, 0.5]})
    return path


def raw(path: Path, keep_study: bool) -> Path:
    segment = CodedSegment(0, 0, {Component.PICTURES: b"payload"})
    coded = pack_file(CodedClip(bytes(8), 2, (16, 16), TIMES["even"], [segment], {}, study=STUDY))
    path.write_bytes(dicom_raw.wrap(coded, keep_study=keep_study))
    return path


def run(name: str, *arguments: object) -> str:
    """What a program prints; the test is skipped where it is missing."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed (apt-get install dicom3tools dcmtk)")
    done = subprocess.run([name, *map(str, arguments)], capture_output=True, check=False, timeout=60)
    return (done.stdout + done.stderr).decode(errors="replace")


def errors(text: str) -> list[str]:
    return [line for line in text.splitlines() if "Error" in line or "Abort" in line]


@pytest.mark.parametrize("times", list(TIMES))
@pytest.mark.parametrize("study", list(STUDIES))
def test_dciodvfy_finds_no_error_in_images(tmp_path: Path, study: str, times: str) -> None:
    text = run("dciodvfy", "-new", image(tmp_path / "a.dcm", STUDIES[study], times))
    assert "USMultiFrameImage" in text
    assert errors(text) == []


def test_dciodvfy_finds_no_error_in_a_video(tmp_path: Path) -> None:
    """H.264 only: dicom3tools of Debian 12 knows no HEVC transfer syntax."""
    text = run("dciodvfy", "-new", image(tmp_path / "a.dcm", DicomOptions(STUDY, True, "h264")))
    assert "USMultiFrameImage" in text
    assert errors(text) == []


@pytest.mark.parametrize("keep_study", [False, True])
def test_dciodvfy_finds_no_error_in_raw_data(tmp_path: Path, keep_study: bool) -> None:
    text = run("dciodvfy", "-new", raw(tmp_path / "a.dcm", keep_study))
    assert "RawData" in text
    assert errors(text) == []


def test_dciodvfy_would_find_errors(tmp_path: Path) -> None:
    """The check above can fail: an object without its mandatory elements."""
    import pydicom

    dataset = pydicom.dcmread(image(tmp_path / "a.dcm", DicomOptions()))
    del dataset.PatientName, dataset.FrameTime
    dataset.save_as(tmp_path / "b.dcm")
    assert errors(run("dciodvfy", "-new", tmp_path / "b.dcm"))


@pytest.mark.parametrize(("pixels", "name"), [("native", "LittleEndianExplicit"), ("h264", "MPEG4HighProfile"),
                                              ("hevc", "HEVCMainProfile")])
def test_dcmtk_reads_them(tmp_path: Path, pixels: str, name: str) -> None:
    path = image(tmp_path / "a.dcm", DicomOptions(STUDY, True, pixels))
    assert run("dcmftest", path).startswith("yes:")
    text = run("dcmdump", path)
    assert name in text
    assert PATIENT["PatientName"] in text
    assert not [line for line in text.splitlines() if line.startswith(("E:", "W:", "F:"))]


def test_dcmtk_shows_the_same_levels(tmp_path: Path) -> None:
    """A second program decodes the pixels: one frame as a portable gray map."""
    path = image(tmp_path / "a.dcm", DicomOptions())
    if "unknown" in run("dcm2pnm", "+op", "+F", 3, "--no-overlays", path, tmp_path / "a.pgm").lower():
        pytest.skip("this dcm2pnm has other options")
    head, pixels = (tmp_path / "a.pgm").read_bytes().split(b"255\n", 1)
    assert b"64 48" in head
    np.testing.assert_array_equal(np.frombuffer(pixels, np.uint8).reshape(48, 64), FRAMES[2])
