"""Cardiac phase from the coefficients alone: end diastole, end systole and beats, without rendering a pixel.

coefficients --direction--> s(t) --signal--> clean s(t), period --phase_net, events--> ED, ES --> beats

The direction comes from the file's ventricle component, settled from the pixels when the clip was encoded
(`direction`); in files without one it is the first coefficient. Which way up a signal is, its shape tells too.
Everything is in seconds, so any frame rate and uneven times will do. `docs/readout.md` explains the chain. Not a
medical device.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrmcodec.cardiac.direction import Direction, read_direction
from lrmcodec.cardiac.events import Event, es_shifted, find_events
from lrmcodec.cardiac.phase_net import both_ways
from lrmcodec.cardiac.signal import Array, Clean, median, prepare, standardize
from lrmcodec.reader import LrmFile
from lrmcodec.timeline import nearest_frames

SEEN_LIMIT, UNSEEN_LIMIT = 0.1, 0.6
"""Least quality of a cardiac clip: where the encoder saw a beating heart, whose rhythm may be irregular, or did not."""

SLOW_S, SLOW_LIMIT = (1.1, 1.4), 0.3
"""Slow motion is breathing or a moving probe more often than a heart: between these periods the limit grows by 0.3."""

UNSEEN_BEATS, UNSEEN_S = 3.0, 2.0
"""Least number of periods, and seconds, of a cardiac clip in which the encoder saw no heart.

In one or two periods anything is periodic: of pieces of lung clips of 1 to 2 s a fifth passed for hearts without this.
"""

SURE_SIGN = 0.8
"""Probability of the right sign below which nothing is listed."""

SURE_EVENTS = 0.6
"""Mean probability of the events below which nothing is listed."""

MOST_SURE = 0.995
"""Probability of the right sign that the pixels can give at most."""

LEAST_INTERVALS = 3
"""Intervals between beats from which their variability is told."""


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
        Probability that ED and ES are not mixed up, 0.5 to 1; 0 where no heart beats.
    quality : float
        0 to 1: how periodic the signal is at heart rates.
    quality_word : str
        'cardiac', 'not sure' (a heart, but its events are not clear) or 'not cardiac'.
    ed_confidences, es_confidences : list of float
        Probability of each that a true event lies within 50 ms.
    interval_sd_s, interval_rmssd_s : float or None
        Standard deviation of the times between beats, and root mean square of their successive differences; None with
        fewer than three intervals.
    systolic_fraction : float or None
        Median share of a beat from ED to ES.
    ejection_fraction_percent : float or None
        A research figure, from the cavity's mean area in the pixels at ED and ES, found while encoding.
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
    ed_confidences: list[float] = field(default_factory=list)
    es_confidences: list[float] = field(default_factory=list)
    interval_sd_s: float | None = None
    interval_rmssd_s: float | None = None
    systolic_fraction: float | None = None
    ejection_fraction_percent: float | None = None

    def as_dict(self, *, signal: bool = False) -> dict[str, Any]:
        """Plain values under the names of the attributes; the signal only when asked for."""
        values: dict[str, Any] = {
            "fps": self.fps, "ed_frames": self.ed_frames, "es_frames": self.es_frames,
            "ed_times_s": _rounded(self.ed_times_s, 4), "es_times_s": _rounded(self.es_times_s, 4),
            "ed_confidences": _rounded(self.ed_confidences, 3), "es_confidences": _rounded(self.es_confidences, 3),
            "heart_rate_bpm": _round(self.heart_rate_bpm, 1), "interval_sd_s": _round(self.interval_sd_s, 4),
            "interval_rmssd_s": _round(self.interval_rmssd_s, 4),
            "systolic_fraction": _round(self.systolic_fraction, 3),
            "research_only": {"ejection_fraction_percent": _round(self.ejection_fraction_percent, 1)},
            "beats": [{"ed": beat.ed, "es": beat.es, "systolic_s": round(beat.systolic_s, 4),
                       "diastolic_s": _round(beat.diastolic_s, 4)} for beat in self.beats],
            "polarity_confidence": round(self.polarity_confidence, 3), "quality": round(self.quality, 3),
            "quality_word": self.quality_word,
        }
        return values | ({"signal": [round(float(value), 5) for value in self.signal]} if signal else {})


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _rounded(values: Sequence[float], digits: int) -> list[float]:
    return [round(value, digits) for value in values]


def read_phase(file: LrmFile) -> Phase:
    """Read the cardiac phase of an opened file.

    Raises
    ------
    FormatError, PackError
        When the file is damaged or its decoder pack is missing.
    """
    directions = [read_direction(segment.components, segment.rank) for segment in file.coded.segments]
    signal = np.concatenate([_segment_signal(coeffs, direction) for coeffs, direction
                             in zip(file.coeffs, directions, strict=True)])
    known = [direction for direction in directions if direction is not None]
    ejected = [direction.ejected for direction in known if direction.ejected is not None]
    return phase_of(signal, file.times_s, file.fps,
                    confidence=float(np.mean([direction.confidence for direction in known])) / 255 if known else None,
                    es_shift_s=float(np.mean([direction.es_shift_s for direction in known])) if known else 0.0,
                    ejection_fraction=100 * float(np.mean(ejected)) if ejected else None)


def phase_of(signal: Array, times_s: Array, fps: float, *, confidence: float | None, es_shift_s: float = 0.0,
             ejection_fraction: float | None = None) -> Phase:
    """Phase of a signal (T,) at increasing times (T,).

    `confidence` is how sure the encoder was of the signal's sign, 0 to 1; None where it said nothing. The shape of the
    signal has its say too, and may turn it over. Unless it does, end systoles are put later by `es_shift_s`, by which
    the encoder saw them to be later than the signal says.
    """
    clean = prepare(signal, times_s)
    is_heart = beats_unseen(clean) if confidence is None else clean.quality >= SEEN_LIMIT
    reading = _read(clean, confidence, es_shift_s)
    shown = np.interp(times_s, clean.even_s, reading.even)
    if not is_heart:
        return _silent(fps, shown, 0.0, clean.quality, "not cardiac")
    if not _is_clear(reading):
        return _silent(fps, shown, reading.sign, clean.quality, "not sure")
    return _phase(fps, times_s, reading, clean, shown, ejection_fraction)


@dataclass(frozen=True)
class _Reading:
    """A signal the right way up, the probability that it is, and its events."""

    even: Array
    sign: float
    events: list[Event]


def _read(clean: Clean, confidence: float | None, es_shift_s: float) -> _Reading:
    """Turn a signal the right way up by what the encoder saw and by its shape; find its events."""
    prior = 0.5 + 0.5 * min(confidence or 0.0, 2 * MOST_SURE - 1)
    upright, turned, by_shape = both_ways(clean.even, clean.period_s)
    odds = float(np.log(prior / (1 - prior))) + by_shape
    sign = float(1 / (1 + np.exp(-abs(odds))))
    if odds < 0:
        return _Reading(-clean.even, sign, find_events(turned, clean.even_s))
    return _Reading(clean.even, sign, es_shifted(find_events(upright, clean.even_s), es_shift_s, clean.even_s))


def _is_clear(reading: _Reading) -> bool:
    masses = [event.mass for event in reading.events]
    return reading.sign >= SURE_SIGN and len(masses) > 0 and float(np.mean(masses)) >= SURE_EVENTS


def _silent(fps: float, shown: Array, sign: float, quality: float, word: str) -> Phase:
    """Phase without events."""
    return Phase(fps, [], [], [], [], None, [], shown, sign, quality, word)


def _phase(fps: float, times_s: Array, reading: _Reading, clean: Clean, shown: Array,
           ejection_fraction: float | None) -> Phase:
    """Phase of a signal whose events are clear."""
    ed, es = ([event for event in reading.events if event.is_ed == is_ed] for is_ed in (True, False))
    ed_s, es_s = ([min(event.time_s, float(times_s[-1])) for event in events] for events in (ed, es))
    ed_frames, es_frames = _nearest(times_s, ed_s), _nearest(times_s, es_s)
    beats = _beats(ed_s, es_s, ed_frames, es_frames)
    spread, successive = _variability(ed_s, es_s)
    return Phase(fps, ed_frames, es_frames, ed_s, es_s, _heart_rate(ed_s, es_s, clean.period_s), beats, shown,
                 reading.sign, clean.quality, "cardiac", [event.confidence for event in ed],
                 [event.confidence for event in es], spread, successive, _systolic_fraction(beats), ejection_fraction)


def beats_unseen(clean: Clean) -> bool:
    """Whether a signal is a heart's by its rhythm alone: periodic enough for long enough."""
    return (clean.quality >= least_quality(clean.period_s)
            and clean.length_s >= max(UNSEEN_BEATS * clean.period_s, UNSEEN_S))


