"""Multi-frame DICOM out."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

pydicom = pytest.importorskip("pydicom")

from dicom_source import PATIENT, header, waves, write_source  # noqa: E402
from pydicom.dataset import Dataset  # noqa: E402
from pydicom.encaps import generate_frames  # noqa: E402
from pydicom.tag import Tag  # noqa: E402
from pydicom.uid import ExplicitVRLittleEndian  # noqa: E402

from lrmcodec.formats.clip import Clip  # noqa: E402
from lrmcodec.formats.dicom_study import StudyTags  # noqa: E402
from lrmcodec.formats.errors import OutputError  # noqa: E402
from lrmcodec.formats.frames import DicomOptions  # noqa: E402
from lrmcodec.formats.video import read_clip, write_clip, write_frames  # noqa: E402


def ramp(count: int = 5, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    return waves(count, height, width)


def write(path: Path, clip: Clip, **options: Any) -> Dataset:
    """Write a clip as DICOM with these options, and read the data set back."""
    write_frames(path, iter([clip.frames]), clip.times_s, metadata=clip.metadata, dicom=DicomOptions(**options))
    return pydicom.dcmread(path)


# -- without a study -----------------------------------------------------------------------------------------


def test_written_file_is_an_ultrasound_clip_of_nobody(tmp_path: Path) -> None:
    metadata = {"pixel_spacing_mm": [0.3, 1 / 3], "lossy_ratios": [8.0], "lossy_methods": ["ISO_10918_1"],
                "lossy_ratio": 312.7}
    written = write(tmp_path / "a.dcm", Clip.from_fps(ramp(), 30000 / 1001, metadata))
    assert written.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert written.SOPClassUID == "1.2.840.10008.5.1.4.1.1.3.1"
    assert list(written.ImageType) == ["DERIVED", "SECONDARY"]
    assert written.LossyImageCompression == "01"
    assert list(written.LossyImageCompressionRatio) == [8, 312.7]
    assert list(written.LossyImageCompressionMethod) == ["ISO_10918_1", "LRMCODEC"]
    assert written.FrameIncrementPointer == Tag("FrameTime")
    assert float(written.FrameTime) == pytest.approx(1001 / 30)
    place = written.SequenceOfUltrasoundRegions[0]
    assert (place.PhysicalDeltaY, place.PhysicalDeltaX) == (pytest.approx(0.03), pytest.approx(1 / 30))
    assert (place.RegionLocationMaxX1, place.RegionLocationMaxY1) == (47, 31)
    assert written.BurnedInAnnotation == "YES"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "AccessionNumber"):
        assert keyword in written
        assert not written[keyword].value
    assert "SourceImageSequence" not in written
    assert "PatientIdentityRemoved" not in written  # it is never called de-identified
    np.testing.assert_array_equal(written.pixel_array, ramp())
    assert read_clip(tmp_path / "a.dcm").metadata["pixel_spacing_mm"] == [pytest.approx(0.3), pytest.approx(1 / 3)]


def test_uids_are_valid(tmp_path: Path) -> None:
    written = write(tmp_path / "a.dcm", Clip.from_fps(ramp(), 25))
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        uid = written[keyword].value
        assert uid.is_valid
        assert int(uid.split(".")[2]) < 1 << 128  # a UUID (PS3.5 Annex B.2)


def test_methods_and_ratios_stay_in_pairs(tmp_path: Path) -> None:
    """A ratio too many would be taken for another step's."""
    metadata = {"lossy_ratios": [8.0, 3.0], "lossy_methods": ["ISO_10918_1"], "lossy_ratio": 100.0}
    written = write(tmp_path / "a.dcm", Clip.from_fps(ramp(), 25, metadata))
    assert list(written.LossyImageCompressionMethod) == ["ISO_10918_1", "LRMCODEC"]
    assert list(written.LossyImageCompressionRatio) == [8, 100]
    written = write(tmp_path / "b.dcm", Clip.from_fps(ramp(), 25, {"lossy_ratios": [8.0], "lossy_ratio": 100.0}))
    assert written.LossyImageCompressionMethod == "LRMCODEC"
    assert written.LossyImageCompressionRatio == 100


@pytest.mark.parametrize(("history", "lossy"), [({}, "00"), ({"lossy_ratios": [8.0], "lossy_methods": ["ISO_10918_1"]},
                                                             "01")])
