"""Stored values of DICOM to gray levels: bits, rescaling, windows, lookup tables, palettes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

pytest.importorskip("pydicom")

from dicom_files import BIG_ENDIAN, LEVELS, item, make, ramp

from lrmcodec.formats.dicom_image import used_bits
from lrmcodec.formats.dicom_levels import Window, to_bytes
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.video import read_clip

TALL = LEVELS.reshape(1, 32, 8)

DEEP = (LEVELS.astype(np.uint16) * 16)[0].reshape(1, 16, 16)
"""12 bits: 0, 16, ... 4080."""


def read(path: Path, pixels: NDArray[Any], **elements: Any) -> NDArray[np.uint8]:
    clip = read_clip(make(path / "a.dcm", pixels, **elements))
    assert clip.warnings == ()
    return clip.frames


# -- bits ----------------------------------------------------------------------------------------------------


def test_eight_bits_are_exact_whatever_the_window(tmp_path: Path) -> None:
    clip = read_clip(make(tmp_path / "a.dcm", LEVELS, WindowCenter="80", WindowWidth="60"))
    np.testing.assert_array_equal(clip.frames, LEVELS)
    assert clip.metadata["window"] == [80, 60]
    assert "window of center 80 and width 60 was not applied" in clip.warnings[0]
    for center, width in (("128", "256"), ("127", "254"), ("127.5", "255")):
        read(tmp_path, LEVELS, WindowCenter=center, WindowWidth=width)


def test_monochrome1_and_falling_rescale_are_inverted(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(tmp_path, LEVELS, PhotometricInterpretation="MONOCHROME1"), 255 - LEVELS)
    np.testing.assert_array_equal(read(tmp_path, LEVELS, PresentationLUTShape="INVERSE"), 255 - LEVELS)
    np.testing.assert_array_equal(read(tmp_path, LEVELS, PhotometricInterpretation="MONOCHROME1",
                                       PresentationLUTShape="INVERSE"), 255 - LEVELS)
    np.testing.assert_array_equal(read(tmp_path, LEVELS, RescaleSlope="-2", RescaleIntercept="7"), 255 - LEVELS)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", BIG_ENDIAN])
def test_eight_bits_in_sixteen(tmp_path: Path, syntax: str) -> None:
    wide = LEVELS.astype(np.uint16)
    np.testing.assert_array_equal(read(tmp_path, wide, syntax=syntax, BitsStored=8, HighBit=7), LEVELS)
    np.testing.assert_array_equal(read(tmp_path, wide << 8, syntax=syntax, BitsStored=8, HighBit=15), LEVELS)
    np.testing.assert_array_equal(read(tmp_path, wide << 4, syntax=syntax, BitsStored=8, HighBit=11), LEVELS)


def test_fewer_than_eight_bits(tmp_path: Path) -> None:
    values = np.arange(64, dtype=np.uint8).reshape(1, 8, 8)
    expected = np.rint(values / 63 * 255)
    np.testing.assert_array_equal(read(tmp_path, values, BitsStored=6, HighBit=5), expected)
    np.testing.assert_array_equal(read(tmp_path, values << 2, BitsStored=6, HighBit=7), expected)


def test_one_bit(tmp_path: Path) -> None:
    values = (np.arange(3 * 5 * 7).reshape(3, 5, 7) % 3 == 0)
    packed = np.packbits(values.ravel(), bitorder="little").tobytes()
    path = make(tmp_path / "a.dcm", np.zeros((3, 5, 7), np.uint8), BitsAllocated=1, BitsStored=1, HighBit=0,
                PixelData=packed, FrameTime="20")
    np.testing.assert_array_equal(read_clip(path).frames, values * 255)


def test_signed_eight_bits(tmp_path: Path) -> None:
    values = (LEVELS.astype(np.int16) - 128).astype(np.int8)
    np.testing.assert_array_equal(read(tmp_path, values), LEVELS)


def test_bits_outside_the_stored_ones_are_left_out_and_mentioned(tmp_path: Path) -> None:
    overlaid = LEVELS.astype(np.uint16) | 0x8000
    clip = read_clip(make(tmp_path / "a.dcm", overlaid, BitsStored=8, HighBit=7))
    np.testing.assert_array_equal(clip.frames, LEVELS)
    assert "outside BitsStored" in clip.warnings[0]


def test_bits_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for stored, high in ((12, 11), (8, 8), (8, 3)):
        with pytest.raises(ClipError, match="BitsStored, HighBit"):
            read_clip(make(tmp_path / "a.dcm", LEVELS, BitsStored=stored, HighBit=high))
    with pytest.raises(ClipError, match="12 bits a sample"):
        read_clip(make(tmp_path / "a.dcm", LEVELS, BitsAllocated=12))
    with pytest.raises(ClipError, match="4 samples a pixel"):
        read_clip(make(tmp_path / "a.dcm", LEVELS, SamplesPerPixel=4))


@given(bits=st.integers(1, 16), spare=st.integers(0, 15), signed=st.booleans())
def test_used_bits(bits: int, spare: int, signed: bool) -> None:
    high = min(15, bits - 1 + spare)
    values = np.arange(-(1 << bits >> 1), 1 << bits >> 1) if signed else np.arange(1 << bits)
    noise = np.random.default_rng(bits).integers(0, 1 << 16, len(values))
    mask = ((1 << bits) - 1) << (high + 1 - bits)
    raw = ((values << (high + 1 - bits)) & mask | noise & ~mask).astype(np.uint16)
    np.testing.assert_array_equal(used_bits(raw, bits, high, signed), values)


def test_deep_pixels_without_a_window_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", DEEP, BitsStored=12, HighBit=11)
    with pytest.raises(ClipError, match="12 bits a pixel and no window") as caught:
        read_clip(path)
    assert "WindowCenter" in caught.value.hint


# -- windows -------------------------------------------------------------------------------------------------


@given(center=st.integers(-200, 1500), width=st.integers(1, 2000), slope=st.sampled_from([1, 0.5, 3]),
       intercept=st.sampled_from([0, -100]))
def test_window_follows_the_standard_and_never_wraps(center: int, width: int, slope: float, intercept: int) -> None:
    values = np.arange(-300.0, 1500) * slope + intercept
    levels = to_bytes(Window(center, width, "LINEAR").brightness(values))
    # PS3.3 C.11.2.1.2.1, written out value by value
    for x, level in zip(values[::7], levels[::7], strict=True):
        if x <= center - 0.5 - (width - 1) / 2:
            expected = 0.0
        elif x > center - 0.5 + (width - 1) / 2:
            expected = 255.0
        else:
            expected = ((x - (center - 0.5)) / (width - 1) + 0.5) * 255
        assert abs(level - expected) <= 0.5 + 1e-6
    assert (np.diff(levels.astype(int)) >= 0).all()


def test_window_after_rescaling_of_signed_values(tmp_path: Path) -> None:
    stored = (np.arange(256, dtype=np.int16) * 8 - 1024).reshape(1, 16, 16)
    levels = read(tmp_path, stored, BitsStored=12, HighBit=11, RescaleSlope="0.5", RescaleIntercept="512",
                  WindowCenter="512", WindowWidth="1024")
    assert np.abs(levels.astype(int) - LEVELS).max() <= 1


@pytest.mark.parametrize(("function", "middle"), [("LINEAR_EXACT", 128), ("SIGMOID", 128)])
def test_other_window_functions(tmp_path: Path, function: str, middle: int) -> None:
    values = np.linspace(0, 4095, 256).astype(np.uint16).reshape(1, 16, 16)
    values[0, 0, :2] = 2000, 4095
    levels = read(tmp_path, values, BitsStored=12, HighBit=11, WindowCenter="2000", WindowWidth="1000",
                  VOILUTFunction=function)
    assert abs(int(levels[0, 0, 0]) - middle) <= 1
    assert levels[0, 0, 1] == 255


def test_first_of_several_windows(tmp_path: Path) -> None:
    values = np.full((1, 4, 4), 1000, np.uint16)
    levels = read(tmp_path, values, WindowCenter=["1000", "5"], WindowWidth=["400", "5"])
    assert abs(int(levels[0, 0, 0]) - 128) <= 1


def test_windows_in_functional_groups(tmp_path: Path) -> None:
    """Shared ones go before the header's, a frame's own before both."""
    deep = np.repeat(DEEP, 3, axis=0)

    def window(center: int, width: int) -> Any:
        return item(FrameVOILUTSequence=[item(WindowCenter=str(center), WindowWidth=str(width))])

    elements: dict[str, Any] = {"BitsStored": 12, "HighBit": 11, "WindowCenter": "0", "WindowWidth": "1",
                                "SharedFunctionalGroupsSequence": [window(2048, 4096)], "FrameTime": "20"}
    shared = read(tmp_path, deep, **elements)
    assert np.abs(shared.astype(int) - LEVELS).max() <= 1
    frames = [window(2048, 4096), item(FrameContentSequence=[item(StackID="1")]), window(1024, 2048)]
    own = read(tmp_path, deep, **elements, PerFrameFunctionalGroupsSequence=frames)
    np.testing.assert_array_equal(own[0], shared[0])
    np.testing.assert_array_equal(own[1], shared[0])
    assert np.abs(own[2].astype(int) - np.minimum(255, LEVELS[0].astype(int) * 2)).max() <= 2


def test_rescaling_in_functional_groups(tmp_path: Path) -> None:
    rescale = [item(RescaleSlope="-1", RescaleIntercept="4095", RescaleType="US")]
    levels = read(tmp_path, DEEP, BitsStored=12, HighBit=11, WindowCenter="2048", WindowWidth="4096",
                  SharedFunctionalGroupsSequence=[item(PixelValueTransformationSequence=rescale)])
    assert np.abs(levels.astype(int) - (255 - LEVELS)).max() <= 1


@pytest.mark.parametrize(("keyword", "dtype"), [("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")])
def test_floating_point_pixels(tmp_path: Path, keyword: str, dtype: str) -> None:
    values = (LEVELS / 255).astype(dtype)
    elements: dict[str, Any] = {"PixelData": ..., keyword: values.tobytes(), "BitsAllocated": values.itemsize * 8,
                                "BitsStored": ..., "HighBit": ..., "PixelRepresentation": ...}
    path = make(tmp_path / "a.dcm", LEVELS, **elements)
    with pytest.raises(ClipError, match="floating point values and no window"):
        read_clip(path)
    window = {"WindowCenter": "0.5", "WindowWidth": "1"}
    np.testing.assert_array_equal(read(tmp_path, LEVELS, **elements, **window), LEVELS)
    values[0, 3, 3] = np.nan
    clip = read_clip(make(tmp_path / "a.dcm", LEVELS, **{**elements, keyword: values.tobytes()}, **window))
    assert clip.frames[0, 3, 3] == 0
    assert "NaN" in clip.warnings[0]


# -- lookup tables -------------------------------------------------------------------------------------------


def table(values: NDArray[Any], bits: int, first: int = 0, vr: str = "OW", dtype: str = "<u2") -> Any:
    made = item(LUTDescriptor=[len(values) % 65536, first, bits])
    made.add_new("LUTData", vr, values.astype(dtype).tobytes() if vr == "OW" else values.tolist())
    made["LUTDescriptor"].VR = "US" if first >= 0 else "SS"
    return made


@pytest.mark.parametrize("vr", ["OW", "US"])
def test_voi_lut(tmp_path: Path, vr: str) -> None:
    falling = np.arange(4095, -1, -1)
    levels = read(tmp_path, DEEP, BitsStored=12, HighBit=11, VOILUTSequence=[table(falling, 12, vr=vr)])
    np.testing.assert_allclose(levels, (4095 - DEEP) / 4095 * 255, atol=0.51)
    levels = read(tmp_path, LEVELS, VOILUTSequence=[table(np.arange(255, -1, -1), 8, vr=vr)])
    np.testing.assert_array_equal(levels, 255 - LEVELS)


def test_voi_lut_in_functional_groups_and_of_other_values(tmp_path: Path) -> None:
    signed = DEEP.astype(np.int16) - 2048
    lut = table(np.arange(0, 4096, 2), 12, first=-1024)
    frame_voi = [item(FrameVOILUTSequence=[item(VOILUTSequence=[lut])])]
    levels = read(tmp_path, signed, BitsStored=12, HighBit=11, SharedFunctionalGroupsSequence=frame_voi)
    expected = np.clip((signed + 1024) * 2, 0, 4094) / 4095 * 255
    np.testing.assert_allclose(levels, expected, atol=0.51)


def test_voi_lut_of_a_big_endian_file(tmp_path: Path) -> None:
    lut = table(np.arange(4095, -1, -1), 12, dtype=">u2")
    levels = read(tmp_path, DEEP, syntax=BIG_ENDIAN, BitsStored=12, HighBit=11, VOILUTSequence=[lut])
    np.testing.assert_allclose(levels, (4095 - DEEP) / 4095 * 255, atol=0.51)


def test_modality_lut(tmp_path: Path) -> None:
    """Of 8-bit pictures too; without a window its whole range is shown."""
    lut = table(np.arange(65535, -1, -257), 16)
    np.testing.assert_array_equal(read(tmp_path, LEVELS, ModalityLUTSequence=[lut]), 255 - LEVELS)
    levels = read(tmp_path, LEVELS, ModalityLUTSequence=[lut], WindowCenter="32768", WindowWidth="32768")
    expected = np.clip((65535 - LEVELS.astype(int) * 257 - 32767.5) / 32767 + 0.5, 0, 1) * 255
    np.testing.assert_allclose(levels, expected, atol=0.51)


@pytest.mark.parametrize("broken", [
    item(LUTDescriptor=[0, 0, 99]), item(LUTDescriptor=[16, 0, 8]), item(LUTDescriptor=[16, 0]),
    item(LUTExplanation="x"),
])
def test_broken_tables_are_refused(tmp_path: Path, broken: Any) -> None:
    with pytest.raises(ClipError, match="lookup table"):
        read_clip(make(tmp_path / "a.dcm", LEVELS, VOILUTSequence=[broken]))


# -- palettes ------------------------------------------------------------------------------------------------


def palette(tables: list[bytes], count: int = 256, first: int = 0, bits: int = 16, prefix: str = "") -> dict[str, Any]:
    elements: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for color, data in zip(("Red", "Green", "Blue"), tables, strict=True):
        elements[f"{color}PaletteColorLookupTableDescriptor"] = [count, first, bits]
        elements[f"{prefix}{color}PaletteColorLookupTableData"] = data
    return elements


FALLING = np.arange(255, -1, -1)


@pytest.mark.parametrize(("bits", "data"), [
    (8, FALLING.astype(np.uint8).tobytes()),  # two entries a word
    (8, FALLING.astype("<u2").tobytes()),  # 8 bits in words of 16
    (8, (FALLING << 8).astype("<u2").tobytes()),  # the same in the upper half
    (16, FALLING.astype("<u2").tobytes()),  # 16 are declared, 8 are used
    (16, (FALLING * 257).astype("<u2").tobytes()),
    (16, (FALLING << 8).astype("<u2").tobytes()),
    (12, (FALLING << 4).astype("<u2").tobytes()),
])
def test_palette(tmp_path: Path, bits: int, data: bytes) -> None:
    np.testing.assert_array_equal(read(tmp_path, LEVELS, **palette([data] * 3, bits=bits)), 255 - LEVELS)


@pytest.mark.parametrize("data", [
    (FALLING << 8).astype(">u2").tobytes(), (FALLING * 257).astype(">u2").tobytes(), FALLING.astype(">u2").tobytes(),
    np.frombuffer(FALLING.astype(np.uint8).tobytes(), "<u2").astype(">u2").tobytes(),
    (FALLING << 8).astype("<u2").tobytes(),  # not in the byte order of the file
])
def test_palette_of_a_big_endian_file(tmp_path: Path, data: bytes) -> None:
    elements = palette([data] * 3, bits=8 if len(data) == 256 else 16)
    np.testing.assert_array_equal(read(tmp_path, LEVELS, syntax=BIG_ENDIAN, **elements), 255 - LEVELS)


@pytest.mark.parametrize(("bits", "dtype"), [(8, "u1"), (16, "<u2"), (16, ">u2")])
def test_segmented_palette(tmp_path: Path, bits: int, dtype: str) -> None:
    """Four entries one by one, a line, and both once more by an indirect segment."""
    scale = 257 if bits == 16 else 1
    first = [0, 4, *(np.array([200, 150, 100, 50]) * scale).tolist(), 1, 50, 250 * scale]
    again = [2, 2, 0, 0, *([0, 0] if bits == 8 else [])]
    data = np.array(first + again).astype(dtype).tobytes()
    data += b"\0" * (len(data) % 2)
    half = np.concatenate([[200, 150, 100, 50], 50 + 200 * np.arange(1, 51) / 50])
    entries = np.concatenate([half, half])
    values = np.arange(108, dtype=np.uint8).reshape(1, 9, 12)
    syntax = BIG_ENDIAN if dtype == ">u2" else "1.2.840.10008.1.2.1"
    levels = read(tmp_path, values, syntax=syntax, **palette([data] * 3, 108, 0, bits, "Segmented"))
    assert np.abs(levels.ravel() - entries).max() <= 1


def test_palette_from_a_value_on_and_deep_or_signed_pixels(tmp_path: Path) -> None:
    data = (FALLING << 8).astype("<u2").tobytes()
    values = np.arange(200, 600, 4, dtype=np.uint16).reshape(1, 10, 10)
    expected = 255 - np.clip(values.astype(int) - 300, 0, 255)
    np.testing.assert_array_equal(read(tmp_path, values, **palette([data] * 3, first=300)), expected)
    signed = (LEVELS.astype(np.int16) - 128).astype(np.int8)
    elements = palette([data] * 3, first=-128)
    np.testing.assert_array_equal(read(tmp_path, signed, **elements), 255 - LEVELS)


def test_palette_of_many_entries(tmp_path: Path) -> None:
    data = np.arange(65535, 65535 - 32766, -1).astype("<u2").tobytes()  # more are too many for explicit lengths
    values = LEVELS.astype(np.uint16) * 64
    levels = read(tmp_path, values, **palette([data] * 3, count=32766))
    np.testing.assert_array_equal(levels, (65535 - values) >> 8)


def test_colored_palette(tmp_path: Path) -> None:
    rising = (np.arange(256) << 8).astype("<u2").tobytes()
    elements = palette([rising, rising, np.zeros(256, "<u2").tobytes()])
    path = make(tmp_path / "a.dcm", LEVELS, **elements)
    with pytest.raises(ClipError, match="contains color"):
        read_clip(path)
    levels = read_clip(path, gray=True).frames
    assert np.abs(levels - LEVELS * 0.886).max() <= 1


def test_missing_and_uneven_palettes_are_refused(tmp_path: Path) -> None:
    data = FALLING.astype(np.uint8).tobytes()
    with pytest.raises(ClipError, match="RedPaletteColorLookupTableDescriptor"):
        read_clip(make(tmp_path / "a.dcm", LEVELS, PhotometricInterpretation="PALETTE COLOR"))
    with pytest.raises(ClipError, match="differ in length"):
        read_clip(make(tmp_path / "a.dcm", LEVELS, **palette([data, data, data[:100]], bits=8)))
    with pytest.raises(ClipError, match="empty or damaged"):
        read_clip(make(tmp_path / "a.dcm", LEVELS, **palette([data, data, b""], bits=8)))


def test_supplemental_palette(tmp_path: Path) -> None:
    """Gray up to 239, color beyond; MONOCHROME shows all of it as gray."""
    red = (np.full(16, 255) << 8).astype("<u2").tobytes()
    none = np.zeros(16, "<u2").tobytes()
    elements = palette([red, none, none], count=16, first=240)
    elements["PhotometricInterpretation"] = "MONOCHROME2"
    with pytest.raises(ClipError, match="contains color"):
        read_clip(make(tmp_path / "a.dcm", TALL, PixelPresentation="COLOR", **elements))
    path = make(tmp_path / "a.dcm", TALL, PixelPresentation="MIXED", **elements)
    levels = read_clip(path, gray=True).frames
    np.testing.assert_array_equal(levels, np.where(TALL < 240, TALL, round(255 * 0.299)))
    np.testing.assert_array_equal(read(tmp_path, TALL, PixelPresentation="MONOCHROME", **elements), TALL)
    unused = np.minimum(ramp(2), 200)
    np.testing.assert_array_equal(read(tmp_path, unused, PixelPresentation="COLOR", FrameTime="20", **elements), unused)
