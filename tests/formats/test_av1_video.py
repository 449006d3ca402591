"""AV1 video without what a reader can rebuild: bit-exact where asked, reachable anywhere, safe to open."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.formats.av1_video import Quality, Video, encode_video, open_video, padded_size
from lrmcodec.formats.errors import FormatError
from lrmcodec.simulate.heart.phantom import beating_heart

FAST, EXACT = Quality(40, 9), Quality(None, 9)


@pytest.fixture(scope="module")
def heart() -> NDArray[np.uint8]:
    return beating_heart(14, (70, 66), seed=2).frames


@pytest.mark.parametrize("size", [(16, 16), (17, 90), (64, 64), (31, 2048)])
def test_lossless_is_lossless_at_any_size(size: tuple[int, int]) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, *size), np.uint8)
    data = encode_video(frames, EXACT, group=2)
    np.testing.assert_array_equal(open_video(data, 3, size).frames(0, 3), frames)


def test_any_part_is_reached_alone(heart: NDArray[np.uint8]) -> None:
    video = open_video(encode_video(heart, FAST, group=4), len(heart), (70, 66))
    whole = video.frames(0, len(heart))
    for start, stop in ((0, 1), (3, 5), (4, 8), (13, 14), (2, 13)):
        np.testing.assert_array_equal(video.frames(start, stop), whole[start:stop])


def test_one_group_needs_no_other(heart: NDArray[np.uint8]) -> None:
    video = open_video(encode_video(heart, FAST, group=4), len(heart), (70, 66))
    broken = Video(14, (70, 66), 4, video.header, (b"\x32\x01\x00",) * 8 + video.units[8:])
    np.testing.assert_array_equal(broken.frames(8, 14), video.frames(8, 14))
    with pytest.raises(FormatError):
        broken.frames(0, 4)


def test_what_comes_after_in_a_group_is_not_decoded(heart: NDArray[np.uint8]) -> None:
    video = open_video(encode_video(heart, FAST, group=14), len(heart), (70, 66))
    broken = Video(14, (70, 66), 14, video.header, video.units[:9] + (b"\x32\x01\x00",) * 5)
    np.testing.assert_array_equal(broken.frames(3, 5), video.frames(3, 5))
    np.testing.assert_array_equal(broken.frames(0, 4), video.frames(0, 4))
    with pytest.raises(FormatError):
        broken.frames(12, 14)
    np.testing.assert_array_equal(broken.frames(0, 4), video.frames(0, 4))


def test_too_many_and_too_few_frames_of_a_group_are_noticed(heart: NDArray[np.uint8]) -> None:
    video = open_video(encode_video(heart[:6], FAST, group=6), 6, (70, 66))
    for units in ((*video.units[:5], b""), (*video.units[:5], video.units[5] + video.units[0])):
        with pytest.raises(FormatError):
            Video(6, (70, 66), 6, video.header, units).frames(0, 6)


def test_finer_is_larger_and_closer(heart: NDArray[np.uint8]) -> None:
    sizes, errors = [], []
    for crf in (20.0, 40.0, 40.5, 60.0):
        data = encode_video(heart, Quality(crf, 9), group=14)
        sizes.append(len(data))
        errors.append(np.abs(open_video(data, 14, (70, 66)).frames(0, 14).astype(int) - heart).mean())
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)


def test_sides_are_padded_to_what_the_encoder_takes() -> None:
    assert [padded_size(size) for size in ((112, 113), (16, 2047), (33, 33))] == [(112, 114), (64, 2048), (34, 34)]


def test_every_cut_and_every_flip_is_refused_or_decodes(heart: NDArray[np.uint8]) -> None:
    data = encode_video(heart[:3], Quality(60, 9), group=2)
    for length in range(len(data)):
        with pytest.raises(FormatError):
            open_video(data[:length], 3, (70, 66)).frames(0, 3)
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        with contextlib.suppress(FormatError):
            assert open_video(bytes(damaged), 3, (70, 66)).frames(0, 3).shape == (3, 70, 66)


@pytest.mark.parametrize(("count", "size"), [(2, (70, 66)), (4, (70, 66)), (3, (70, 68)), (3, (2048, 2048))])
def test_other_promises_are_refused(heart: NDArray[np.uint8], count: int, size: tuple[int, int]) -> None:
    data = encode_video(heart[:3], FAST, group=3)
    with pytest.raises(FormatError):
        open_video(data, count, size)


def test_a_second_sequence_header_cannot_hide_in_a_unit(heart: NDArray[np.uint8]) -> None:
    video = open_video(encode_video(heart[:1], FAST, group=1), 1, (70, 66))
    hidden = bytes((0x0A, len(video.header))) + video.header + video.units[0]
    data = bytes((1, len(video.header))) + video.header + _varint(len(hidden)) + hidden
    with pytest.raises(FormatError, match="no frame needs"):
        open_video(data, 1, (70, 66))


def _varint(value: int) -> bytes:
    from lrmcodec.formats.varint import write_varint

    return write_varint(value)
