"""Multi-frame DICOM in and out."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

pydicom = pytest.importorskip("pydicom")

from pydicom.dataset import Dataset, FileMetaDataset  # noqa: E402
from pydicom.encaps import encapsulate  # noqa: E402
from pydicom.tag import Tag  # noqa: E402
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid  # noqa: E402

from lrmcodec.formats import dicom  # noqa: E402
from lrmcodec.formats.errors import ClipError  # noqa: E402
from lrmcodec.formats.stamps import UNKNOWN_RATE  # noqa: E402
from lrmcodec.formats.video import read_clip  # noqa: E402

JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.57"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
RLE = "1.2.840.10008.1.2.5"
MPEG2 = "1.2.840.10008.1.2.4.100"
H264 = "1.2.840.10008.1.2.4.102"
ULTRASOUND_MULTIFRAME = "1.2.840.10008.5.1.4.1.1.3.1"

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)


def ramp(count: int = 5, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 9 + k / 3) * np.cos(y / 11) for k in range(count)]
    return np.rint(127.5 + 127.5 * np.array(waves)).astype(np.uint8)


def make(path: Path, pixels: NDArray[Any], **elements: Any) -> Path:
    """Write a DICOM file as a scanner would: (T, H, W) or (T, H, W, 3) pixels, elements by keyword."""
    bits = pixels.dtype.itemsize * 8
    dataset = base_dataset(pixels.shape, bits)
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    dataset.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    dataset["PixelData"].VR = "OB" if bits == 8 else "OW"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def make_compressed(path: Path, shape: tuple[int, ...], syntax: str, frames: list[bytes], **elements: Any) -> Path:
    """Write an encapsulated DICOM file."""
    dataset = base_dataset(shape, 8)
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    dataset.PixelData = encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)
    return path


def base_dataset(shape: tuple[int, ...], bits: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = ULTRASOUND_MULTIFRAME
    dataset.SOPInstanceUID = generate_uid()
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Doe^Jane", "4711", "US"
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = shape[:3]
    dataset.SamplesPerPixel = 3 if len(shape) == 4 else 1
    dataset.PhotometricInterpretation = "RGB" if len(shape) == 4 else "MONOCHROME2"
    if len(shape) == 4:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = 0
    return dataset


def stills(pictures: NDArray[np.uint8], codec: str, pixel_format: str, **options: str) -> list[bytes]:
    result = []
    for picture in pictures:
        context: Any = av.CodecContext.create(codec, "w")
        context.height, context.width = picture.shape[:2]
        context.pix_fmt = pixel_format
        context.time_base, context.framerate, context.options = Fraction(1, 25), Fraction(25), options
        kind = "gray" if picture.ndim == 2 else "rgb24"
        frame = av.VideoFrame.from_ndarray(picture, kind).reformat(format=pixel_format)
        result.append(b"".join(bytes(packet) for packet in [*context.encode(frame), *context.encode(None)]))
    return result


def stream(pictures: NDArray[np.uint8], codec: str, container: str, pixel_format: str = "yuv420p") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        track: Any = file.add_stream(codec, rate=25)
        track.height, track.width = pictures.shape[1:3]
        track.pix_fmt, track.bit_rate = pixel_format, 8_000_000
        for picture in pictures:
            kind = "gray" if picture.ndim == 2 else "rgb24"
            file.mux(track.encode(av.VideoFrame.from_ndarray(picture, kind).reformat(format=pixel_format)))
        file.mux(track.encode(None))
    return buffer.getvalue()


# -- times ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("elements", "expected"),
    [
        ({"FrameTime": "40", "FrameIncrementPointer": Tag("FrameTime")}, [0, 0.04, 0.08]),
        ({"FrameTime": "40"}, [0, 0.04, 0.08]),
        ({"FrameTimeVector": [0, 20, 35.5], "FrameIncrementPointer": Tag("FrameTimeVector")}, [0, 0.02, 0.0555]),
        ({"FrameTimeVector": [0, 20, 35], "FrameTime": "40", "FrameIncrementPointer": Tag("FrameTime")},
         [0, 0.04, 0.08]),
        ({"FrameTimeVector": [0, 20], "FrameTime": "40", "FrameIncrementPointer": Tag("FrameTimeVector")},
         [0, 0.04, 0.08]),
        ({"FrameTimeVector": [0, 20, 0], "CineRate": "50"}, [0, 0.02, 0.04]),
        ({"CineRate": "50"}, [0, 0.02, 0.04]),
        ({"RecommendedDisplayFrameRate": "20"}, [0, 0.05, 0.1]),
        ({"FrameTime": "0", "CineRate": "50"}, [0, 0.02, 0.04]),
        ({"FrameTime": None, "CineRate": "50"}, [0, 0.02, 0.04]),
    ],
)
def test_times(tmp_path: Path, elements: dict[str, Any], expected: list[float]) -> None:
    clip = read_clip(make(tmp_path / "a.dcm", ramp(3), **elements))
    np.testing.assert_allclose(clip.times_s, expected, atol=1e-12)
    assert not clip.warnings


def test_unknown_rate_is_assumed_with_a_warning(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(3))
    clip = read_clip(path)
    np.testing.assert_allclose(clip.times_s, [0, 0.04, 0.08])
    assert clip.warnings == (UNKNOWN_RATE,)
    assert not read_clip(path, fps=30).warnings


# -- gray levels ---------------------------------------------------------------------------------------------


def test_eight_bits_are_exact_whatever_the_window(tmp_path: Path) -> None:
    clip = read_clip(make(tmp_path / "a.dcm", LEVELS, WindowCenter="80", WindowWidth="60"))
    np.testing.assert_array_equal(clip.frames, LEVELS)
    assert clip.metadata["window"] == [80, 60]


def test_monochrome1_and_falling_rescale_are_inverted(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", LEVELS, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(read_clip(path).frames, 255 - LEVELS)
    path = make(tmp_path / "b.dcm", LEVELS, RescaleSlope="-2", RescaleIntercept="7")
    np.testing.assert_array_equal(read_clip(path).frames, 255 - LEVELS)


def test_eight_bits_in_sixteen(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", LEVELS.astype(np.uint16), BitsStored=8, HighBit=7)
    np.testing.assert_array_equal(read_clip(path).frames, LEVELS)


def test_signed_eight_bits(tmp_path: Path) -> None:
    values = (LEVELS.astype(np.int16) - 128).astype(np.int8)
    np.testing.assert_array_equal(read_clip(make(tmp_path / "a.dcm", values)).frames, LEVELS)


def test_deep_pixels_without_a_window_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", LEVELS.astype(np.uint16) * 16, BitsStored=12, HighBit=11)
    with pytest.raises(ClipError, match="12 bits a pixel and no window") as caught:
        read_clip(path)
    assert "WindowCenter" in caught.value.hint


@given(center=st.integers(-200, 1500), width=st.integers(1, 2000), slope=st.sampled_from([1, 0.5, 3]),
       intercept=st.sampled_from([0, -100]))
def test_window_follows_the_standard_and_never_wraps(center: int, width: int, slope: float, intercept: int) -> None:
    stored = np.arange(-300, 1500, dtype=np.int16).reshape(30, 60)
    header = Dataset()
    header.BitsStored, header.PixelRepresentation = 12, 1
    header.WindowCenter, header.WindowWidth = center, width
    header.RescaleSlope, header.RescaleIntercept = slope, intercept
    levels = dicom._levels(stored, header, "test")
    # PS3.3 C.11.2.1.2.1, written out value by value
    for x, level in zip((stored * slope + intercept).ravel()[::7], levels.ravel()[::7], strict=True):
        if x <= center - 0.5 - (width - 1) / 2:
            expected = 0.0
        elif x > center - 0.5 + (width - 1) / 2:
            expected = 255.0
        else:
            expected = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
        assert abs(level - expected) <= 0.5 + 1e-6
    assert (np.diff(levels.ravel().astype(int)) >= 0).all()


@pytest.mark.parametrize(("function", "middle"), [("LINEAR_EXACT", 128), ("SIGMOID", 128)])
def test_other_window_functions(tmp_path: Path, function: str, middle: int) -> None:
    values = np.linspace(0, 4095, 256).astype(np.uint16).reshape(1, 16, 16)
    values[0, 0, :2] = 2000, 4095
    clip = read_clip(make(tmp_path / "a.dcm", values, BitsStored=12, HighBit=11, WindowCenter="2000",
                          WindowWidth="1000", VOILUTFunction=function))
    assert abs(int(clip.frames[0, 0, 0]) - middle) <= 1
    assert clip.frames[0, 0, 1] == 255


def test_first_of_several_windows(tmp_path: Path) -> None:
    values = np.full((1, 4, 4), 1000, np.uint16)
    path = make(tmp_path / "a.dcm", values, WindowCenter=["1000", "5"], WindowWidth=["400", "5"])
    assert abs(int(read_clip(path).frames[0, 0, 0]) - 128) <= 1


# -- color ---------------------------------------------------------------------------------------------------


def test_rgb_that_is_gray(tmp_path: Path) -> None:
    rgb = np.repeat(ramp()[..., None], 3, axis=3)
    np.testing.assert_array_equal(read_clip(make(tmp_path / "a.dcm", rgb, FrameTime="20")).frames, ramp())


def test_ybr_full_that_is_gray(tmp_path: Path) -> None:
    ybr = np.stack([ramp(), np.full_like(ramp(), 128), np.full_like(ramp(), 128)], axis=3)
    path = make(tmp_path / "a.dcm", ybr, PhotometricInterpretation="YBR_FULL")
    np.testing.assert_array_equal(read_clip(path).frames, ramp())


def test_ybr_full_422_that_is_gray(tmp_path: Path) -> None:
    pairs = ramp().reshape(5, 32, 24, 2)
    quads = np.concatenate([pairs, np.full((5, 32, 24, 2), 128, np.uint8)], axis=3)  # Y Y Cb Cr
    path = make(tmp_path / "a.dcm", ramp(), PhotometricInterpretation="YBR_FULL_422", SamplesPerPixel=3,
                PlanarConfiguration=0, PixelData=quads.tobytes())
    np.testing.assert_array_equal(read_clip(path).frames, ramp())


def test_doppler_is_refused_unless_gray_is_asked_for(tmp_path: Path) -> None:
    rgb = np.repeat(ramp()[..., None], 3, axis=3)
    rgb[:, 5:15, 10:14] = 220, 40, 20
    path = make(tmp_path / "a.dcm", rgb)
    with pytest.raises(ClipError, match="contains color"):
        read_clip(path)
    clip = read_clip(path, gray=True)
    assert clip.frames[0, 6, 11] == round(0.299 * 220 + 0.587 * 40 + 0.114 * 20)
    assert "color was turned gray" in clip.warnings


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(tmp_path: Path, bits: int) -> None:
    table = np.arange(255, -1, -1)  # inverts
    data = table.astype(np.uint8) if bits == 8 else (table * 257).astype(np.uint16)
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color in ("Red", "Green", "Blue"):
        elements[f"{color}PaletteColorLookupTableDescriptor"] = [256, 0, bits]
        elements[f"{color}PaletteColorLookupTableData"] = data.tobytes()
    np.testing.assert_array_equal(read_clip(make(tmp_path / "a.dcm", LEVELS, **elements)).frames, 255 - LEVELS)


def test_deep_color_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="color of 16 bits"):
        read_clip(make(tmp_path / "a.dcm", np.zeros((1, 4, 4, 3), np.uint16)), gray=True)


# -- compressed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_decoder", [False, True])
@pytest.mark.parametrize(
    ("syntax", "codec", "pixel_format", "kind", "error"),
    [
        (JPEG_BASELINE, "mjpeg", "yuvj422p", "YBR_FULL_422", 6),
        (JPEG_2000, "jpeg2000", "gray", "MONOCHROME2", 0),
    ],
)
def test_compressed_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_decoder: bool, syntax: str,
                             codec: str, pixel_format: str, kind: str, error: int) -> None:
    if own_decoder:
        monkeypatch.setattr(dicom, "get_decoder", lambda _: SimpleNamespace(is_available=False))
    options = {"pred": "dwt53", "format": "j2k"} if codec == "jpeg2000" else {"qscale": "1"}
    frames = stills(ramp(), codec, pixel_format, **options)
    samples = 1 if kind == "MONOCHROME2" else 3
    path = make_compressed(tmp_path / "a.dcm", ramp().shape, syntax, frames, FrameTime="20", SamplesPerPixel=samples,
                           PlanarConfiguration=0, PhotometricInterpretation=kind)
    clip = read_clip(path)
    assert clip.frames.shape == ramp().shape
    assert np.abs(clip.frames.astype(int) - ramp()).max() <= error
    assert clip.fps == pytest.approx(50)


def test_lossless_jpeg_in_rgb_needs_no_plugin(tmp_path: Path) -> None:
    rgb = np.repeat(ramp()[..., None], 3, axis=3)
    frames = stills(rgb, "ljpeg", "bgr24")
    path = make_compressed(tmp_path / "a.dcm", ramp().shape, JPEG_LOSSLESS, frames, SamplesPerPixel=3,
                           PlanarConfiguration=0, PhotometricInterpretation="RGB", FrameTime="20")
    np.testing.assert_array_equal(read_clip(path).frames, ramp())


def test_rle(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(make(tmp_path / "a.dcm", ramp(), FrameTime="20"))
    dataset.compress(RLE)
    dataset.save_as(tmp_path / "b.dcm")
    np.testing.assert_array_equal(read_clip(tmp_path / "b.dcm").frames, ramp())


@pytest.mark.parametrize(("syntax", "codec", "container"), [
    (MPEG2, "mpeg2video", "mpeg2video"), (MPEG2, "mpeg2video", "mpeg"), (H264, "libx264", "h264"),
    (H264, "libx264", "mpegts"),
])
def test_video_streams(tmp_path: Path, syntax: str, codec: str, container: str) -> None:
    pictures = ramp(12)
    path = make_compressed(tmp_path / "a.dcm", pictures.shape, syntax, [stream(pictures, codec, container)],
                           FrameTime="20", PhotometricInterpretation="YBR_PARTIAL_420", SamplesPerPixel=3,
                           PlanarConfiguration=0)
    clip = read_clip(path)
    assert clip.frames.shape == pictures.shape
    assert np.abs(clip.frames.astype(int) - pictures).mean() < 3
    np.testing.assert_allclose(clip.times_s, np.arange(12) / 50, atol=1e-12)
    assert not clip.warnings


def test_video_stream_in_color_and_of_other_length(tmp_path: Path) -> None:
    rgb = np.repeat(ramp(12)[..., None], 3, axis=3)
    rgb[:, 4:20, 4:20] = 220, 40, 20
    path = make_compressed(tmp_path / "a.dcm", (99, 32, 48), H264, [stream(rgb, "libx264", "h264")])
    with pytest.raises(ClipError, match="contains color"):
        read_clip(path)
    clip = read_clip(path, gray=True)
    np.testing.assert_allclose(clip.times_s, np.arange(12) / 25, atol=1e-12)
    assert any("promises 99 frames, 12" in text for text in clip.warnings)


def test_unknown_compression_names_packages(tmp_path: Path) -> None:
    path = make_compressed(tmp_path / "a.dcm", (1, 4, 4), "1.2.840.10008.1.2.4.201", [b"\0" * 10])
    with pytest.raises(ClipError, match="cannot be decoded") as caught:
        read_clip(path)
    assert "pip install" in caught.value.hint


# -- bad files -----------------------------------------------------------------------------------------------


def test_truncated_at_many_lengths(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(2, 16, 16), FrameTime="20")
    whole = path.read_bytes()
    for length in range(1, len(whole), 13):
        path.write_bytes(whole[:length])
        with pytest.raises(ClipError):
            read_clip(path)


def test_no_pixels(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(make(tmp_path / "a.dcm", ramp()))
    del dataset.PixelData
    dataset.save_as(tmp_path / "b.dcm")
    with pytest.raises(ClipError, match="cannot be decoded"):
        read_clip(tmp_path / "b.dcm")


def test_errors_do_not_name_the_patient(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ClipError) as caught:
        read_clip(path)
    assert "Doe" not in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize("implicit", [False, True])
def test_without_preamble(tmp_path: Path, implicit: bool) -> None:
    dataset = pydicom.dcmread(make(tmp_path / "a.dcm", ramp(), FrameTime="20"))
    del dataset.file_meta
    dataset.save_as(tmp_path / "b.dcm", implicit_vr=implicit, little_endian=True, enforce_file_format=False,
                    overwrite=True)
    np.testing.assert_array_equal(read_clip(tmp_path / "b.dcm").frames, ramp())


def test_without_suffix(tmp_path: Path) -> None:
    assert len(read_clip(make(tmp_path / "IM000001", ramp(), FrameTime="20")).frames) == 5


# -- metadata ------------------------------------------------------------------------------------------------


def region(**elements: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def test_metadata_is_technical_only(tmp_path: Path) -> None:
    regions = [
        region(PhysicalUnitsXDirection=4, PhysicalUnitsYDirection=7, PhysicalDeltaX=9.0, PhysicalDeltaY=9.0),
        region(PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3, PhysicalDeltaX=0.02, PhysicalDeltaY=-0.03),
    ]
    path = make(tmp_path / "a.dcm", ramp(), FrameTime="20", SequenceOfUltrasoundRegions=regions,
                LossyImageCompressionRatio="8", LossyImageCompressionMethod="ISO_10918_1")
    clip = read_clip(path)
    assert dict(clip.metadata) == {
        "source": "dicom", "modality": "US", "transfer_syntax": "Explicit VR Little Endian",
        "photometric": "MONOCHROME2", "pixel_spacing_mm": [pytest.approx(0.3), pytest.approx(0.2)],
        "lossy_ratios": [8.0], "lossy_methods": ["ISO_10918_1"],
    }
    halved = read_clip(path, size=(16, 12))
    assert halved.metadata["pixel_spacing_mm"] == [pytest.approx(0.6), pytest.approx(0.8)]


def test_an_ultrasound_file_of_pydicom() -> None:
    path = Path(pydicom.__file__).parent / "data" / "test_files" / "examples_ybr_color.dcm"
    if not path.exists():
        pytest.skip("this pydicom ships no example")
    clip = read_clip(path)
    assert clip.frames.shape == (30, 240, 320)
    assert clip.fps == pytest.approx(30, rel=1e-3)
    assert clip.metadata["modality"] == "US"
