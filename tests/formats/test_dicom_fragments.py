"""Compressed DICOM: pictures over fragments, offset tables, counts, damage, headers that differ from pictures."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_files import (  # noqa: E402
    H264,
    JPEG_2000,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    JPEG_LOSSLESS,
    JPEG_LOSSLESS_SV1,
    JPEG_LS,
    MPEG2,
    RLE,
    base_dataset,
    jpegs,
    lossless_jpeg,
    make,
    make_compressed,
    ramp,
    rle,
    save,
    stills,
    stream,
)
from pydicom.encaps import encapsulate  # noqa: E402

from lrmcodec.formats.errors import ClipError  # noqa: E402
from lrmcodec.formats.video import read_clip  # noqa: E402

CLIP = ramp(6)
"""One frame more than a fragment's table has room for by chance."""


def compressed(syntax: str) -> list[bytes]:
    if syntax == RLE:
        return [rle([frame]) for frame in CLIP]
    if syntax == JPEG_LOSSLESS_SV1:
        return [lossless_jpeg(frame) for frame in CLIP]
    if syntax == JPEG_2000:
        return stills(CLIP, "jpeg2000", "gray", pred="dwt53", format="j2k")
    if syntax == JPEG_LS:
        return stills(CLIP, "jpegls", "gray")
    return jpegs(CLIP)


ALL = [JPEG_BASELINE, JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_2000, RLE]


def check(path: Path, frames: int = 6) -> tuple[str, ...]:
    clip = read_clip(path)
    assert clip.frames.shape == (frames, 32, 48)
    assert np.abs(clip.frames.astype(int) - CLIP[:frames]).max() <= 4
    return clip.warnings


@pytest.mark.parametrize("syntax", ALL)
@pytest.mark.parametrize("table", [True, False])
def test_one_fragment_a_frame(tmp_path: Path, syntax: str, table: bool) -> None:
    frames = compressed(syntax)
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, syntax, frames, table=table, FrameTime="20")
    assert check(path) == ()


@pytest.mark.parametrize("syntax", ALL)
@pytest.mark.parametrize("table", [True, False])
def test_several_fragments_a_frame(tmp_path: Path, syntax: str, table: bool) -> None:
    dataset = base_dataset(CLIP.shape, 8, syntax)
    dataset.PixelData = encapsulate(compressed(syntax), fragments_per_frame=3, has_bot=table)
    dataset["PixelData"].VR = "OB"
    warnings = check(save(tmp_path / "a.dcm", dataset, FrameTime="20"))
    assert ["RLE frames are cut" in text for text in warnings] == [True] * (syntax == RLE)


@pytest.mark.parametrize("syntax", ALL)
@pytest.mark.parametrize("promised", [..., 0, 1, 4, 9])
@pytest.mark.parametrize("table", [True, False])
def test_counts_are_compared(tmp_path: Path, syntax: str, promised: Any, table: bool) -> None:
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, syntax, compressed(syntax), table=table,
                           NumberOfFrames=promised, FrameTime="20")
    warnings = check(path)
    assert len(warnings) == 1
    assert "6 frames are stored" in warnings[0] or f"promises {promised} frames, 6 " in warnings[0]


def test_all_pictures_in_one_fragment(tmp_path: Path) -> None:
    padded = [data + b"\0" * (len(data) % 2) for data in compressed(JPEG_BASELINE)]
    for promised, said in ((6, ()), (1, ("the file promises 1 frames, 6 are stored and were read",))):
        path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_BASELINE, [b"".join(padded)], FrameTime="20",
                               NumberOfFrames=promised)
        assert check(path) == said


def with_table(path: Path, offsets: list[int]) -> Path:
    """Fragments with a table that is made up."""
    dataset = base_dataset(CLIP.shape, 8, JPEG_BASELINE)
    data = encapsulate(compressed(JPEG_BASELINE), has_bot=False)
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    dataset.PixelData = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(table)) + table + data[8:]
    dataset["PixelData"].VR = "OB"
    return save(path, dataset, FrameTime="20")


