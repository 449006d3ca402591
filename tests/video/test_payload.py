"""Segments as AV1 video: bounds that hold, frames between coded ones, payloads that contradict themselves."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.formats.av1_video import Quality
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.varint import write_varint
from lrmcodec.simulate.heart.phantom import beating_heart
from lrmcodec.video import payload as video_segment
from lrmcodec.video.payload import Mode, code_bounded, code_lossy, open_segment

SIZE = (48, 52)


@pytest.fixture(scope="module")
def heart() -> NDArray[np.uint8]:
    return beating_heart(10, SIZE, seed=4).frames


@pytest.fixture(scope="module")
def smooth(heart: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Frames whose rest after a lossy video is smaller than their levels."""
    ramp = np.add.outer(np.arange(SIZE[0]), 3 * np.arange(SIZE[1])) % 256
    noise = np.random.default_rng(5).integers(-2, 3, (10, *SIZE))
    return np.clip(ramp + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("max_error", [0, 1, 3, 10, 42])
@pytest.mark.parametrize("kind", ["heart", "smooth", "noise"])
def test_no_pixel_is_off_by_more(heart: NDArray[np.uint8], smooth: NDArray[np.uint8], kind: str,
                                 max_error: int) -> None:
    noise = np.random.default_rng(6).integers(0, 256, heart.shape, np.uint8)
    frames = {"heart": heart, "smooth": smooth, "noise": noise}[kind]
    payload = code_bounded(frames, max_error, preset=9, group=4)
    decoded = open_segment(payload, 10, SIZE).frames(0, 10)
    assert np.abs(decoded.astype(int) - frames).max() <= max_error


def test_both_ways_are_used(heart: NDArray[np.uint8], smooth: NDArray[np.uint8]) -> None:
    modes = {open_segment(code_bounded(frames, bound, preset=9, group=10), 10, SIZE).mode
             for frames in (heart, smooth) for bound in (0, 10)}
    assert modes == {Mode.LEVELS, Mode.REST}


@pytest.mark.parametrize("every", [1, 2, 3, 9, 10])
def test_frames_between_coded_ones_are_blended(heart: NDArray[np.uint8], every: int) -> None:
    opened = open_segment(code_lossy(heart, Quality(20, 9), every=every, group=2), 10, SIZE)
    whole = opened.frames(0, 10)
    coded = opened.video.frames(0, opened.video.count).astype(float)
    at = np.minimum(np.arange(10) / every, len(coded) - 1)
    left = at.astype(int)
    right = np.minimum(left + 1, len(coded) - 1)
    weight = (at - left)[:, None, None]
    expected = np.floor((1 - weight) * coded[left] + weight * coded[right] + 0.5)
    np.testing.assert_allclose(whole, expected, atol=1e-9)
    for start, stop in ((0, 1), (4, 7), (9, 10)):
        np.testing.assert_array_equal(opened.frames(start, stop), whole[start:stop])


@pytest.mark.parametrize("head", [(3, 1, 0, 0), (0, 0, 0, 0), (1, 2, 0, 0), (2, 1, 0, 0), (0, 1, 0, 3), (0, 65, 0, 0),
                                  (1, 1, 43, 0), (0, 1, 0, 1 << 40)])
def test_heads_that_contradict_themselves_are_refused(heart: NDArray[np.uint8], head: tuple[int, ...]) -> None:
    stream = code_lossy(heart, Quality(50, 9), every=1, group=10)[4:]
    with pytest.raises(FormatError):
        open_segment(b"".join(map(write_varint, head)) + stream, 10, SIZE)


def test_groups_are_short_enough_to_seek() -> None:
    assert [video_segment.group_of((112, 112), count, every) for count, every in ((10, 1), (900, 1), (900, 64))] == [
        10, 512, 8]
    assert video_segment.group_of((1080, 1920), 900, 1) == 64
