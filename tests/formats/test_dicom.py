"""DICOM in: damaged and mangled files, what goes into the metadata, and what may be said."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pydicom = pytest.importorskip("pydicom")

from dicom_files import BIG_ENDIAN, DEFLATED, item, make, ramp  # noqa: E402

from lrmcodec.formats.dicom_remarks import remarks, without_quotes  # noqa: E402
from lrmcodec.formats.errors import ClipError  # noqa: E402
from lrmcodec.formats.video import read_clip  # noqa: E402

# -- damage --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", DEFLATED])
def test_truncated_at_many_lengths(tmp_path: Path, syntax: str) -> None:
    path = make(tmp_path / "a.dcm", ramp(2, 16, 16), syntax, FrameTime="20")
    whole = path.read_bytes()
    for length in range(1, len(whole), 13):
        path.write_bytes(whole[:length])
        try:
            clip = read_clip(path)
        except ClipError:
            continue
        assert clip.frames.shape == (1, 16, 16) or len(whole) - length < 8
        assert clip.warnings or len(whole) - length < 8


def test_inflating_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lrmcodec.formats import dicom_file

    monkeypatch.setattr(dicom_file, "MAX_INFLATED_BYTES", 10_000)
    with pytest.raises(ClipError, match="inflates to more than 10000 bytes"):
        read_clip(make(tmp_path / "a.dcm", np.zeros((20, 64, 64), np.uint8), DEFLATED))


def test_no_pixels(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(), PixelData=...)
    with pytest.raises(ClipError, match="holds no pixels"):
        read_clip(path)


def test_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(), Rows=..., SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33")
    with pytest.raises(ClipError, match="a Comprehensive SR Storage"):
        read_clip(path)


@pytest.mark.parametrize("elements", [{"Rows": 0}, {"Columns": 0}, {"Rows": 65535, "Columns": 65535}])
def test_absurd_sizes(tmp_path: Path, elements: dict[str, int]) -> None:
    with pytest.raises(ClipError, match="pixels cannot be"):
        read_clip(make(tmp_path / "a.dcm", ramp(), **elements))


def said_of(path: Path) -> str:
    """All that a reader says of a file, which may be an error."""
    try:
        clip = read_clip(path)
    except ClipError as error:
        return str(error)
    return repr((clip.metadata, clip.warnings))


MANGLED = ["Rows", "Columns", "NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "SamplesPerPixel",
           "PixelRepresentation", "PhotometricInterpretation", "FrameTime", "CineRate", "WindowCenter", "Modality",
           "PixelSpacing", "SequenceOfUltrasoundRegions", "PerFrameFunctionalGroupsSequence", "VOILUTSequence",
           "LossyImageCompressionRatio", "FrameIncrementPointer", "ExtendedOffsetTable"]


@pytest.mark.parametrize("keyword", MANGLED)
def test_mangled_value_representations(tmp_path: Path, keyword: str) -> None:
    """Every element with every representation, and values that make no sense in them: read, or a clear error."""
    from pydicom.tag import Tag

    tag, path = Tag(keyword), make(tmp_path / "a.dcm", ramp(2, 8, 8), FrameTime="20")
    data, dataset = path.read_bytes(), pydicom.dcmread(path)
    place = next((e.file_tell for e in dataset.iterall() if e.tag == tag and e.file_tell), None)
    if place is not None:  # in the place of the one that is there
        size = 2 if dataset[tag].VR == "US" else len(str(dataset[tag].value)) + len(str(dataset[tag].value)) % 2
        before, after = data[: place - 8], data[place + size :]
    else:
        end = data.index(b"\xe0\x7f\x10\x00")
        before, after = data[:end], data[end:]
    for vr in ("US", "SS", "UL", "FD", "FL", "DS", "IS", "LO", "CS", "UN", "OB", "SQ", "AT", "DT", "PN", "ZZ"):
        for value in (b"", b"\xff\xff\xff\xff", b"Doe^Jane", b"\0" * 6):
            long = vr in ("UN", "OB", "SQ")
            head = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little") + vr.encode()
            head += (b"\0\0" + len(value).to_bytes(4, "little")) if long else len(value).to_bytes(2, "little")
            path.write_bytes(before + head + value + after)
            assert "Doe" not in said_of(path)


# -- what is said --------------------------------------------------------------------------------------------


def test_errors_do_not_name_the_patient(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(1))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ClipError) as caught:
        read_clip(path)
    assert "Doe" not in str(caught.value)
    assert "4711" not in str(caught.value)


def test_what_pydicom_says_is_passed_on(tmp_path: Path) -> None:
    path = make(tmp_path / "a.dcm", ramp(), FrameTime="20", CineRate="25")
    data = path.read_bytes()
    path.write_bytes(data.replace(b"\x18\0\x40\0IS\2\x0025", b"\x18\0\x40\0IS\2\0Do"))
    clip = read_clip(path)
    assert clip.warnings == ("pydicom reports: Invalid value for VR IS:",)
    assert clip.metadata["times_source"] == "FrameTime"


@pytest.mark.parametrize(("text", "expected"), [
    ("A value of 'Doe^Jane' for (0028,0008) is invalid", "A value of"),
    ("The (0028,0004) 'Photometric Interpretation' value is 'RGB' however the image's codestream says 'YBR_FULL'",
     "The (0028,0004) Photometric Interpretation value is RGB however the image's codestream says YBR_FULL"),
    ('Value "O\'Neil^Pat" is not valid', "Value"),
    ("Invalid value for VR UI: 'x'. Please see <https://a.org> for more.\nand 'more'", "Invalid value for VR UI:"),
    ("", ""),
])
def test_quotes_are_left_out(text: str, expected: str) -> None:
    assert without_quotes(text).removesuffix("...").strip() == expected


def test_remarks_come_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(3):
            warnings.warn("odd", stacklevel=1)
    assert remarks(caught) == ["pydicom reports: odd"]


# -- metadata ------------------------------------------------------------------------------------------------


def test_metadata_is_technical_only(tmp_path: Path) -> None:
    regions = [
        item(PhysicalUnitsXDirection=4, PhysicalUnitsYDirection=7, PhysicalDeltaX=9.0, PhysicalDeltaY=9.0),
        item(PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3, PhysicalDeltaX=0.02, PhysicalDeltaY=-0.03),
    ]
    path = make(tmp_path / "a.dcm", ramp(), FrameTime="20", SequenceOfUltrasoundRegions=regions,
                LossyImageCompressionRatio="8", LossyImageCompressionMethod="ISO_10918_1",
                PixelAspectRatio=["3", "4"])
    clip = read_clip(path)
    assert dict(clip.metadata) == {
        "source": "dicom", "modality": "US", "transfer_syntax": "Explicit VR Little Endian",
        "photometric": "MONOCHROME2", "pixel_spacing_mm": [pytest.approx(0.3), pytest.approx(0.2)],
        "lossy_ratios": [8.0], "lossy_methods": ["ISO_10918_1"], "times_source": "FrameTime",
        "pixel_aspect": pytest.approx(4 / 3),
    }
    halved = read_clip(path, size=(16, 12))
    assert halved.metadata["pixel_spacing_mm"] == [pytest.approx(0.6), pytest.approx(0.8)]


def test_spacing_in_functional_groups(tmp_path: Path) -> None:
    shared = item(PixelMeasuresSequence=[item(PixelSpacing=["0.5", "0.25"])])
    clip = read_clip(make(tmp_path / "a.dcm", ramp(), FrameTime="20", SharedFunctionalGroupsSequence=[shared]))
    assert clip.metadata["pixel_spacing_mm"] == [0.5, 0.25]


def test_names_that_are_no_codes_stay_out_of_the_metadata(tmp_path: Path) -> None:
    elements: dict[str, Any] = {"Modality": "Doe^Jane", "LossyImageCompressionMethod": "Doe^Jane"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the writer
        path = make(tmp_path / "a.dcm", ramp(), FrameTime="20", **elements)
    clip = read_clip(path)
    assert "Doe" not in repr((clip.metadata, clip.warnings))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1", BIG_ENDIAN, DEFLATED])
def test_without_suffix(tmp_path: Path, syntax: str) -> None:
    clip = read_clip(make(tmp_path / "IM000001", ramp(), syntax, FrameTime="20"))
    np.testing.assert_array_equal(clip.frames, ramp())


def test_an_ultrasound_file_of_pydicom() -> None:
    path = Path(pydicom.__file__).parent / "data" / "test_files" / "examples_ybr_color.dcm"
    if not path.exists():
        pytest.skip("this pydicom ships no example")
    clip = read_clip(path)
    assert clip.frames.shape == (30, 240, 320)
    assert clip.fps == pytest.approx(30, rel=1e-3)
    assert clip.metadata["modality"] == "US"
    assert clip.warnings == ()
