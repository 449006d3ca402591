"""The clip in memory keeps its promises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmcodec.formats.clip import DEFAULT_FPS, Clip, uniform_times
from lrmcodec.formats.errors import ClipError, LrmError


def frames(count: int = 4) -> Any:
    return np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)


def test_rate_and_duration() -> None:
    clip = Clip.from_fps(frames(), 50)
    assert clip.fps == pytest.approx(50)
    assert clip.duration_s == pytest.approx(0.08)
    assert clip.times_s.dtype == np.float64


def test_one_frame_has_the_default_rate() -> None:
    clip = Clip(frames(1), [0])  # type: ignore[arg-type]
    assert clip.fps == DEFAULT_FPS
    assert clip.times_s.shape == (1,)


@pytest.mark.parametrize(
    ("pictures", "times"),
    [
        (np.zeros((2, 3), np.uint8), [0, 1]),
        (np.zeros((2, 3, 4), np.float32), [0, 1]),
        (np.zeros((0, 3, 4), np.uint8), []),
        (np.zeros((2, 0, 4), np.uint8), [0, 1]),
        (np.zeros((2, 3, 4), np.uint8), [0]),
        (np.zeros((2, 3, 4), np.uint8), [0, np.nan]),
        (np.zeros((2, 3, 4), np.uint8), [1, 2]),
        (np.zeros((2, 3, 4), np.uint8), [0, 0]),
        (np.zeros((3, 3, 4), np.uint8), [0, 2, 1]),
    ],
)
def test_refuses_broken_rules(pictures: Any, times: Any) -> None:
    with pytest.raises(ClipError):
        Clip(pictures, times)


@given(count=st.integers(1, 40), start=st.integers(0, 40), length=st.integers(1, 40))
def test_cut_takes_frames_by_time(count: int, start: int, length: int) -> None:
    clip = Clip.from_fps(frames(count), 50)
    if start >= count:
        with pytest.raises(ClipError, match="no frame lies"):
            clip.cut(start / 50, length / 50)
        return
    part = clip.cut(start / 50, length / 50)
    np.testing.assert_array_equal(part.frames, clip.frames[start : start + length])
    np.testing.assert_allclose(part.times_s, uniform_times(len(part.frames), 50), atol=1e-12)


def test_cut_without_bounds_is_the_clip() -> None:
    clip = Clip.from_fps(frames(), 50, {"source": "test"})
    part = clip.cut()
    np.testing.assert_array_equal(part.frames, clip.frames)
    assert part.metadata == {"source": "test"}


def test_errors_say_what_and_what_to_do() -> None:
    error = LrmError("This failed.", "Do that.")
    assert (error.what, error.hint, str(error)) == ("This failed.", "Do that.", "This failed. Do that.")
