"""Frame times of DICOM: every element that says something, in order of precedence, compared with each other.

1. what FrameIncrementPointer names: FrameTime or FrameTimeVector;
2. functional groups of each frame: FrameAcquisitionDateTime, TemporalPositionTimeOffset, FrameReferenceDateTime;
3. FrameTimeVector, FrameTime;
4. CineRate, RecommendedDisplayFrameRate, ActualFrameDuration.

References are to DICOM PS3.3, 2024: C.7.6.5 (Cine), C.7.6.6 (Multi-frame), C.7.6.16 (functional groups).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.tag import Tag
from pydicom.valuerep import DT

from lrmcodec.formats.clip import uniform_times
from lrmcodec.formats.dicom_header import FrameHeaders, Header

FASTEST, SLOWEST = 20_000.0, 0.01
"""Frames a second beyond which a rate is no rate: plane-wave scanners end at the one."""

SAME_RATE = 0.02
"""Part by which two rates may differ, and still be the same one."""

SAME_COUNT = 1.0
"""Frames a second by which a rate in whole numbers may differ: writers round and cut."""

WHOLE = ("CineRate", "RecommendedDisplayFrameRate")

Warn = Callable[[str], None]
Times = NDArray[np.float64]


@dataclass(frozen=True)
class Timing:
    """Frame times (T,) in seconds from 0, and the element that they come from."""

    source: str
    times_s: Times

    @property
    def fps(self) -> float:
        """Frames a second: one over the median step."""
        return float(1 / np.median(np.diff(self.times_s)))


def read_times(headers: FrameHeaders, count: int, warn: Warn) -> Timing | None:
    """Times of `count` frames by the element that goes before all others that are usable, or None."""
    if count < 2:
        return None

    def note(text: str) -> None:
        warn(f"frame times: {text}")

    found = [timing for timing in _all(headers, count, note) if timing is not None]
    pointed = _pointed(headers.whole)
    found.sort(key=lambda timing: timing.source != pointed)  # stable: the others keep their order
    if not found:
        return None
    first = found[0]
    for other in found[1:]:
        if not _agree(first, other):
            note(f"{first.source} says {first.fps:.4g} a second, {other.source} {other.fps:.4g}; the first was used")
    return first


def _all(headers: FrameHeaders, count: int, warn: Warn) -> Iterator[Timing | None]:
    header = headers.whole
    yield from _frame_stamps(headers, count, warn)
    yield _vector(header, count, warn)
    yield _rate("FrameTime", _per_second(header, "FrameTime"), count, warn)
    for keyword in WHOLE:
        yield _rate(keyword, header.number(keyword), count, warn)
    yield _rate("ActualFrameDuration", _per_second(header, "ActualFrameDuration"), count, warn)


def _pointed(header: Header) -> str:
    """What the first FrameIncrementPointer names, of the elements known here."""
    value = header.value("FrameIncrementPointer")
    try:
        tags = {int(tag) for tag in np.atleast_1d(value)} if value is not None else set()
    except (TypeError, ValueError):
        return ""
    return next((name for name in ("FrameTimeVector", "FrameTime") if int(Tag(name)) in tags), "")


def _agree(first: Timing, other: Timing) -> bool:
    difference = abs(first.fps - other.fps)
    whole = other.source in WHOLE or first.source in WHOLE
    return difference <= max(SAME_RATE * first.fps, SAME_COUNT if whole else 0.0)


def _per_second(header: Header, keyword: str) -> float | None:
    """A rate from milliseconds; infinite for times so short that they have none."""
    milliseconds = header.number(keyword)
    if not milliseconds:
        return milliseconds
    with np.errstate(over="ignore"):
        return float(np.float64(1000) / milliseconds)


def _rate(source: str, rate: float | None, count: int, warn: Warn) -> Timing | None:
    """Even times; 0 means that a writer had nothing to say."""
    if not rate:
        return None
    if not SLOWEST <= rate <= FASTEST:
        warn(f"{source} makes no sense ({rate:.4g} frames a second) and was not used")
        return None
    return Timing(source, uniform_times(count, rate))


def _vector(header: Header, count: int, warn: Warn) -> Timing | None:
    """FrameTimeVector: milliseconds from the frame before, the first one 0; also without the first or the last."""
    vector = header.numbers("FrameTimeVector")
    if not header.has("FrameTimeVector"):
        return None
    promised = header.integer("NumberOfFrames") or 0
    steps = np.array(vector[1:])
    if len(vector) == count - 1 and vector[0] > 0:
        steps = np.array(vector)  # without the first
    elif len(vector) == count - 1 and len(vector) > 1:
        steps = np.append(steps, np.median(steps))
        warn("FrameTimeVector is one step short: the last frame is shown as long as the others")
    elif len(vector) != count and not len(vector) == promised > count:
        warn(f"FrameTimeVector has {len(vector)} values for {count} frames and was not used")
        return None
    return _stamped("FrameTimeVector", np.concatenate([[0.0], np.cumsum(steps[: count - 1])]) / 1000, warn)


def _stamped(source: str, times: Times, warn: Warn) -> Timing | None:
    """Times as stored, when they rise at a rate that makes sense."""
    steps = np.diff(times)
    if not (np.isfinite(times).all() and (steps > 0).all() and SLOWEST <= 1 / float(np.median(steps)) <= FASTEST):
        warn(f"{source} does not rise from frame to frame and was not used")
        return None
    return Timing(source, times)


def _frame_stamps(headers: FrameHeaders, count: int, warn: Warn) -> Iterator[Timing | None]:
    """Times of each frame's functional groups."""
    if len(headers.per_frame) < count:
        if headers.per_frame:
            warn(f"there are functional groups for {len(headers.per_frame)} of {count} frames: their times were not "
                 "used")
        return
    frames = [headers.frame(i) for i in range(count)]
    for keyword, read in (("FrameAcquisitionDateTime", _date_time), ("TemporalPositionTimeOffset", _seconds),
                          ("FrameReferenceDateTime", _date_time)):
        values = [read(frame, keyword) for frame in frames]
        known = [value for value in values if value is not None]
        if len(known) == count:
            yield _stamped(keyword, np.array([_difference(value, known[0]) for value in known]), warn)
        elif known:
            warn(f"{keyword} is known of {len(known)} of {count} frames and was not used")


def _seconds(header: Header, keyword: str) -> float | None:
    return header.number(keyword)


def _date_time(header: Header, keyword: str) -> datetime | None:
    value = header.value(keyword)
    try:
        stamp = value if isinstance(value, datetime) else DT(str(value)) if value is not None else None
    except (ValueError, OverflowError):
        return None
    return stamp.replace(tzinfo=None) if isinstance(stamp, datetime) and stamp.tzinfo is None else stamp


def _difference(value: Any, first: Any) -> float:
    """Seconds from the first; NaN where one of them has a time zone and the other none."""
    try:
        difference = value - first
    except TypeError:
        return float("nan")
    return float(difference if isinstance(difference, float) else difference.total_seconds())