def test_lossless_clips_add_no_loss(tmp_path: Path, history: dict[str, Any], lossy: str) -> None:
    written = write(tmp_path / "a.dcm", Clip.from_fps(ramp(), 25, {"lossless": True, **history}))
    assert written.LossyImageCompression == lossy
    assert written.get("LossyImageCompressionMethod") == (None if lossy == "00" else "ISO_10918_1")
    assert written.get("LossyImageCompressionRatio") == (None if lossy == "00" else 8)
    assert "lossless" in written.DerivationDescription
    assert "DerivationCodeSequence" not in written


def test_once_lossy_always_lossy(tmp_path: Path) -> None:
    written = write(tmp_path / "a.dcm", Clip.from_fps(ramp(), 25, {"lossless": True, "lossy_ratios": [8.0]}))
    assert written.LossyImageCompression == "01"
    study = StudyTags.of(write_source(tmp_path / "source.dcm", ramp(), LossyImageCompression="01")).to_bytes()
    written = write(tmp_path / "b.dcm", Clip.from_fps(ramp(), 25, {"lossless": True}), study=study)
    assert written.LossyImageCompression == "01"


def test_a_video_of_a_lossless_clip_is_lossy(tmp_path: Path) -> None:
    written = write(tmp_path / "a.dcm", Clip.from_fps(ramp(), 25, {"lossless": True}), pixels="h264")
    assert (written.LossyImageCompression, written.LossyImageCompressionMethod) == ("01", "ISO_14496_10")


# -- with a study --------------------------------------------------------------------------------------------


def test_a_study_is_kept_where_it_is_asked_for(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.dcm", ramp(), BurnedInAnnotation="NO", LossyImageCompression="01",
                          LossyImageCompressionRatio="8", LossyImageCompressionMethod="ISO_10918_1",
                          DerivationDescription="JPEG")
    clip = Clip.from_fps(ramp(), 50, {"lossy_ratio": 312.7})
    written = write(tmp_path / "a.dcm", clip, study=StudyTags.of(source).to_bytes(), keep_study=True)
    for keyword, value in PATIENT.items():
        if keyword != "SeriesDescription":
            assert written[keyword].value == value
    assert written.StudyInstanceUID == source.StudyInstanceUID
    assert written.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert written.SeriesInstanceUID != source.SeriesInstanceUID
    assert written.SOPInstanceUID != source.SOPInstanceUID
    assert written.SOPInstanceUID == written.file_meta.MediaStorageSOPInstanceUID
    assert written.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert list(written.ImageType) == ["DERIVED", "PRIMARY", "TTE", "0001"]
    assert list(written.LossyImageCompressionRatio) == [8, 312.7]
    assert list(written.LossyImageCompressionMethod) == ["ISO_10918_1", "LRMCODEC"]
    assert written.DerivationDescription.startswith("JPEG; lossy compression by lrmcodec ")
    assert written.DerivationCodeSequence[0].CodeValue == "113040"
    assert written.ContributingEquipmentSequence[0].Manufacturer == "lrmcodec"
    assert written.Manufacturer == "Acme"
    assert written.BurnedInAnnotation == "NO"
    np.testing.assert_array_equal(written.pixel_array, ramp())


