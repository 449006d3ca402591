"""Frames of few gray levels: numbered without gaps in a video, and back."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.decoders.base import FittedSegment
from lrmcodec.formats.av1_video import Quality
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.varint import write_varint
from lrmcodec.metrics import psnr_db
from lrmcodec.rate import Target
from lrmcodec.simulate.heart.phantom import beating_heart
from lrmcodec.video.coder import VideoCoder
from lrmcodec.video.gray_levels import TABLE_BYTES, GrayLevels
from lrmcodec.video.payload import NUMBERED, Mode, code_bounded, code_lossy, open_segment

SIZE = (48, 52)


@pytest.fixture(scope="module")
def limited() -> NDArray[np.uint8]:
    """A clip that was a video of limited range: 219 steps over 255 levels."""
    studio = np.rint(beating_heart(8, SIZE, seed=4).frames * (219 / 255))
    return np.rint(studio * (255 / 219)).astype(np.uint8)


def levels_of(frames: NDArray[np.uint8]) -> GrayLevels:
    found = GrayLevels.of(frames)
    assert found is not None
    return found


def test_numbers_have_no_gaps_and_come_back(limited: NDArray[np.uint8]) -> None:
    levels = levels_of(limited)
    numbers = levels.numbers(limited)
    assert np.array_equal(np.unique(numbers), np.arange(len(levels.used)))
    assert np.array_equal(levels.levels(numbers), limited)
    assert np.array_equal(GrayLevels.unpack(levels.pack()).used, np.unique(limited))


def test_a_clip_of_nearly_all_levels_is_left_alone() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, None].repeat(48, 1)
    assert GrayLevels.of(ramp) is None
    assert GrayLevels.of(np.maximum(ramp, 5)) is None
    assert GrayLevels.of(np.maximum(ramp, 6)) is not None


def test_without_loss_numbers_take_fewer_bytes(limited: NDArray[np.uint8]) -> None:
    payload = code_bounded(limited, 0, preset=9, group=8)
    opened = open_segment(payload, 8, SIZE)
    assert opened.levels is not None
    assert np.array_equal(opened.frames(0, 8), limited)
    plain = code_bounded(limited[:, :, ::-1], 1, preset=9, group=8)
    assert open_segment(plain, 8, SIZE).levels is None  # a bound holds for levels, not for their numbers


@pytest.mark.parametrize("every", [1, 2])
def test_lossy_frames_have_no_other_levels(limited: NDArray[np.uint8], every: int) -> None:
    levels = levels_of(limited)
    payload = code_lossy(levels.numbers(limited), Quality(12, 9), every=every, group=8, levels=levels)
    decoded = open_segment(payload, 8, SIZE).frames(0, 8)
    assert set(np.unique(decoded)) <= set(levels.used)
    assert psnr_db(limited, decoded) > 28


def test_a_fine_video_of_limited_range_holds_numbers(limited: NDArray[np.uint8]) -> None:
    assert not levels_of(limited).used.size > 220
    flat = limited.reshape(8, -1) / np.float32(255)
    mean = flat.mean(0).reshape(SIZE)
    fitted = FittedSegment(mean, np.ones((1, *SIZE), np.float32), np.linspace(-1, 1, 8)[:, None], limited, {})
    size = len(code_lossy(limited, Quality(3, 9), every=1, group=8))
    found = VideoCoder(fitted, lambda rank: 0, Target(size_bytes=size)).finish()
    assert found is not None
    assert found.size_bytes <= size
    assert found.psnr_db > 50


@pytest.mark.parametrize("table", [bytes(TABLE_BYTES), b"\xff" * (TABLE_BYTES - 1)])
def test_tables_that_say_nothing_or_are_cut_short_are_refused(table: bytes) -> None:
    head = b"".join(map(write_varint, (Mode.LOSSY + NUMBERED, 1, 0, 0)))
    with pytest.raises(FormatError, match="table"):
        open_segment(head + table, 8, SIZE)


def test_unknown_modes_are_refused(limited: NDArray[np.uint8]) -> None:
    payload = code_bounded(limited, 0, preset=9, group=8)
    for mode in (3, 7, 8):
        with pytest.raises(FormatError):
            open_segment(write_varint(mode) + payload[1:], 8, SIZE)
