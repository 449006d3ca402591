"""Uncompressed DICOM: counts, cut ends, layouts that differ from what is declared, byte order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_files import BIG_ENDIAN, JPEG_BASELINE, base_dataset, in_color, make, ramp, save  # noqa: E402

from lrmcodec.formats.errors import ClipError  # noqa: E402
from lrmcodec.formats.video import read_clip  # noqa: E402


@pytest.mark.parametrize(("promised", "said"), [
    (..., "missing or makes no sense; 5 frames"), ("", "missing or makes no sense; 5 frames"),
    (0, "missing or makes no sense; 5 frames"), (-3, "missing or makes no sense; 5 frames"),
    (2, "promises 2 frames, 5 are stored"), (1, "promises 1 frames, 5 are stored"),
    (7, "promises 7 frames, 5 could"), (10, "promises 10 frames, 5 could"),
])
def test_all_stored_frames_are_read_and_counts_compared(tmp_path: Path, promised: Any, said: str) -> None:
    clip = read_clip(make(tmp_path / "a.dcm", ramp(), FrameTime="20", NumberOfFrames=promised))
    np.testing.assert_array_equal(clip.frames, ramp())
    assert said in " ".join(clip.warnings)


@pytest.mark.parametrize("elements", [{}, {"BitsStored": 8, "HighBit": 7}])
def test_wrong_counts_of_wide_samples_are_not_taken_for_bytes(tmp_path: Path, elements: dict[str, Any]) -> None:
    for promised in (2, 3, 6, 12):
        path = make(tmp_path / "a.dcm", ramp(6).astype(np.uint16), FrameTime="20", NumberOfFrames=promised,
                    WindowCenter="128", WindowWidth="256", **elements)
        np.testing.assert_array_equal(read_clip(path).frames, ramp(6))


@pytest.mark.parametrize("cut", [1, 100, 32 * 48 - 1, 32 * 48, 32 * 48 + 1, 3 * 32 * 48])
def test_cut_end(tmp_path: Path, cut: int) -> None:
    path = make(tmp_path / "a.dcm", ramp(), FrameTime="20")
    path.write_bytes(path.read_bytes()[:-cut])
    clip = read_clip(path)
    left = (5 * 32 * 48 - cut) // (32 * 48)
    np.testing.assert_array_equal(clip.frames, ramp()[:left])
    assert f"cut off in frame {left} of 5" in clip.warnings[0]
    assert f"promises 5 frames, {left} could be decoded" in clip.warnings[1]


def test_cut_first_frame_is_an_error(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(1))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ClipError, match=r"a\.dcm ends in frame 0: it holds 1436 bytes of pixels, a frame has 1536"):
        read_clip(path)


def test_bytes_behind_the_last_frame(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(), FrameTime="20", PixelData=ramp().tobytes() + b"\1" * 100)
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, ramp())
    assert clip.warnings == ("100 bytes behind the last frame were left out",)


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 1), (1, 3, 3), (3, 3, 3)])
def test_padding_of_odd_sizes_is_no_frame(tmp_path: Path, shape: tuple[int, ...]) -> None:
    clip = read_clip(make(tmp_path / "a.dcm", ramp(*shape), FrameTime="20"))
    np.testing.assert_array_equal(clip.frames, ramp(*shape))
    assert clip.warnings == ()


@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 4, 6)])
def test_eight_bits_in_words_of_a_big_endian_file(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Bytes are swapped in pairs that go across odd frames."""
    dataset = base_dataset(shape, 8, BIG_ENDIAN)
    data = ramp(*shape).tobytes()
    data += b"\0" * (len(data) % 2)
    dataset.PixelData = np.frombuffer(data, "<u2").astype(">u2").tobytes()
    dataset["PixelData"].VR = "OW"
    clip = read_clip(save(tmp_path / "a.dcm", dataset, FrameTime="20"))
    np.testing.assert_array_equal(clip.frames, ramp(*shape))


def test_color_by_pixel_and_by_plane(tmp_path: Path) -> None:
    rgb = np.repeat(ramp()[..., None], 3, axis=3)
    np.testing.assert_array_equal(read_clip(make(tmp_path / "a.dcm", rgb, FrameTime="20")).frames, ramp())
    colored = in_color(ramp())
    by_pixel = read_clip(make(tmp_path / "a.dcm", colored, FrameTime="20"), gray=True)
    planes = np.ascontiguousarray(np.moveaxis(colored, 3, 1)).tobytes()
    by_plane = read_clip(make(tmp_path / "a.dcm", colored, FrameTime="20", PlanarConfiguration=1, PixelData=planes),
                         gray=True)
    np.testing.assert_array_equal(by_pixel.frames, by_plane.frames)