@pytest.mark.parametrize("offsets", [[0], [0, 0, 0, 0, 0, 0], [4, 8, 15, 16, 23, 42], [0] * 9, [1 << 31]])
def test_offset_tables_that_do_not_fit(tmp_path: Path, offsets: list[int]) -> None:
    warnings = check(with_table(tmp_path / "a.dcm", offsets))
    assert warnings == ("the offset table does not fit the 6 frames that are stored: it was not used",)


def test_extended_offset_table(tmp_path: Path) -> None:
    frames = compressed(JPEG_BASELINE)
    lengths = [len(frame) + len(frame) % 2 for frame in frames]
    offsets = np.cumsum([0] + [length + 8 for length in lengths[:-1]])
    for wrong in (0, 2):
        path = make_compressed(
            tmp_path / "a.dcm", CLIP.shape, JPEG_BASELINE, frames, table=False, FrameTime="20",
            ExtendedOffsetTable=(offsets + wrong).astype("<u8").tobytes(),
            ExtendedOffsetTableLengths=np.array(lengths, "<u8").tobytes())
        assert bool(check(path)) == bool(wrong)


@pytest.mark.parametrize("syntax", ALL)
@pytest.mark.parametrize("table", [True, False])
def test_cut_end(tmp_path: Path, syntax: str, table: bool) -> None:
    frames = compressed(syntax)
    whole = make_compressed(tmp_path / "a.dcm", CLIP.shape, syntax, frames, table=table, FrameTime="20").read_bytes()
    path = tmp_path / "b.dcm"
    path.write_bytes(whole[: -len(frames[-1]) // 2])
    warnings = check(path, 5)
    assert "the file is cut off in its compressed pixels" in warnings
    assert "frame 5 is cut off and was left out" in warnings
    assert "the file promises 6 frames, 5 could be decoded" in warnings


@pytest.mark.parametrize("syntax", ALL)
@pytest.mark.parametrize("table", [True, False])
def test_damaged_picture_is_named(tmp_path: Path, syntax: str, table: bool) -> None:
    frames = compressed(syntax)
    frames[3] = frames[3][:4] + bytes(len(frames[3]) - 4)
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, syntax, frames, table=table, FrameTime="20")
    with pytest.raises(ClipError, match=r"frame \d of 6 .*cannot be decoded|cannot be decoded here") as caught:
        read_clip(path)
    assert caught.value.hint


def test_no_picture(tmp_path: Path) -> None:
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_BASELINE, [b"\0\0"], FrameTime="20")
    with pytest.raises(ClipError):
        read_clip(path)


# -- what the header says about pictures ---------------------------------------------------------------------


def test_other_size_than_the_header(tmp_path: Path) -> None:
    path = make_compressed(tmp_path / "a.dcm", (6, 40, 50), JPEG_BASELINE, compressed(JPEG_BASELINE), FrameTime="20",
                           PixelSpacing=["0.5", "0.5"])
    assert check(path) == ("pictures have 32 x 48 pixels, Rows and Columns say 40 x 50",)
    assert read_clip(path).metadata["pixel_spacing_mm"] == [0.5, 0.5]
    assert read_clip(path, size=(16, 24)).metadata["pixel_spacing_mm"] == [1, 1]


@pytest.mark.parametrize("syntax", ALL[:-1])
def test_other_samples_than_the_header(tmp_path: Path, syntax: str) -> None:
    path = make_compressed(tmp_path / "a.dcm", (*CLIP.shape, 3), syntax, compressed(syntax), FrameTime="20",
                           PhotometricInterpretation="YBR_FULL_422")
    warnings = check(path)
    assert warnings[0] == "pictures have 1 samples a pixel, SamplesPerPixel says 3"
    rgb = np.repeat(CLIP[..., None], 3, axis=3)
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_BASELINE, jpegs(rgb), FrameTime="20")
    assert check(path)[0] == "pictures have 3 samples a pixel, SamplesPerPixel says 1"


