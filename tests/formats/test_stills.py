"""GIF, TIFF and WebP through Pillow: every picture, levels, transparency, damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.pixels import TRANSPARENT
from lrmcodec.formats.stamps import UNKNOWN_RATE
from lrmcodec.formats.video import read_clip

LEVELS = np.random.default_rng(1).integers(0, 256, (5, 20, 24), np.uint8)


def save(path: Path, arrays: NDArray[Any], **options: Any) -> Path:
    pictures = [Image.fromarray(array) for array in arrays]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], **options)
    return path


@pytest.mark.parametrize(("name", "options"), [
    ("a.tif", {"compression": "raw"}), ("a.webp", {"lossless": True, "duration": 40}), ("a.gif", {"duration": 40})])
def test_every_picture_is_read_exactly(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    clip = read_clip(save(tmp_path / name, LEVELS, **options))
    np.testing.assert_array_equal(clip.frames, LEVELS)
    assert clip.fps == 25
    assert clip.warnings == ((UNKNOWN_RATE,) if name == "a.tif" else ())


def test_deep_tiff_is_refused(tmp_path: Path) -> None:
    Image.fromarray(LEVELS[0].astype(np.uint16) * 16).save(tmp_path / "a.tif")
    with pytest.raises(ClipError, match="more than 8 bits"):
        read_clip(tmp_path / "a.tif")


def test_what_is_transparent_is_black(tmp_path: Path) -> None:
    pictures = np.dstack([LEVELS[0]] * 3 + [np.full_like(LEVELS[0], 255)])
    pictures[5:9, :, 3] = 0
    save(tmp_path / "a.webp", pictures[None], lossless=True, exact=True)
    clip = read_clip(tmp_path / "a.webp")
    assert not clip.frames[0, 5:9].any()
    np.testing.assert_array_equal(clip.frames[0, 9:], LEVELS[0, 9:])
    assert clip.warnings == (TRANSPARENT,)


def test_color_of_one_page_is_found(tmp_path: Path) -> None:
    pages = np.repeat(LEVELS[..., None], 3, axis=3)
    pages[3, 4:14, 4:14] = (220, 20, 20)
    with pytest.raises(ClipError, match="frame 3"):
        read_clip(save(tmp_path / "a.tif", pages, compression="raw"))


@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.gif"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.8])
def test_cut_files_keep_their_beginning_or_are_refused(tmp_path: Path, name: str, part: float) -> None:
    options = {"a.tif": {"compression": "raw"}, "a.webp": {"lossless": True}, "a.gif": {"duration": 40}}
    path = save(tmp_path / name, LEVELS, **options[name])
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    try:
        clip = read_clip(path)
    except ClipError:
        return
    np.testing.assert_array_equal(clip.frames, LEVELS[: len(clip.frames)])
    assert len(clip.frames) < 5
    assert any("could not be decoded" in text or "cut off" in text for text in clip.warnings)
