"""A gray-scale clip in memory: frames, their times in seconds, and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.errors import ClipError

DEFAULT_FPS = 25.0
"""Nominal rate of a clip of one frame, which has no interval to measure."""


MIN_RATE, MAX_RATE = 0.0001, 50_000.0
"""Frames a second that a clip can have; what a file says beyond them is a mistake or an invention."""

MAX_TIME_S = (1 << 40) / 1e6
"""Seconds that a clip can last, twelve days."""

MIN_GAP_S = 0.999e-6
"""Seconds between two frames at least, a microsecond but for rounding: times are kept to one."""


def is_plausible(rate: Fraction | float) -> bool:
    """Whether frames may come at `rate` a second."""
    return bool(MIN_RATE <= rate <= MAX_RATE)


def check_rate(rate: float, name: str = "the frame rate") -> float:
    """Give `rate` back.

    Raises
    ------
    ClipError
        When no clip can have so many frames a second.
    """
    if not is_plausible(rate):
        raise ClipError(f"{name} is {rate:g}, which is no possible frame rate.",
                        f"Give a number from {MIN_RATE:g} to {MAX_RATE:g} with --fps.")
    return rate


def check_times(times_s: NDArray[np.float64], name: str, hint: str) -> NDArray[np.float64]:
    """Times (T,) of a file in seconds, moved to begin at 0.

    Raises
    ------
    ClipError
        When they are not finite, do not increase by a microsecond at least, or last over twelve days.
    """
    with np.errstate(over="ignore"):
        fit = np.isfinite(times_s).all() and (np.diff(times_s) >= MIN_GAP_S).all()
        fit &= times_s[-1] - times_s[0] <= MAX_TIME_S
    if not fit:
        raise ClipError(f"{name} does not increase by a microsecond at least, or lasts over twelve days.", hint)
    from_zero: NDArray[np.float64] = times_s - times_s[0]
    return from_zero


def uniform_times(count: int, fps: float) -> NDArray[np.float64]:
    """Frame times of `count` frames at `fps` frames a second, from 0; float64 seconds (count,)."""
    return np.arange(count, dtype=np.float64) / fps


@dataclass(frozen=True)
class Clip:
    """A gray clip.

    Attributes
    ----------
    frames : ndarray, (T, H, W) uint8
        Gray levels, 0 black to 255 white. May be a memory map for clips larger than memory.
    times_s : ndarray, (T,) float64
        Frame times in seconds, strictly increasing, the first one 0.
    metadata : mapping
        Plain values (str, int, float, bool, lists, mappings of them). Never holds patient data unless a
        caller put it there; readers put in only technical facts (source type, pixel spacing, dtype).
    warnings : tuple of str
        What a reader could not do as it should have, or had to assume: sentences without a full stop that name
        neither the file nor a patient, since they are stored with the clip.

    Raises
    ------
    ClipError
        When shapes, dtypes or times break the rules above.
    """

    frames: NDArray[np.uint8]
    times_s: NDArray[np.float64]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        frames, times = self.frames, np.asarray(self.times_s, dtype=np.float64)
        if frames.ndim != 3 or frames.dtype != np.uint8:
            raise ClipError(f"frames must be (T, H, W) uint8, not {frames.shape} {frames.dtype}.")
        if 0 in frames.shape:
            raise ClipError(f"the clip is empty: frames have shape {frames.shape}.")
        if times.shape != (len(frames),) or not np.isfinite(times).all():
            raise ClipError(f"{len(frames)} frames need as many finite times, not {times.shape}.")
        if times[0] != 0 or (np.diff(times) < MIN_GAP_S).any():
            raise ClipError("frame times must start at 0 and increase from frame to frame by a microsecond at least.")
        if times[-1] > MAX_TIME_S:
            raise ClipError("the clip lasts over twelve days.", "Correct its frame times, or cut it.")
        object.__setattr__(self, "times_s", times)

    @classmethod
    def from_fps(
        cls, frames: NDArray[np.uint8], fps: float, metadata: Mapping[str, Any] | None = None
    ) -> Clip:
        """Build a clip of evenly spaced frames at `fps` frames a second; ClipError for an impossible rate."""
        check_rate(fps)
        return cls(frames, uniform_times(len(frames), fps), metadata or {})

    @property
    def fps(self) -> float:
        """Nominal frame rate in frames a second: one over the median frame interval."""
        if len(self.times_s) < 2:
            return DEFAULT_FPS
        return round(float(1.0 / np.median(np.diff(self.times_s))), 9)  # 50 rather than 49.99999999999996

    @property
    def duration_s(self) -> float:
        """Seconds shown: the last frame's time plus one nominal interval."""
        return float(self.times_s[-1] + 1.0 / self.fps)

    def cut(self, start_s: float | None = None, duration_s: float | None = None) -> Clip:
        """Frames with start_s <= time < start_s + duration_s, re-timed to begin at 0.

        Raises
        ------
        ClipError
            When no frame lies in that span.
        """
        start = 0.0 if start_s is None else start_s
        stop = np.inf if duration_s is None else start + duration_s
        half_tick = 0.5e-6  # times are kept to a microsecond
        keep = np.flatnonzero((self.times_s >= start - half_tick) & (self.times_s < stop - half_tick))
        if not len(keep):
            span = f"{start:g} s to {stop:g} s"
            raise ClipError(f"no frame lies in {span}; the clip lasts {self.duration_s:.3f} s.",
                            "Choose another --start or --duration.")
        part = slice(int(keep[0]), int(keep[-1]) + 1)
        times = self.times_s[part]
        return replace(self, frames=self.frames[part], times_s=times - times[0])