@pytest.mark.parametrize(("syntax", "stored"), [(JPEG_BASELINE, 12), (JPEG_LOSSLESS_SV1, 16), (JPEG_2000, 12)])
def test_fewer_bits_than_the_header(tmp_path: Path, syntax: str, stored: int) -> None:
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, syntax, compressed(syntax), bits=16, BitsStored=stored,
                           HighBit=stored - 1, FrameTime="20")
    assert check(path) == (f"pictures have 8 bits, BitsStored says {stored}",)


def test_more_bits_than_the_header(tmp_path: Path) -> None:
    """As long as values fit into the header's bits, these count."""
    wide = [lossless_jpeg(frame.astype(np.uint16), 16) for frame in CLIP]
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_LOSSLESS_SV1, wide, FrameTime="20")
    assert check(path) == ()
    deep = [lossless_jpeg(frame.astype(np.uint16) * 16, 12) for frame in CLIP]
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_LOSSLESS_SV1, deep, FrameTime="20")
    with pytest.raises(ClipError, match="12 bits a pixel and no window"):
        read_clip(path)
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_LOSSLESS_SV1, deep, FrameTime="20",
                           WindowCenter="2048", WindowWidth="4096")
    assert check(path) == ("pictures have 12 bits, BitsStored says 8",)


@pytest.mark.parametrize("label", [JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, JPEG_LOSSLESS_SV1, JPEG_LS, JPEG_2000])
def test_pictures_of_another_kind_than_the_syntax(tmp_path: Path, label: str) -> None:
    for syntax in ALL[:-1]:
        path = make_compressed(tmp_path / "a.dcm", CLIP.shape, label, compressed(syntax), FrameTime="20")
        check(path)


def test_signs_that_do_not_match(tmp_path: Path) -> None:
    """Signed values in an unsigned JPEG 2000, as old encoders wrote them (two's complement of the stored bits)."""
    signed = CLIP.astype(np.int16) - 128
    codes = stills((signed & 0xFF).astype(np.uint8), "jpeg2000", "gray", pred="dwt53", format="j2k")
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_2000, codes, FrameTime="20", PixelRepresentation=1)
    assert check(path) == ("pictures are unsigned, PixelRepresentation says signed: it was followed",)
    codes = [lossless_jpeg(frame & 0xFF) for frame in signed]
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_LOSSLESS_SV1, codes, FrameTime="20",
                           PixelRepresentation=1)
    assert check(path) == ()


def test_rle_of_sixteen_bits(tmp_path: Path) -> None:
    values = CLIP.astype(np.uint16) << 4
    frames = [rle([value >> 8, value & 255]) for value in values]
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, RLE, frames, bits=16, FrameTime="20", BitsStored=12,
                           HighBit=11, WindowCenter="2048", WindowWidth="4096")
    assert check(path) == ()


def test_missing_and_uncompressed_syntax(tmp_path: Path) -> None:
    for syntax in ALL:
        source = make_compressed(tmp_path / "a.dcm", CLIP.shape, syntax, compressed(syntax), FrameTime="20")
        dataset = pydicom.dcmread(source)
        del dataset.file_meta
        dataset.save_as(tmp_path / "IM_0001", implicit_vr=False, little_endian=True, enforce_file_format=False,
                        overwrite=True)
        assert check(tmp_path / "IM_0001") == ("the transfer syntax is missing, but pixels are compressed",)


def test_unknown_compression_names_packages(tmp_path: Path) -> None:
    path = make_compressed(tmp_path / "a.dcm", (1, 4, 4), "1.2.840.10008.1.2.4.201", [b"\0" * 10])
    with pytest.raises(ClipError, match="cannot be decoded here") as caught:
        read_clip(path)
    assert "pip install" in caught.value.hint


