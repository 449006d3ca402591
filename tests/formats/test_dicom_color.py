"""Color of DICOM: found in every frame and color space, whatever the label says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("pydicom")

from dicom_files import (
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    RLE,
    in_color,
    jpegs,
    lossless_jpeg,
    make,
    make_compressed,
    ramp,
    rle,
    stills,
)

from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.video import read_clip


def ybr(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """RGB to YCbCr of full range (ITU-T T.871)."""
    red, green, blue = (rgb[..., i].astype(float) for i in range(3))
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    parts = np.stack([y, (blue - y) / 1.772 + 128, (red - y) / 1.402 + 128], axis=-1)
    return np.clip(np.rint(parts), 0, 255).astype(np.uint8)


def gray_rgb(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(gray[..., None], 3, axis=3)


MOSTLY_BLACK = np.where(ramp() > 190, ramp(), 0).astype(np.uint8)
"""An ultrasound picture is mostly background."""


def test_color_in_any_frame(tmp_path: Path) -> None:
    for frame in range(5):
        rgb = gray_rgb(ramp())
        rgb[frame] = in_color(ramp())[frame]
        for space, pixels in (("RGB", rgb), ("YBR_FULL", ybr(rgb))):
            path = make(tmp_path / "a.dcm", pixels, PhotometricInterpretation=space)
            with pytest.raises(ClipError, match=rf"contains color \(frame {frame}, 6\.2% of the picture\)") as caught:
                read_clip(path)
            assert caught.value.hint == "Pass --gray to encode as gray."


def test_gray_of_color(tmp_path: Path) -> None:
    rgb = in_color(MOSTLY_BLACK)
    expected = ybr(rgb)[..., 0]
    for space, pixels in (("RGB", rgb), ("YBR_FULL", ybr(rgb))):
        clip = read_clip(make(tmp_path / "a.dcm", pixels, PhotometricInterpretation=space, FrameTime="20"), gray=True)
        np.testing.assert_array_equal(clip.frames, expected)
        assert clip.warnings == ("color was turned gray",)


def test_luma_is_not_converted_forth_and_back(tmp_path: Path) -> None:
    """Chroma noise of a coder and impossible colors leave luma as it is."""
    noisy = np.stack([ramp(), *np.random.default_rng(0).integers(122, 135, (2, 5, 32, 48))], axis=-1).astype(np.uint8)
    clip = read_clip(make(tmp_path / "a.dcm", noisy, PhotometricInterpretation="YBR_FULL", FrameTime="20"))
    np.testing.assert_array_equal(clip.frames, ramp())


@pytest.mark.parametrize("colored", [False, True])
@pytest.mark.parametrize(("label", "stored"), [("RGB", "YCbCr"), ("YBR_FULL", "RGB"), ("YBR_ICT", "YCbCr")])
def test_wrong_labels_are_noticed(tmp_path: Path, label: str, stored: str, colored: bool) -> None:
    rgb = in_color(MOSTLY_BLACK) if colored else gray_rgb(ramp())
    pixels = ybr(rgb) if stored == "YCbCr" else rgb
    path = make(tmp_path / "a.dcm", pixels, PhotometricInterpretation=label, FrameTime="20")
    if colored:
        with pytest.raises(ClipError, match="contains color"):
            read_clip(path)
    clip = read_clip(path, gray=True)
    assert np.abs(clip.frames.astype(int) - ybr(rgb)[..., 0]).max() <= 1
    assert f"PhotometricInterpretation says {label}, pictures are {stored}" in clip.warnings


def test_gray_is_not_advised_where_the_color_space_is_in_doubt(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (2, 32, 48, 3), np.uint8)
    with pytest.raises(ClipError, match="contains color") as caught:
        read_clip(make(tmp_path / "a.dcm", noise))
    assert "PhotometricInterpretation (RGB) may be wrong" in caught.value.hint


@pytest.mark.parametrize("label", ["YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_420", "YBR_PARTIAL_422", "RGB", "YBR_RCT"])
@pytest.mark.parametrize("jfif", [True, False])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
def test_gray_jpeg_in_color(tmp_path: Path, label: str, jfif: bool, subsampling: int) -> None:
    frames = jpegs(gray_rgb(ramp()), jfif=jfif, subsampling=subsampling)
    path = make_compressed(tmp_path / "a.dcm", (*ramp().shape, 3), JPEG_BASELINE, frames,
                           PhotometricInterpretation=label, FrameTime="20")
    clip = read_clip(path)
    assert np.abs(clip.frames.astype(int) - ramp()).max() <= 4
    assert bool(clip.warnings) == (not label.startswith("YBR_FULL"))
    assert all("PhotometricInterpretation" in text for text in clip.warnings)


@pytest.mark.parametrize("label", ["YBR_FULL_422", "RGB"])
def test_jpeg_in_rgb(tmp_path: Path, label: str) -> None:
    """Component names or Adobe's marker say so; so do the pictures where nothing else does."""
    rgb = in_color(MOSTLY_BLACK)
    frames = jpegs(rgb, keep_rgb=True)
    assert b"Adobe" in frames[0]
    path = make_compressed(tmp_path / "a.dcm", rgb.shape, JPEG_BASELINE, frames, PhotometricInterpretation=label,
                           FrameTime="20")
    clip = read_clip(path, gray=True)
    assert np.abs(clip.frames.astype(int) - ybr(rgb)[..., 0]).max() <= 8


