"""Coding of one fitted segment as video, with coefficients and room for its phase beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lrmcodec.decoders.base import FittedSegment
from lrmcodec.formats.container import CodedSegment, Component, segment_bytes
from lrmcodec.metrics import MAX_PSNR_DB
from lrmcodec.rate import Target
from lrmcodec.video.gray_levels import GrayLevels
from lrmcodec.video.motion import code_motion, motion_rank
from lrmcodec.video.payload import code_bounded, group_of
from lrmcodec.video.search import VideoSearch, VideoTrial, preset_for

NUMBERED_DB = 50.0
"""From here on errors are so small that it pays to code numbers of the gray levels that occur: a lung clip of limited
range won 0.05 dB at 52.8 dB; coarser errors do not snap to the right level."""


@dataclass(frozen=True)
class VideoCoding:
    """A segment as video, and the mean PSNR over its frames in dB."""

    coded: CodedSegment
    psnr_db: float

    @property
    def size_bytes(self) -> int:
        """Bytes that the segment adds to the file, its directory entry included."""
        return segment_bytes(self.coded)


class VideoCoder:
    """Codes a fitted segment of pictures as video.

    Parameters
    ----------
    fitted : FittedSegment
        With a basis of its own.
    phase_bytes : callable
        Bytes to keep free at a rank for a direction of the cardiac phase; 0 for none.
    target : Target
        A size that the segment adds to the file, or floors of quality.
    tried : callable
        Called before every trial.
    """

    def __init__(self, fitted: FittedSegment, phase_bytes: Callable[[int], int], target: Target, *,
                 tried: Callable[[], None] = lambda: None) -> None:
        self._frames = fitted.frames
        self._rank = motion_rank(fitted)
        self._motion = code_motion(fitted, self._rank)
        self._phase = bytes(phase_bytes(self._rank))
        if target.size_bytes is not None:
            beside = segment_bytes(self._segment(bytes(target.size_bytes))) - target.size_bytes
            target = replace(target, size_bytes=target.size_bytes - beside)
        self._target, self._tried = target, tried
        self._search = VideoSearch(fitted.frames, target, tried=tried)

    def quick(self) -> VideoCoding | None:
        """What a fast preset gives; None where it misses the target."""
        return self._coding(self._search.quick)

    def finish(self, rival_db: Callable[[], float] | None = None) -> VideoCoding | None:
        """The best coding that meets the target; None where there is none. For `rival_db` see `VideoSearch.finish`."""
        found = self._search.finish(rival_db)
        if found is not None and self._target.size_bytes is not None and NUMBERED_DB <= found.psnr_db < MAX_PSNR_DB:
            levels = GrayLevels.of(self._frames)
            if levels is not None and levels.is_even:
                other = VideoSearch(self._frames, self._target, tried=self._tried, levels=levels).finish()
                found = found if other is None or other.psnr_db <= found.psnr_db else other
        return self._coding(found)

    def bounded(self, max_error: int) -> CodedSegment:
        """The smallest coding in which no pixel is off by more than `max_error` gray levels."""
        count, height, width = self._frames.shape
        payload = code_bounded(self._frames, max_error, preset=preset_for(self._frames.size),
                               group=group_of((height, width), count, 1))
        return self._segment(payload)

    def _coding(self, trial: VideoTrial | None) -> VideoCoding | None:
        return None if trial is None else VideoCoding(self._segment(trial.payload), trial.psnr_db)

    def _segment(self, payload: bytes) -> CodedSegment:
        components = {Component.VIDEO: payload, Component.COEFFS: self._motion, Component.HEART: self._phase}
        return CodedSegment(self._rank, 0, {key: value for key, value in components.items() if value})