# -- video streams -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("syntax", "codec", "container"), [
    (MPEG2, "mpeg2video", "mpeg2video"), (MPEG2, "mpeg2video", "mpeg"), (H264, "libx264", "h264"),
    (H264, "libx264", "mpegts"),
])
@pytest.mark.parametrize("fragments", [1, 3])
def test_video_streams(tmp_path: Path, syntax: str, codec: str, container: str, fragments: int) -> None:
    pictures = ramp(12)
    dataset = base_dataset((*pictures.shape, 3), 8, syntax)
    data = stream(pictures, codec, container)
    dataset.PixelData = encapsulate([data], fragments_per_frame=fragments)
    dataset["PixelData"].VR = "OB"
    path = save(tmp_path / "a.dcm", dataset, FrameTime="40", PhotometricInterpretation="YBR_PARTIAL_420")
    clip = read_clip(path)
    assert clip.frames.shape == pictures.shape
    assert np.abs(clip.frames.astype(int) - pictures).mean() < 3
    np.testing.assert_allclose(clip.times_s, np.arange(12) / 25, atol=1e-12)
    assert clip.metadata["times_source"] == "FrameTime"
    assert clip.warnings == ()


def test_video_stream_in_color_of_other_length_and_without_times(tmp_path: Path) -> None:
    rgb = np.repeat(ramp(12)[..., None], 3, axis=3)
    rgb[:, 4:20, 4:20] = 220, 40, 20
    path = make_compressed(tmp_path / "a.dcm", (99, 32, 48), H264, [stream(rgb, "libx264", "h264")])
    with pytest.raises(ClipError, match="contains color"):
        read_clip(path)
    clip = read_clip(path, gray=True)
    np.testing.assert_allclose(clip.times_s, np.arange(12) / 25, atol=1e-12)
    assert clip.metadata["times_source"] == "video stream"
    assert any("promises 99 frames, 12" in text for text in clip.warnings)


def test_deflated(tmp_path: Path) -> None:
    clip = read_clip(make(tmp_path / "a.dcm", CLIP, "1.2.840.10008.1.2.1.99", FrameTime="20"))
    np.testing.assert_array_equal(clip.frames, CLIP)
    assert clip.metadata["transfer_syntax"] == "Deflated Explicit VR Little Endian"
    assert clip.warnings == ()


def test_damage_inside_a_jpeg_is_reported(tmp_path: Path) -> None:
    """libjpeg gets over it and shows nonsense from there on."""
    frames = compressed(JPEG_BASELINE)
    middle = len(frames[3]) * 2 // 3
    frames[3] = frames[3][:middle] + frames[3][middle + 20 :]
    path = make_compressed(tmp_path / "a.dcm", CLIP.shape, JPEG_BASELINE, frames, FrameTime="20")
    clip = read_clip(path)
    np.testing.assert_allclose(clip.frames[[0, 1, 2, 4, 5]], CLIP[[0, 1, 2, 4, 5]], atol=4)
    assert len(clip.warnings) == 1
    assert "reports damage in 1 of 6 frames, in frame 3: Corrupt JPEG data" in clip.warnings[0]


def test_missing_end_markers(tmp_path: Path) -> None:
    for syntax in ALL[:2]:
        frames = [frame[:-2] for frame in compressed(syntax)]
        path = make_compressed(tmp_path / "a.dcm", CLIP.shape, syntax, frames, FrameTime="20")
        assert "a compressed picture has no end marker: part of it may be missing" in check(path)


def test_jpeg_of_twelve_bits_is_refused_with_a_remedy(tmp_path: Path) -> None:
    data = compressed(JPEG_BASELINE)[0]
    frame = data.index(b"\xff\xc0")
    deep = data[:frame] + b"\xff\xc1" + data[frame + 2 : frame + 4] + b"\x0c" + data[frame + 5 :]
    path = make_compressed(tmp_path / "a.dcm", (1, 32, 48), JPEG_EXTENDED, [deep], bits=16, BitsStored=12, HighBit=11)
    with pytest.raises(ClipError, match=r"compressed as JPEG \(12 bits\), which cannot be decoded here") as caught:
        read_clip(path)
    assert "pylibjpeg-libjpeg" in caught.value.hint
