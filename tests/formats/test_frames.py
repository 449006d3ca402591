"""Frames on their way in: color, size, memory."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lrmcodec.formats import frames
from lrmcodec.formats.errors import ClipError
from lrmcodec.formats.frames import FrameCollector, color_area, luma, resize


def gray_rgb(height: int = 40, width: int = 50) -> NDArray[np.uint8]:
    levels = np.random.default_rng(1).integers(0, 256, (height, width, 1), np.uint8)
    return np.repeat(levels, 3, axis=2)


def with_color(part: float) -> NDArray[np.uint8]:
    rgb = gray_rgb(100, 100)
    rgb[:10, : round(part * 1000)] = (200, 30, 20)
    return rgb


@given(st.integers(0, 255))
def test_luma_is_exact_for_gray(level: int) -> None:
    assert (luma(np.full((1, 1, 3), level, np.uint8)) == level).all()


def test_luma_weights() -> None:
    assert luma(255 * np.eye(3, dtype=np.uint8)[None]).tolist() == [[76, 150, 29]]


def test_color_area_of_gray_and_of_a_tinted_map() -> None:
    assert color_area(gray_rgb()) == 0
    tinted = np.minimum(gray_rgb(), 223) + np.array([32, 16, 0], np.uint8)
    assert color_area(tinted) == 0


def test_a_little_color_is_refused_and_says_what_to_do() -> None:
    with FrameCollector("clip.avi") as collector, pytest.raises(ClipError, match="contains color") as caught:
        collector.add_rgb(with_color(0.01))
    assert "--gray" in caught.value.hint


def test_color_in_later_frames_is_found() -> None:
    with FrameCollector("clip.avi") as collector:
        for _ in range(8):
            collector.add_rgb(with_color(0))
        with pytest.raises(ClipError, match="frame 8"):
            collector.add_rgb(with_color(0.02))


def test_color_becomes_gray_on_request() -> None:
    with FrameCollector("clip.avi", gray=True) as collector:
        collector.add_rgb(with_color(0.5))
        assert collector.finish()[0, 0, 0] == 80
        assert collector.warnings == ("color was turned gray",)


def test_small_marks_are_accepted_but_mentioned() -> None:
    with FrameCollector("clip.avi") as collector:
        collector.add_rgb(with_color(0.003))
        assert len(collector.warnings) == 1
        assert "marks" in collector.warnings[0]


def test_size_must_not_change() -> None:
    with FrameCollector("clip.avi") as collector:
        collector.add(np.zeros((4, 5), np.uint8))
        with pytest.raises(ClipError, match="frame 1, from 4 x 5 to 5 x 4"):
            collector.add(np.zeros((5, 4), np.uint8))


def test_size_must_not_change_even_when_resized() -> None:
    with FrameCollector("clip.avi", size=(8, 8)) as collector:
        collector.add(np.zeros((20, 20), np.uint8))
        with pytest.raises(ClipError, match="changes its frame size"):
            collector.add(np.zeros((40, 40), np.uint8))


def test_no_frames() -> None:
    with FrameCollector("clip.avi") as collector, pytest.raises(ClipError, match="no frame"):
        collector.finish()


def test_resize_keeps_levels_and_makes_the_size() -> None:
    flat = np.full((64, 48), 200, np.uint8)
    for size in [(32, 24), (96, 96), (33, 17), (64, 48)]:
        scaled = resize(flat, size)
        assert scaled.shape == size
        assert scaled.dtype == np.uint8
        assert np.abs(scaled.astype(int) - 200).max() <= 1


def test_resize_by_area_means() -> None:
    checks = np.tile(np.array([[0, 200], [200, 0]], np.uint8), (16, 16))
    assert np.abs(resize(checks, (16, 16)).astype(int) - 100).max() <= 1


@pytest.mark.parametrize("limit", [0, 100, 20 * 20 * 7, 1 << 30])
@pytest.mark.parametrize("count", [1, 7, 50])
def test_memory_limit_changes_nothing_but_the_place(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: int, count: int
) -> None:
    monkeypatch.setattr(frames, "MEMORY_LIMIT_BYTES", limit)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pictures = np.random.default_rng(0).integers(0, 256, (count, 20, 20), np.uint8)
    with FrameCollector("clip.avi") as collector:
        for picture in pictures:
            collector.add(picture)
        kept = collector.finish()
    np.testing.assert_array_equal(kept, pictures)
    assert isinstance(kept, np.memmap) == (count * 400 > limit)
    assert list(tmp_path.iterdir()) == []


def test_full_temporary_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, _: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            pass

    make: Callable[..., Any] = lambda **_: Full()  # noqa: E731
    monkeypatch.setattr(frames, "MEMORY_LIMIT_BYTES", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", make)
    with FrameCollector("clip.avi") as collector, pytest.raises(ClipError, match="temporary space") as caught:
        collector.add(np.zeros((4, 4), np.uint8))
    assert "TMPDIR" in caught.value.hint