def test_a_study_that_is_known_but_not_asked_for(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.dcm", ramp())
    write(tmp_path / "a.dcm", Clip.from_fps(ramp(), 50), study=StudyTags.of(source).to_bytes())
    data = (tmp_path / "a.dcm").read_bytes()
    assert not [value for value in PATIENT.values() if len(value) > 1 and value.encode() in data]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        assert str(source[keyword].value).encode() not in data
    written = pydicom.dcmread(tmp_path / "a.dcm")
    assert written.HeartRate == 66
    assert written.SequenceOfUltrasoundRegions[0].PhysicalDeltaX == 0.05


def test_a_study_that_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no study is known") as caught:
        write(tmp_path / "a.dcm", Clip.from_fps(ramp(), 50), keep_study=True)
    assert "--keep-study" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


# -- video ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("pixels", "syntax", "method", "profile"), [
    ("h264", "1.2.840.10008.1.2.4.102", "ISO_14496_10", ("h264", "High", 41)),
    ("hevc", "1.2.840.10008.1.2.4.107", "ISO_23008_2", ("hevc", "Main", 153)),
])
def test_video(tmp_path: Path, pixels: str, syntax: str, method: str, profile: tuple[str, str, int]) -> None:
    clip = Clip.from_fps(ramp(9, 63, 97), 30000 / 1001, {"lossy_ratio": 50.0})
    written = write(tmp_path / "a.dcm", clip, pixels=pixels)
    assert written.file_meta.TransferSyntaxUID == syntax
    assert (written.Rows, written.Columns) == (64, 98)
    assert (written.PhotometricInterpretation, written.SamplesPerPixel) == ("YBR_PARTIAL_420", 3)
    assert list(written.LossyImageCompressionMethod) == ["LRMCODEC", method]
    stream = next(generate_frames(written.PixelData, number_of_frames=1))
    assert written.LossyImageCompressionRatio[1] == pytest.approx(9 * 64 * 98 / len(stream), rel=0.01)
    with av.open(io.BytesIO(stream)) as container:
        track: Any = container.streams.video[0]
        assert (track.codec.name, track.profile, track.codec_context.level) == profile
        assert sum(1 for _ in container.decode(video=0)) == 9
    back = read_clip(tmp_path / "a.dcm")
    assert back.fps == pytest.approx(30000 / 1001)
    error = back.frames[:, :63, :97].astype(int) - clip.frames
    assert np.abs(error).mean() < 1.5


def test_video_with_irregular_times(tmp_path: Path) -> None:
    times = np.array([0, 0.02, 0.05, 0.06, 0.11])
    write(tmp_path / "a.dcm", Clip(ramp(), times), pixels="h264")
    np.testing.assert_allclose(read_clip(tmp_path / "a.dcm").times_s, times, atol=1e-6)


@pytest.mark.parametrize(("height", "width", "fps"), [(1080, 1920, 31), (2048, 1040, 10)])
def test_video_beyond_its_level(tmp_path: Path, height: int, width: int, fps: float) -> None:
    frames = np.broadcast_to(np.zeros((1, 1, 1), np.uint8), (5, height, width))
    with pytest.raises(OutputError, match=r"level 4\.1") as caught:
        write(tmp_path / "a.dcm", Clip.from_fps(frames, fps), pixels="h264")
    assert "hevc" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


# -- times and limits ----------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(("key", "value"), [
    ("pixel_spacing_mm", "wide"), ("pixel_spacing_mm", [1.0]), ("pixel_spacing_mm", [0.3, float("nan")]),
    ("pixel_spacing_mm", [0.3, -0.3]), ("pixel_spacing_mm", 0.3), ("pixel_spacing_mm", {"row": 1}),
    ("lossy_ratio", "much"), ("lossy_ratio", float("inf")), ("lossy_ratio", 10**400), ("lossy_ratios", [None]),
    ("lossy_methods", [7]), ("lossy_methods", "in small letters"), ("lossy_methods", [b"X"]),
])
def test_metadata_of_the_wrong_type(tmp_path: Path, key: str, value: object) -> None:
    clip = Clip.from_fps(np.zeros((2, 16, 16), np.uint8), 25, {key: value})
    with pytest.raises(OutputError, match=key) as caught:
        write_clip(clip, tmp_path / "a.dcm")
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pixels", ["native", "h264"])
def test_a_damaged_study_is_an_error_in_plain_words(tmp_path: Path, pixels: str) -> None:
    source = header(2, 32, 48)
    source.add_new(0x00186011, "US", 5)  # the sequence of regions
    options = DicomOptions(StudyTags.of(source).to_bytes(), keep_study=True, pixels=pixels)
    frames = np.zeros((2, 32, 48), np.uint8)
    with pytest.raises(OutputError, match="the study that the clip carries is damaged"):
        write_frames(tmp_path / "a.dcm", iter([frames]), np.array([0, 0.04]), dicom=options)
    assert list(tmp_path.iterdir()) == []


def test_a_source_of_no_size_scales_nothing() -> None:
    source = header(2, 32, 48)
    source.add_new(0x00280010, "US", [32, 33])
    source.add_new(0x00280011, "FD", float("nan"))
    assert StudyTags.of(source).scale(16, 24) == (0.5, 1.0)