def halved(gray: Any) -> bytes:
    """Gray frames as Y Y Cb Cr."""
    count, height, width = gray.shape
    chroma = np.full((count, height, width // 2, 2), 128, np.uint8)
    return np.concatenate([gray.reshape(count, height, width // 2, 2), chroma], axis=3).tobytes()


def full(gray: Any) -> bytes:
    """Gray frames as Y Cb Cr."""
    return np.stack([gray, np.full_like(gray, 128), np.full_like(gray, 128)], axis=3).tobytes()


@pytest.mark.parametrize(("kind", "stored", "said"), [
    ("YBR_FULL", full, ""), ("YBR_FULL_422", halved, ""),
    ("YBR_FULL", halved, "stored as 4:2:2"), ("YBR_FULL_422", full, "stored as 4:4:4"),
])
@pytest.mark.parametrize("count", [2, 4, 6])
def test_ybr_stored_as_declared_and_otherwise(tmp_path: Path, kind: str, stored: Any, said: str, count: int) -> None:
    path = make(tmp_path / "a.dcm", ramp(count), PhotometricInterpretation=kind, SamplesPerPixel=3,
                PlanarConfiguration=0, PixelData=stored(ramp(count)), FrameTime="20")
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, ramp(count))
    assert [said in text for text in clip.warnings] == [True] * bool(said)


def test_ybr_of_more_frames_than_promised_is_not_taken_for_another_layout(tmp_path: Path) -> None:
    for kind, stored, promised in (("YBR_FULL", full, 9), ("YBR_FULL_422", halved, 4)):
        path = make(tmp_path / "a.dcm", ramp(6), PhotometricInterpretation=kind, SamplesPerPixel=3,
                    PlanarConfiguration=0, PixelData=stored(ramp(6)), FrameTime="20", NumberOfFrames=promised)
        np.testing.assert_array_equal(read_clip(path).frames, ramp(6))


def test_bytes_declared_as_words(tmp_path: Path) -> None:
    clip = read_clip(make(tmp_path / "a.dcm", ramp(), BitsAllocated=16, FrameTime="20"))
    np.testing.assert_array_equal(clip.frames, ramp())
    assert "BitsAllocated says 16" in clip.warnings[0]


def test_color_declared_as_one_sample(tmp_path: Path) -> None:
    rgb = np.repeat(ramp()[..., None], 3, axis=3)
    clip = read_clip(make(tmp_path / "a.dcm", rgb, SamplesPerPixel=1, FrameTime="20"))
    np.testing.assert_array_equal(clip.frames, ramp())
    assert "SamplesPerPixel says 1" in clip.warnings[0]


def test_uncompressed_pixels_in_a_file_that_says_jpeg(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(), FrameTime="20")
    data = path.read_bytes()
    syntax = b"1.2.840.10008.1.2.1\0"
    group = data.index(b"\2\0\0\0UL\4\0") + 8
    changed = data.replace(syntax, JPEG_BASELINE.encode()).replace(b"\2\0\x10\0UI\x14\0", b"\2\0\x10\0UI\x16\0")
    length = int.from_bytes(data[group : group + 4], "little") + 2
    path.write_bytes(changed[:group] + length.to_bytes(4, "little") + changed[group + 4 :])
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, ramp())
    assert "says JPEG Baseline (Process 1), but pixels are not compressed" in clip.warnings[0]


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("name", ["IM_0001", "b.dcm"])
def test_without_preamble(tmp_path: Path, implicit: bool, name: str) -> None:
    dataset = pydicom.dcmread(make(tmp_path / "a.dcm", ramp(), FrameTime="20"))
    del dataset.file_meta
    dataset.save_as(tmp_path / name, implicit_vr=implicit, little_endian=True, enforce_file_format=False,
                    overwrite=True)
    clip = read_clip(tmp_path / name)
    np.testing.assert_array_equal(clip.frames, ramp())
    assert clip.warnings == ()


def test_big_endian_without_preamble_and_suffix(tmp_path: Path) -> None:
    dataset = pydicom.dcmread(make(tmp_path / "a.dcm", ramp().astype(np.uint16), BIG_ENDIAN, FrameTime="20",
                                   WindowCenter="128", WindowWidth="256"))
    del dataset.file_meta
    dataset.save_as(tmp_path / "IM_0001", implicit_vr=False, little_endian=False, enforce_file_format=False,
                    overwrite=True)
    np.testing.assert_array_equal(read_clip(tmp_path / "IM_0001").frames, ramp())
