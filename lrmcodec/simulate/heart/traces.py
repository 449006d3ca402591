"""Signals of beating hearts without pictures: what coefficients might tell of a ventricle, with its true events.

heartbeat --walls--> area of the ventricle (truth) and another mixture of its walls --distort--> signal at frame times

A signal read from coefficients is never the area itself: it mixes walls and valves, saturates, leads or lags, drifts
with the breath, and is smoothed and noisy. All of that is drawn at random, more widely than in any one scanner, so that
a network trained on thousands of such signals (`train.phase_net`) relies on what they share: the heart's time course.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from lrmcodec.simulate.heart.heartbeat import Heartbeat, draw_heartbeat
from lrmcodec.simulate.heart.truth import true_events
from lrmcodec.simulate.noise import draw_waves

Array = NDArray[np.float64]

STEP_S = 0.005
"""Spacing of the samples in which signals are made."""

MARGIN_S = 0.2  # made before and after the clip
RATES_BPM = (42.0, 140.0)
RHYTHM_ODDS = {"sinus": 0.84, "irregular": 0.08, "ectopic": 0.08}
TRUE_SHARES = np.array([0.3, 0.3, 0.4])
"""Shares of the two sides and of shortening along the axis in the area."""


@dataclass(frozen=True)
class Trace:
    """A signal (T,) at times (T,) in seconds, large where the ventricle is, and its events in seconds."""

    signal: Array
    times_s: Array
    ed_s: list[float]
    es_s: list[float]


def draw_trace(rng: np.random.Generator) -> Trace:
    """Draw a heart, a clip of 1 to 5 s at 14 to 120 frames a second, and what is seen of it."""
    duration_s = rng.uniform(2.0, 4.5) if rng.uniform() < 0.75 else rng.uniform(1.0, 5.0)
    fps = _frame_rate(rng)
    rate = float(np.exp(rng.uniform(*np.log(RATES_BPM))))
    rhythm = str(rng.choice(list(RHYTHM_ODDS), p=list(RHYTHM_ODDS.values())))
    beat = draw_heartbeat(rng, duration_s + 2 * MARGIN_S, rate, rhythm)
    fine_s = np.arange(0, duration_s + 2 * MARGIN_S, STEP_S)
    walls = _walls(rng, beat, fine_s)
    ed, es = true_events(fine_s, -TRUE_SHARES @ walls, beat, (MARGIN_S, MARGIN_S + duration_s))
    seen = _distort(rng, -rng.dirichlet([2, 2, 2]) @ walls, beat, fine_s)
    times = np.arange(max(int(duration_s * fps), 8)) / fps
    noise = rng.uniform(0, 0.06) * rng.standard_normal(len(times))
    signal = np.interp(times + MARGIN_S, fine_s, seen) + noise
    return Trace(signal, times, [time - MARGIN_S for time in ed], [time - MARGIN_S for time in es])


def _frame_rate(rng: np.random.Generator) -> float:
    ranges = ((50.0, 50.0), (24.0, 34.0), (14.0, 20.0), (34.0, 120.0))
    return float(rng.uniform(*ranges[int(rng.choice(4, p=[0.5, 0.2, 0.1, 0.2]))]))


def _walls(rng: np.random.Generator, beat: Heartbeat, times_s: Array) -> Array:
    """Contraction (3, T) of the two sides and along the axis, with delays and post-systolic motion."""
    after = np.maximum(rng.uniform(-0.2, 0.15, 2), 0) * (rng.uniform() < 0.4)
    return np.stack([beat.contraction(times_s, float(after[0])),
                     beat.contraction(times_s - rng.uniform(0, 0.03), float(after[1])),
                     beat.contraction(times_s - rng.uniform(-0.02, 0.02))])


def _distort(rng: np.random.Generator, clean: Array, beat: Heartbeat, times_s: Array) -> Array:
    """What might be seen of a motion: saturated, led or lagged, with valves, drift, beats of unequal size, smoothed."""
    low, high = np.percentile(clean, [2, 98])
    seen = _saturate(rng, (clean - low) / max(high - low, 1e-6))
    flow, shut = beat.filling(times_s)
    seen = seen + rng.normal(0, 0.06) * gaussian_filter1d(flow, 2) + rng.normal(0, 0.05) * gaussian_filter1d(shut, 2)
    seen = seen + _bumps(rng, beat, times_s)
    seen = seen + rng.normal(0, 0.012) * np.gradient(seen, times_s)
    seen = seen * (1 + rng.uniform(0, 0.12) * draw_waves(rng, 0.15, 0.5).at(times_s))
    breath = rng.uniform(0, 0.35) * rng.uniform()
    seen = seen + breath * np.cos(2 * np.pi * rng.uniform(0.15, 0.4) * times_s + rng.uniform(0, 2 * np.pi))
    seen = seen + rng.uniform(-0.15, 0.15) * (times_s / times_s[-1] - 0.5)
    seen = seen + rng.uniform(0, 0.1) * rng.uniform() * draw_waves(rng, 0.5, 4.0).at(times_s)
    return np.asarray(gaussian_filter1d(seen, max(rng.uniform(0, 0.03), 1e-3) / STEP_S))


def _saturate(rng: np.random.Generator, share: Array) -> Array:
    """Bend the scale from empty (0) to full (1) towards either end."""
    power = float(np.exp(rng.uniform(-0.6, 0.6)))
    bend: Callable[[Array], Array] = lambda x: np.asarray(np.maximum(x, 0) ** power)  # noqa: E731
    return bend(share) if rng.uniform() < 0.5 else 1 - bend(1 - share)


def _bumps(rng: np.random.Generator, beat: Heartbeat, times_s: Array) -> Array:
    """Two bumps at a fixed time after each onset: parts that move but are no wall."""
    total = np.zeros_like(times_s)
    for _ in range(2):
        after_s, width_s, height = rng.uniform(0, 0.8), rng.uniform(0.02, 0.06), rng.normal(0, 0.07)
        for onset in beat.onsets_s:
            total += height * np.exp(-0.5 * ((times_s - onset - after_s) / width_s) ** 2)
    return total