def least_quality(period_s: float) -> float:
    """Quality from which motion of a period counts as a heart's where none was seen: more for slow motion."""
    slow = (period_s - SLOW_S[0]) / (SLOW_S[1] - SLOW_S[0])
    return UNSEEN_LIMIT + SLOW_LIMIT * min(max(slow, 0.0), 1.0)


def _nearest(times_s: Array, wanted_s: Sequence[float]) -> list[int]:
    return [int(frame) for frame in nearest_frames(times_s, np.asarray(wanted_s, float))]


def _heart_rate(ed_s: Sequence[float], es_s: Sequence[float], period_s: float) -> float:
    """Beats a minute by the median distance of equal events, by the autocorrelation when there are none."""
    gaps = [*np.diff(es_s), *np.diff(ed_s)]
    return 60 / (median(gaps) if gaps else period_s)


def _variability(ed_s: Sequence[float], es_s: Sequence[float]) -> tuple[float | None, float | None]:
    """Standard deviation of the times between beats and root mean square of successive differences, in seconds.

    Task Force of the ESC and NASPE, Circulation 93, 1996, 1043-1065; here over seconds rather than minutes. Times are
    taken from ED or from ES, of which there are more.
    """
    intervals = np.diff(ed_s if len(ed_s) >= len(es_s) else es_s)
    if len(intervals) < LEAST_INTERVALS:
        return None, None
    return float(intervals.std(ddof=1)), float(np.sqrt(np.mean(np.diff(intervals) ** 2)))


def _systolic_fraction(beats: Sequence[Beat]) -> float | None:
    shares = [beat.systolic_s / (beat.systolic_s + beat.diastolic_s) for beat in beats if beat.diastolic_s is not None]
    return median(shares) if shares else None


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