def test_lossless_color(tmp_path: Path) -> None:
    rgb = in_color(MOSTLY_BLACK)
    expected = ybr(rgb)[..., 0]
    jls = stills(rgb[:2], "jpegls", "rgb24")
    j2k = stills(rgb[:2], "jpeg2000", "rgb24", pred="dwt53", format="j2k")
    for syntax, kind, frames in (
        (JPEG_LOSSLESS_SV1, "RGB", [lossless_jpeg(frame) for frame in rgb[:2]]),
        (JPEG_LOSSLESS_SV1, "YBR_FULL", [lossless_jpeg(frame) for frame in ybr(rgb[:2])]),
        (RLE, "RGB", [rle(list(np.moveaxis(frame, 2, 0))) for frame in rgb[:2]]),
        (RLE, "YBR_FULL", [rle(list(np.moveaxis(frame, 2, 0))) for frame in ybr(rgb[:2])]),
        (JPEG_LS, "RGB", jls), (JPEG_2000, "YBR_RCT", j2k),
    ):
        path = make_compressed(tmp_path / "a.dcm", rgb[:2].shape, syntax, frames, PhotometricInterpretation=kind,
                               FrameTime="20")
        clip = read_clip(path, gray=True)
        assert np.abs(clip.frames.astype(int) - expected[:2]).max() <= (1 if kind == "YBR_RCT" else 0), (syntax, kind)
        assert clip.warnings == ("color was turned gray",)


def partial(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.rint(16 + gray / 255 * 219).astype(np.uint8)


def test_partial_range_is_widened_only_where_it_is_one(tmp_path: Path) -> None:
    for gray, stored, said in ((ramp(), partial(ramp()), False), (ramp(), ramp(), True)):
        pairs = stored.reshape(5, 32, 24, 2)
        quads = np.concatenate([pairs, np.full((5, 32, 24, 2), 128, np.uint8)], axis=3)
        path = make(tmp_path / "a.dcm", gray, PhotometricInterpretation="YBR_PARTIAL_422", SamplesPerPixel=3,
                    PlanarConfiguration=0, PixelData=quads.tobytes(), FrameTime="20")
        clip = read_clip(path)
        assert np.abs(clip.frames.astype(int) - ramp()).max() <= 1
        assert bool(clip.warnings) == said


def test_color_that_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(ClipError, match="color of 16 bits"):
        read_clip(make(tmp_path / "a.dcm", np.zeros((1, 4, 4, 3), np.uint16)), gray=True)
    with pytest.raises(ClipError, match="color as HSV"):
        read_clip(make(tmp_path / "a.dcm", np.zeros((1, 4, 4, 3), np.uint8), PhotometricInterpretation="HSV"))


@pytest.mark.parametrize("label", ["MONOCHROME2", ..., ""])
def test_labels_that_say_nothing_of_color(tmp_path: Path, label: Any) -> None:
    path = make(tmp_path / "a.dcm", gray_rgb(ramp()), PhotometricInterpretation=label, FrameTime="20")
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, ramp())
    assert "pictures are RGB" in clip.warnings[0]
