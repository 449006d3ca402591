"""A segment as AV1 video: lossy, exact, or with a bounded error in every pixel. Payload layout: SPEC.md, section Video.

    lossy    every k-th frame coded, those between blended linearly
    levels   gray levels divided by 2 N + 1 and coded without loss: no pixel is off by more than N
    rest     a lossy video and what it leaves, divided by 2 N + 1 and coded without loss: the same promise

With N = 0 both promises are exact. Which of the two is smaller depends on the noise of the clip; `code_bounded` tries
both. In place of gray levels any of the three may hold the numbers of those that occur (`gray_levels`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.av1_video import DAMAGED, Quality, Video, encode_video, open_video
from lrmcodec.formats.errors import FormatError
from lrmcodec.formats.fields import MAX_FILE_BYTES
from lrmcodec.formats.varint import read_varint, write_varint
from lrmcodec.levels import frames_at_a_time
from lrmcodec.video.gray_levels import TABLE_BYTES, GrayLevels

MAX_EVERY = 64
MAX_BOUND = 42
"""Largest bound: rests of up to 255 levels, divided by 2 N + 1 = 85, still differ from each other."""

MIDDLE = 128
GROUP_PIXELS, LEAST_GROUP, MOST_GROUP = 1 << 26, 64, 512
"""From one key frame to the next: pixels, and limits in recorded frames."""

Frames = NDArray[np.uint8]


class Mode(IntEnum):
    """How frames follow from the streams; frozen numbers of the format."""

    LOSSY = 0
    LEVELS = 1
    REST = 2


NUMBERED = 4
"""Added to a mode where a table of gray levels follows the head; frozen."""


def code_lossy(frames: Frames, quality: Quality, *, every: int, group: int, levels: GrayLevels | None = None) -> bytes:
    """Code every `every`-th of frames (T, H, W) uint8, with a key frame every `group` coded frames.

    With `levels`, the frames hold the numbers of these.
    """
    return _payload(Mode.LOSSY, every, 0, encode_video(frames[::every], quality, group=group), levels=levels)


def code_bounded(frames: Frames, max_error: int, *, preset: int, group: int) -> bytes:
    """Code frames (T, H, W) uint8 so that no pixel is off by more than `max_error` gray levels, 0 to 42."""
    levels = GrayLevels.of(frames) if max_error == 0 else None
    if levels is not None:
        frames = levels.numbers(frames)
    step = 2 * max_error + 1
    exact = Quality(None, preset)
    parts = ((frames.astype(np.int16) + max_error) // step).astype(np.uint8)
    first = _payload(Mode.LEVELS, 1, max_error, encode_video(parts, exact, group=group), levels=levels)
    base = encode_video(frames, Quality(_rest_crf(max_error), preset), group=group)
    if len(base) >= len(first):
        return first
    rest = frames.astype(np.int16) - open_video(base, len(frames), _size(frames)).frames(0, len(frames))
    rounded = np.sign(rest) * ((np.abs(rest) + max_error) // step)
    stream = encode_video((rounded + MIDDLE).astype(np.uint8), exact, group=group)
    return min(first, _payload(Mode.REST, 1, max_error, base, stream, levels), key=len)


def _rest_crf(max_error: int) -> float:
    """Quality of the lossy video under a rest: near the best of 8 to 40 at every bound on lungs (benchmarks/LOG.md)."""
    return min(20.0 + 2.5 * max(max_error - 4, 0), 50.0)


def _payload(mode: Mode, every: int, max_error: int, stream: bytes, rest: bytes = b"",
             levels: GrayLevels | None = None) -> bytes:
    kind = mode if levels is None else mode + NUMBERED
    head = b"".join(map(write_varint, (kind, every, max_error, len(rest))))
    return head + (b"" if levels is None else levels.pack()) + rest + stream


def _size(frames: Frames) -> tuple[int, int]:
    return frames.shape[1], frames.shape[2]


@dataclass(frozen=True)
class VideoSegment:
    """An opened payload of `count` frames."""

    count: int
    mode: Mode
    every: int
    max_error: int
    video: Video
    rest: Video | None
    levels: GrayLevels | None = None

    def frames(self, start: int, stop: int) -> Frames:
        """Frames (stop - start, H, W) uint8 at recorded times; only what they need is decoded.

        Raises
        ------
        FormatError
            When a stream is not valid AV1 of the promised size.
        """
        values = self._values(start, stop)
        return values if self.levels is None else self.levels.levels(values)

    def _values(self, start: int, stop: int) -> Frames:
        """Gray levels of frames, or the numbers of these."""
        if self.every > 1:
            return self._blended(start, stop)
        coded = self.video.frames(start, stop)
        step = 2 * self.max_error + 1
        if self.mode is Mode.LEVELS:
            return np.asarray(np.minimum(coded.astype(np.int16) * step, 255), np.uint8)
        if self.rest is not None:
            rest = (self.rest.frames(start, stop).astype(np.int16) - MIDDLE) * step
            return np.asarray(np.clip(coded + rest, 0, 255), np.uint8)
        return coded

    def blocks(self) -> Iterator[Frames]:
        """All frames in order, a bounded number at a time."""
        step = frames_at_a_time(self.video.size)
        for start in range(0, self.count, step):
            yield self.frames(start, min(start + step, self.count))

    def at(self, positions: NDArray[np.float64]) -> NDArray[np.float32]:
        """Frames (n, H, W) of [0, 1] at positions (n,) from 0 to count - 1; between frames a straight blend.

        Raises
        ------
        FormatError
            As `frames`.
        """
        left = np.clip(np.floor(positions).astype(int), 0, self.count - 1)
        weight = np.clip(positions - left, 0, 1).astype(np.float32)[:, None, None]
        right = np.minimum(left + (weight[:, 0, 0] > 0), self.count - 1)
        needed = np.union1d(left, right)
        known = np.concatenate([self.frames(int(k), int(k) + 1) for k in needed]).astype(np.float32) / np.float32(255)
        return np.asarray((1 - weight) * known[np.searchsorted(needed, left)]
                          + weight * known[np.searchsorted(needed, right)])

    def _blended(self, start: int, stop: int) -> Frames:
        """Frames between coded ones by linear blending, the last coded one held; rounded half up."""
        at = np.arange(start, stop)
        left = at // self.every
        right = np.minimum(left + 1, self.video.count - 1)
        first = int(left[0])
        coded = self.video.frames(first, int(right[-1]) + 1).astype(np.int32)
        weight = (at % self.every)[:, None, None]
        mixed = (self.every - weight) * coded[left - first] + weight * coded[right - first]
        return np.asarray((2 * mixed + self.every) // (2 * self.every), np.uint8)


def open_segment(payload: bytes, count: int, size: tuple[int, int], *, is_cut: bool = False) -> VideoSegment:
    """Take the payload of `count` frames of (H, W) apart; nothing is decoded.

    If the payload is cut off (`is_cut`) the first frames are opened, up to the last that is whole.

    Raises
    ------
    FormatError
        When it does not belong to such a segment.
    """
    kind, at = read_varint(payload, 0, limit=max(Mode) + NUMBERED)
    mode = kind % NUMBERED
    every, at = read_varint(payload, at, limit=MAX_EVERY)
    max_error, at = read_varint(payload, at, limit=MAX_BOUND)
    rest_bytes, at = read_varint(payload, at, limit=MAX_FILE_BYTES if is_cut else len(payload))
    if every < 1 or mode > max(Mode) or (mode != Mode.LOSSY and every > 1) or (mode == Mode.REST) != (rest_bytes > 0):
        raise FormatError("the video's head contradicts itself.", DAMAGED)
    levels = None
    if kind >= NUMBERED:
        levels, at = GrayLevels.unpack(payload[at:at + TABLE_BYTES]), at + TABLE_BYTES
    if len(payload) < at + rest_bytes:
        raise FormatError("the rest beside the video is cut short.", DAMAGED)
    rest = open_video(payload[at:at + rest_bytes], count, size) if rest_bytes else None
    video = open_video(payload[at + rest_bytes:], -(-count // every), size, is_cut=is_cut)
    there = count if video.count == -(-count // every) else (video.count - 1) * every + 1
    return VideoSegment(there, Mode(mode), every, max_error, video, rest, levels)


def group_of(size: tuple[int, int], count: int, every: int) -> int:
    """Coded frames of (H, W) in a group: as many as decode in a fraction of a second, all of a short segment."""
    frames = min(max(GROUP_PIXELS // (size[0] * size[1]), LEAST_GROUP), MOST_GROUP)
    return max(1, min(frames // every, count))
