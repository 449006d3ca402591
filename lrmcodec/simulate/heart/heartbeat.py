"""Rhythm and volumes: when the heart beats, and how full it is at any time.

The volume curve has the parts that physiology textbooks name: isovolumic contraction, ejection, isovolumic
relaxation, early filling (E), diastasis, atrial contraction (A). Durations of ejection follow the regression of
systolic time intervals on heart rate by Weissler, Harris and Schoenfeld (Circulation 37, 1968, 149-159), with a
random offset; at high rates the E and A waves merge and systole becomes the longer part. Ejection is fastest in its
first half and nearly over in its last third (textbooks: Guyton and Hall, Medical Physiology, chapter 9), so that the
ventricle looks still well before the aortic valve closes and until the mitral valve opens; it fills fast, then slowly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RHYTHMS = ("sinus", "irregular", "ectopic")

EJECTION_S, EJECTION_SLOPE = 0.413, 0.0017
"""Left-ventricular ejection time in seconds at rate 0, and what it loses for every beat a minute."""

AFTER_S = 0.16
"""How long post-systolic motion lasts, from the end of ejection."""


@dataclass(frozen=True)
class Course:
    """How one patient's ventricle empties and fills, as shares of the stroke.

    Attributes
    ----------
    tightening : float
        Change of shape during isovolumic contraction.
    ejection, early : tuple of float
        Exponents p and q of the course 1 - (1 - x^p)^q of ejection and of early filling over their durations x.
    reshaping : float
        Change during isovolumic relaxation: positive where the ventricle goes on narrowing, negative where it widens.
    creep : float
        Share that fills between E and A; negative where the wall springs back after fast filling.
    pause_s : float
        From the end of the atrial contraction to the onset of the ventricle's.
    """

    tightening: float
    ejection: tuple[float, float]
    early: tuple[float, float]
    reshaping: float
    creep: float
    pause_s: float


@dataclass(frozen=True)
class Heartbeat:
    """Beats of one clip.

    Attributes
    ----------
    onsets_s : ndarray, (n + 1,)
        When each beat's contraction begins (the R wave), from before the clip to after it.
    depth : ndarray, (n,)
        Strength of each beat, 1 for a usual one.
    isovolumic_s, ejection_s, relaxation_s : ndarray, (n,)
        Durations within each beat.
    early_s, atrial_s : float
        Durations of early filling and atrial contraction.
    early_share : ndarray, (n,)
        Share of the stroke that fills early; the rest, but for the creep, is the atria's, if they contract.
    course : Course
    rhythm : str
    rate_bpm : float
        Mean rate.
    """

    onsets_s: Array
    depth: Array
    isovolumic_s: Array
    ejection_s: Array
    relaxation_s: Array
    early_s: float
    atrial_s: float
    early_share: Array
    course: Course
    rhythm: str
    rate_bpm: float

    def contraction(self, times_s: Array, after: float = 0.0) -> Array:
        """How far the ventricle is emptied (T,): 0 at end diastole, 1 at end systole of a usual beat.

        `after` is the share of the stroke by which a wall goes on moving inward after ejection has ended.
        """
        beat, since_s, length_s = self._place(times_s)
        course = self.course
        start, end = self.isovolumic_s[beat], self.isovolumic_s[beat] + self.ejection_s[beat]
        opening = end + self.relaxation_s[beat]
        emptied = (course.tightening * _rise(since_s / start)
                   + (1 - course.tightening) * _course((since_s - start) / (end - start), course.ejection)
                   + course.reshaping * _rise((since_s - end) / (opening - end))
                   + after * _bump((since_s - end) / np.minimum(AFTER_S, length_s - end)))
        early_s = np.minimum(self.early_s, length_s - opening)
        early = _course((since_s - opening) / early_s, course.early)
        slow = _rise((since_s - opening - 0.6 * early_s) / (length_s - opening - 0.6 * early_s))
        atrial = _rise((since_s - length_s + self.atrial_s + course.pause_s) / self.atrial_s)
        share = self.early_share[beat]
        kick = np.where(share < 1, 1 - share - course.creep, 0.0)
        creep = np.where(share < 1, course.creep, 0.05)
        filled = (1 - kick - creep) * early + kick * atrial + creep * slow
        return np.asarray(self.depth[beat] * emptied * (1 - filled))

    def filling(self, times_s: Array) -> tuple[Array, Array]:
        """Flow into the ventricle (T,), 0 to 1, and pressure that holds the inlet valves shut (T,), 0 to 1."""
        beat, since_s, length_s = self._place(times_s)
        opening = self.isovolumic_s[beat] + self.ejection_s[beat] + self.relaxation_s[beat]
        early = _bump((since_s - opening) / np.minimum(self.early_s, length_s - opening))
        before_s = self.atrial_s + self.course.pause_s
        atrial = np.where(self.early_share[beat] < 1, _bump((since_s - length_s + before_s) / self.atrial_s), 0)
        shut = _rise(since_s / 0.03) * (1 - _rise((since_s - opening + 0.02) / 0.03))
        flow = np.maximum(early, 0.75 * atrial)
        return np.maximum(flow, 0.22 * (since_s > opening) * (1 - shut)), np.asarray(shut)

    def ejecting(self, times_s: Array) -> Array:
        """How far the outlet valve is open (T,), 0 to 1."""
        beat, since_s, _ = self._place(times_s)
        begin = since_s - self.isovolumic_s[beat]
        return np.asarray(_rise(begin / 0.03) * (1 - _rise((begin - self.ejection_s[beat] + 0.03) / 0.03)))

    def beats(self) -> list[tuple[float, float, float]]:
        """Start of contraction, end of ejection and start of the next beat, in seconds, of each beat."""
        ends = self.onsets_s[:-1] + self.isovolumic_s + self.ejection_s
        return list(zip(self.onsets_s[:-1].tolist(), ends.tolist(), self.onsets_s[1:].tolist(), strict=True))

    def _place(self, times_s: Array) -> tuple[NDArray[np.intp], Array, Array]:
        """Beat of each time, seconds since its onset, and its length."""
        beat = (np.searchsorted(self.onsets_s, times_s, side="right") - 1).clip(0, len(self.depth) - 1)
        return beat, times_s - self.onsets_s[beat], np.diff(self.onsets_s)[beat]


def draw_heartbeat(rng: np.random.Generator, duration_s: float, rate_bpm: float, rhythm: str) -> Heartbeat:
    """Draw the beats of a clip at 45 to 160 beats a minute; a longer clip begins with the same ones."""
    length_rng, depth_rng = rng.spawn(2)
    lengths = _lengths(length_rng, int(duration_s * rate_bpm / 60 * 1.5) + 6, 60.0 / rate_bpm, rhythm)
    onsets = np.cumsum(lengths) - lengths[0] - lengths[1] * rng.uniform()
    first = int(np.searchsorted(onsets, 0.0, side="right")) - 1
    last = int(np.searchsorted(onsets, duration_s, side="right"))
    onsets, before = onsets[first:last + 1], lengths[first:last]
    lengths = np.diff(onsets)
    ejection = (EJECTION_S - EJECTION_SLOPE * np.minimum(60.0 / lengths, 150)) * rng.uniform(0.9, 1.12)
    ejection = np.minimum(ejection, 0.52 * lengths)
    atrial_s = min(rng.uniform(0.10, 0.15), 0.18 * 60.0 / rate_bpm)
    share, isovolumic_s = rng.uniform(0.55, 0.85), rng.uniform(0.03, 0.06)
    weak = 1.0 if rhythm == "sinus" else 1.0 - 0.5 * np.exp(-np.maximum(before - 0.35, 0) / 0.25)
    return Heartbeat(onsets, weak * depth_rng.uniform(0.97, 1.03, len(lengths)), np.full(len(lengths), isovolumic_s),
                     ejection, np.minimum(rng.uniform(0.05, 0.1), 0.12 * lengths), rng.uniform(0.2, 0.32), atrial_s,
                     np.full(len(lengths), 1.0 if rhythm == "irregular" else share), _draw_course(rng, 60.0 / rate_bpm),
                     rhythm, rate_bpm)


def _draw_course(rng: np.random.Generator, period_s: float) -> Course:
    return Course(rng.uniform(0.01, 0.06), (rng.uniform(1.25, 1.7), rng.uniform(1.8, 3.4)),
                  (rng.uniform(1.3, 1.8), rng.uniform(2.2, 3.5)), rng.uniform(-0.04, 0.02), rng.uniform(-0.08, 0.12),
                  max(rng.uniform(-0.05, 0.06), 0.0) * min(period_s, 1.0))


def _lengths(rng: np.random.Generator, count: int, period_s: float, rhythm: str) -> Array:
    """Lengths of beats in seconds: sinus varies by 2 %, fibrillation by 20 %; ectopic beats are early, then a pause."""
    spread = 0.20 if rhythm == "irregular" else 0.02
    first, apart = int(rng.integers(2, 5)), int(rng.integers(3, 7))
    short, long = rng.uniform(0.55, 0.7), rng.uniform(1.25, 1.4)
    lengths = period_s * (1 + spread * rng.standard_normal(count).clip(-2.5, 2.5))
    if rhythm == "ectopic":
        early = np.arange(first, count - 1, apart)
        lengths[early] *= short
        lengths[early + 1] *= long
    return np.asarray(np.maximum(lengths, 0.3))


def _rise(x: Array) -> Array:
    """Rise smoothly from 0 at x <= 0 to 1 at x >= 1 (half a cosine)."""
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.clip(x, 0.0, 1.0)))


def _course(x: Array, exponents: tuple[float, float]) -> Array:
    """Rise from 0 at x <= 0 to 1 at x >= 1, fast at first and ever slower: 1 - (1 - x^p)^q."""
    p, q = exponents
    return np.asarray(1 - (1 - np.clip(x, 0.0, 1.0) ** p) ** q)


def _bump(x: Array) -> Array:
    """A whole cosine between 0 and 1, 1 in the middle, 0 outside."""
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.clip(x, 0.0, 1.0)))
