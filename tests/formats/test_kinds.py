"""Files of other kinds are called by their names, never damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.kinds import is_video, not_read
from lrmcodec.formats.video import read_clip, write_clip

OTHERS = {
    "a .lrm file": b"LRM\1" + bytes(40),
    "a PDF document": b"%PDF-1.7\n",
    "compressed by gzip": b"\x1f\x8b\x08" + bytes(40),
    "a NIfTI volume": bytes(344) + b"n+1\0",
    "an HDF5 or MATLAB file": b"\x89HDF\r\n\x1a\n" + bytes(40),
    "a MetaImage volume": b"ObjectType = Image\nNDims = 3\n",
    "a HEIF picture": b"\0\0\0\x18ftypheic" + bytes(40),
    "a sound file": b"RIFF\x24\0\0\0WAVEfmt " + bytes(40),
    "an icon": b"\0\0\1\0\1\0\x20\x20" + bytes(40),
    "a text of marks": b"<html>\n",
    "a play list": b"#EXTM3U\nhttp://example.org/a.ts\n",
    "a program": b"MZ" + bytes(100),
}


@pytest.mark.parametrize("name", list(OTHERS))
def test_kinds_that_are_not_read_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(OTHERS[name])
    with pytest.raises(ClipError, match="such files are not read") as caught:
        read_clip(path)
    assert name in caught.value.what
    assert str(path) in caught.value.what
    assert "damaged" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("content", [b"plain words\n", bytes(range(7, 200)), b"\x01"])
def test_unknown_kinds_are_not_called_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ClipError, match="of no kind that is read"):
        read_clip(tmp_path / "a")


@pytest.mark.parametrize("content", [
    b"RIFF\0\0\0\0AVI LIST", b"\x1aE\xdf\xa3\x42", b"\0\0\0\x18ftypisom" + bytes(12), b"GIF89a", b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0", b"\0\0\1\xba" + bytes(10), b"II*\0" + bytes(10)])
def test_known_kinds_that_do_not_open_are_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ClipError, match=r"is damaged|no frame that can be decoded|no video track"):
        read_clip(tmp_path / "a")
    assert not_read(content) is None
    assert is_video(content) or content[:2] == b"II"


@pytest.mark.parametrize("suffix", [".dcm", ".npz", ".npy", ".mp4"])
def test_names_do_not_matter(tmp_path: Path, suffix: str) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 16, 16), np.uint8)
    for kind in (".mkv", ".npy", ".npz", ".gif"):
        write_clip(Clip.from_fps(frames, 25), tmp_path / f"a{kind}")
        (tmp_path / f"a{kind}").rename(tmp_path / f"b{suffix}")
        np.testing.assert_array_equal(read_clip(tmp_path / f"b{suffix}").frames, frames)
    (tmp_path / f"b{suffix}").write_bytes(gzip.compress(b"DICM"))
    with pytest.raises(ClipError, match="compressed by gzip"):
        read_clip(tmp_path / f"b{suffix}")
