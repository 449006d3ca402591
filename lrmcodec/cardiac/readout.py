"""Cardiac phase from the coefficients alone: end diastole, end systole and beats, without rendering a pixel.

coefficients --direction--> s(t) --smooth, high-pass--> period --> valleys (ES), tops (ED) --> beats

The direction comes from the file's phase component, settled from the pixels when the clip was encoded (`direction`); in
files without one it is the first coefficient, its sign a guess. `docs/readout.md` explains the chain. Not a medical
device.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lrmcodec.cardiac.direction import Direction
from lrmcodec.cardiac.events import find_events, is_upside_down
from lrmcodec.cardiac.signal import Array, clean, even_times, periodicity, standardize
from lrmcodec.formats.container import Component
from lrmcodec.reader import LrmFile
from lrmcodec.timeline import nearest_frames

SEEN_LIMIT, UNSEEN_LIMIT = 0.1, 0.6
"""Least quality of a cardiac clip: where the encoder saw a beating heart, whose rhythm may be irregular, or did not."""

SLOW_S, SLOW_LIMIT = (1.1, 1.4), 0.3
"""Slow motion is breathing or a moving probe more often than a heart: between these periods the limit grows by 0.3."""


@dataclass(frozen=True)
class Beat:
    """One beat: frames of end diastole and end systole; `diastolic_s` is None when the next beat is not seen."""

    ed: int
    es: int
    systolic_s: float
    diastolic_s: float | None


@dataclass(frozen=True)
class Phase:
    """What the coefficients say about the cardiac cycle.

    Attributes
    ----------
    fps : float
        Nominal frame rate.
    ed_frames, es_frames : list of int
        Frames nearest to end diastole and end systole; empty unless `quality_word` is 'cardiac'.
    ed_times_s, es_times_s : list of float
        The same between the frames, in seconds from the clip's start.
    heart_rate_bpm : float or None
        From the median time between beats.
    beats : list of Beat
    signal : ndarray, (T,)
        Smoothed s(t) at the frames, median 0 and range about 1, large where the ventricle is.
    polarity_confidence : float
        0 (the sign is a guess) to 1, as the encoder measured it.
    quality : float
        0 to 1: how periodic the signal is at heart rates.
    quality_word : str
        'cardiac' or 'not cardiac'.
    """

    fps: float
    ed_frames: list[int]
    es_frames: list[int]
    ed_times_s: list[float]
    es_times_s: list[float]
    heart_rate_bpm: float | None
    beats: list[Beat]
    signal: Array
    polarity_confidence: float
    quality: float
    quality_word: str

    def as_dict(self, *, signal: bool = False) -> dict[str, Any]:
        """Plain values under the names of the attributes; the signal only when asked for."""
        values: dict[str, Any] = {
            "fps": self.fps, "ed_frames": self.ed_frames, "es_frames": self.es_frames,
            "ed_times_s": [round(t, 4) for t in self.ed_times_s], "es_times_s": [round(t, 4) for t in self.es_times_s],
            "heart_rate_bpm": None if self.heart_rate_bpm is None else round(self.heart_rate_bpm, 1),
            "beats": [{"ed": beat.ed, "es": beat.es, "systolic_s": round(beat.systolic_s, 4),
                       "diastolic_s": None if beat.diastolic_s is None else round(beat.diastolic_s, 4)}
                      for beat in self.beats],
            "polarity_confidence": round(self.polarity_confidence, 3), "quality": round(self.quality, 3),
            "quality_word": self.quality_word,
        }
        return values | ({"signal": [round(float(value), 5) for value in self.signal]} if signal else {})


def read_phase(file: LrmFile) -> Phase:
    """Read the cardiac phase of an opened file.

    Raises
    ------
    FormatError, PackError
        When the file is damaged or its decoder pack is missing.
    """
    directions = [Direction.unpack(segment.components[Component.PHASE], segment.rank)
                  if Component.PHASE in segment.components else None for segment in file.coded.segments]
    signal = np.concatenate([_segment_signal(coeffs, direction) for coeffs, direction
                             in zip(file.coeffs, directions, strict=True)])
    known = [direction.confidence / 255 for direction in directions if direction is not None]
    return phase_of(signal, file.times_s, file.fps, confidence=float(np.mean(known)) if known else None)


def phase_of(signal: Array, times_s: Array, fps: float, *, confidence: float | None) -> Phase:
    """Phase of a signal (T,) at increasing times (T,); without `confidence` its sign is a guess and may be turned."""
    even_s = even_times(times_s)
    even = clean(signal, times_s, even_s)
    quality, period_s = periodicity(even, even_s)
    is_heart = quality >= (least_quality(period_s) if confidence is None else SEEN_LIMIT)
    if is_heart and confidence is None and is_upside_down(even, even_s, period_s):
        even = -even
    shown = np.interp(times_s, even_s, even)
    if not is_heart:
        return Phase(fps, [], [], [], [], None, [], shown, confidence or 0.0, quality, "not cardiac")
    ed_s, es_s = find_events(even, even_s, period_s)
    ed, es = _nearest(times_s, ed_s), _nearest(times_s, es_s)
    rate = _heart_rate(ed_s, es_s, period_s)
    return Phase(fps, ed, es, ed_s, es_s, rate, _beats(ed_s, es_s, ed, es), shown, confidence or 0.0, quality,
                 "cardiac")


def least_quality(period_s: float) -> float:
    """Quality from which motion of a period counts as a heart's where none was seen: more for slow motion."""
    slow = (period_s - SLOW_S[0]) / (SLOW_S[1] - SLOW_S[0])
    return UNSEEN_LIMIT + SLOW_LIMIT * min(max(slow, 0.0), 1.0)


def _nearest(times_s: Array, wanted_s: Sequence[float]) -> list[int]:
    return [int(frame) for frame in nearest_frames(times_s, np.asarray(wanted_s, float))]


def _heart_rate(ed_s: Sequence[float], es_s: Sequence[float], period_s: float) -> float:
    """Beats a minute by the median distance of equal events, by the autocorrelation when there are none."""
    gaps = [*np.diff(es_s), *np.diff(ed_s)]
    return float(60 / (np.median(gaps) if gaps else period_s))


def _beats(ed_s: Sequence[float], es_s: Sequence[float], ed: Sequence[int], es: Sequence[int]) -> list[Beat]:
    """Pairs of an end diastole and the end systole that follows it."""
    beats = []
    for index, start in enumerate(ed_s):
        after = bisect_right(es_s, start)
        following = ed_s[index + 1] if index + 1 < len(ed_s) else None
        if after < len(es_s) and (following is None or es_s[after] < following):
            end = es_s[after]
            beats.append(Beat(ed[index], es[after], end - start, None if following is None else following - end))
    return beats


def _segment_signal(coeffs: Array, direction: Direction | None) -> Array:
    """Signal (T,) of one segment with mean 0 and variance 1; each segment has a basis of its own."""
    if coeffs.shape[1] == 0 or len(coeffs) < 4:
        return np.zeros(len(coeffs))
    raw = coeffs[:, 0] if direction is None else direction.project(coeffs)  # the first moves most
    return standardize(raw[:, None])[:, 0]
