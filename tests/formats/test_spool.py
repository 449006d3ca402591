"""Clips through pipes; devices refused in plain words."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

from lrmcodec.formats.clip import Clip
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.video import read_clip, write_clip

LEVELS = np.arange(6 * 16 * 16, dtype=np.uint16).reshape(6, 16, 16).astype(np.uint8)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("suffix", [".mkv", ".npz", ".gif"])
def test_a_pipe_is_read_like_a_file(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    write_clip(Clip.from_fps(LEVELS, 25), tmp_path / f"a{suffix}")
    data, pipe = (tmp_path / f"a{suffix}").read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    clip = read_clip(pipe)
    writer.join()
    np.testing.assert_array_equal(clip.frames, LEVELS)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f"a{suffix}", "pipe"]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no devices with names here")
@pytest.mark.parametrize("name", ["/dev/zero", "/dev/null"])
def test_devices_are_refused(name: str) -> None:
    with pytest.raises(ClipError, match="device"):
        read_clip(name)
