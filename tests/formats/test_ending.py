"""Files that were cut off are known from sound ones, whatever their container."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.ending import CUT_OFF, is_cut_off
from lrmcodec.formats.video import read_clip, write_clip

PICTURES = np.random.default_rng(5).integers(0, 256, (6, 32, 48), np.uint8)


def is_cut(data: bytes) -> bool:
    return is_cut_off(io.BytesIO(data), len(data))


@pytest.mark.parametrize("suffix", [".avi", ".mkv", ".mp4", ".gif", ".png", ".webp"])
def test_sound_files_are_whole_and_every_cut_is_seen(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix in (".png", ".webp"):
        pictures = [Image.fromarray(picture) for picture in PICTURES]
        pictures[0].save(path, save_all=True, append_images=pictures[1:])
    else:
        write_clip(Clip.from_fps(PICTURES, 25), path)
    data = path.read_bytes()
    assert not is_cut(data)
    for part in (0.3, 0.5, 0.7, 0.95):
        cut = data[: int(part * len(data))]
        assert is_cut(cut) or (suffix == ".mp4" and cut[4:8] == b"ftyp" and part > 0.9), part
    assert is_cut(data[: -9 if suffix == ".png" else -2])  # the last four bytes of a PNG say nothing


def test_lengths_that_were_never_filled_in_say_nothing() -> None:
    assert not is_cut(b"RIFF\0\0\0\0AVI " + bytes(50))
    assert not is_cut(b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\0mdat" + bytes(50))
    assert not is_cut(b"\x1aE\xdf\xa3\x80\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" + bytes(50))


@pytest.mark.parametrize(("name", "codec", "pixels", "muxer"), [
    ("a.ts", "mpeg2video", "yuv420p", None), ("a.flv", "flv", "yuv420p", None), ("a.wmv", "wmv2", "yuv420p", None),
    ("a.dv", "dvvideo", "yuv420p", None), ("a.y4m", "rawvideo", "gray", "yuv4mpegpipe"),
    ("b.y4m", "rawvideo", "yuv420p", "yuv4mpegpipe"), ("c.y4m", "rawvideo", "yuv444p", "yuv4mpegpipe")])
def test_streams_cut_within_a_piece(tmp_path: Path, name: str, codec: str, pixels: str, muxer: str | None) -> None:
    path = tmp_path / name
    with av.open(str(path), "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = (720, 576, pixels) if codec == "dvvideo" else (48, 32, pixels)
        for picture in PICTURES:
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(stream.width, stream.height, pixels)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert not is_cut(data)
    for cut in (0.4, 0.6, 0.95):
        assert is_cut(data[: int(cut * len(data)) // 188 * 188 + 51]), cut
    short = tmp_path / f"short{path.suffix}"
    short.write_bytes(data[: int(0.8 * len(data)) // 188 * 188 + 51])
    assert CUT_OFF in read_clip(short).warnings


HEADS = [b"FLV\1", b"YUV4MPEG2 W4 H4 F25:1\nFRAME\n", b"\x1f\x07\0\x3f", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
         b"RIFF", b"\0\0\0\x10ftyp", b"\x1aE\xdf\xa3", b"GIF89a", b"\x89PNG\r\n\x1a\n"]


@given(st.sampled_from(HEADS), st.binary(max_size=99))
def test_any_bytes_give_an_answer(head: bytes, rest: bytes) -> None:
    assert is_cut(head + rest) in (True, False)
