"""Containers that ask to show a part of their pictures: said, not done."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmcodec.formats.cropping import asked_part
from lrmcodec.formats.video import read_clip

PICTURES = np.random.default_rng(5).integers(0, 256, (4, 48, 64), np.uint8)


def movie(path: Path, codec: str) -> bytearray:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "gray"
        for picture in PICTURES:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="gray")))
        container.mux(stream.encode(None))
    return bytearray(path.read_bytes())


def with_aperture(data: bytearray, height: int, width: int) -> bytes:
    """A QuickTime file whose sample entry gets a clean aperture."""
    entry = data.index(b"rle ") - 4
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"rle "):
        at = data.index(name) - 4
        data[at:at + 4] = (int.from_bytes(data[at:at + 4], "big") + 40).to_bytes(4, "big")
    end = entry + int.from_bytes(data[entry:entry + 4], "big") - 40
    data[end:end] = b"\0\0\0\x28clap" + struct.pack(">8I", width, 1, height, 1, 0, 1, 0, 1)
    return bytes(data)


@pytest.mark.parametrize(("height", "width", "said"), [(32, 40, "32 x 40 of 48 x 64 pixels"), (48, 64, "")])
def test_a_clean_aperture_is_told(tmp_path: Path, height: int, width: int, said: str) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(with_aperture(movie(path, "qtrle"), height, width))
    clip = read_clip(path)
    np.testing.assert_array_equal(clip.frames, PICTURES)
    wanted = (f"the file asks to show a part of the picture ({said}): it was read whole",) if said else ()
    assert clip.warnings == wanted


def element(mark: str, content: bytes) -> bytes:
    """An element of Matroska."""
    return bytes.fromhex(mark) + (len(content) | 1 << 28).to_bytes(4, "big") + content


def test_pixel_crop_of_matroska_is_told(tmp_path: Path) -> None:
    video = element("e0", element("b0", b"\x40") + element("54aa", b"\x08") + element("54cc", b"\0\4")
                    + element("54bb", b""))
    tracks = element("1654ae6b", element("ae", element("d7", b"\1") + video))
    data = element("1a45dfa3", b"") + element("18538067", element("ec", b"ab") + tracks)
    assert asked_part(io.BytesIO(data), (48, 64)) == "8 pixels less at the bottom, 4 pixels less at the left"
    assert asked_part(io.BytesIO(movie(tmp_path / "a.mkv", "ffv1")), (48, 64)) == ""


@given(st.sampled_from([b"\0\0\0\x10ftyp", b"\1\0\0\x10moov\0\0\0\x28clap", b"\x1aE\xdf\xa3", b"x"]),
       st.binary(max_size=99))
def test_any_bytes_give_an_answer(head: bytes, rest: bytes) -> None:
    assert isinstance(asked_part(io.BytesIO(head + rest), (48, 64)), str)
