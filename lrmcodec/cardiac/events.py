"""End diastole and end systole: the series of moments, taking turns, that a network finds most probable in a signal.

probabilities a sample --> places where they gather --> best series of ED, ES, ED ... --> time and confidence of each

That a clip begins or ends is no event: the network was trained on events whose turn is seen within the clip.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lrmcodec.cardiac.phase_net import Posterior, both_ways
from lrmcodec.cardiac.signal import GRID_HZ, Array, Clean

NEAR_S = 0.05
"""An event's confidence is the probability that a true one lies no farther away than this."""

AROUND_S = 0.1
"""Within this distance probability counts towards one and the same event."""

LEAST_MASS = 0.4
"""Probability within `AROUND_S` from which a place is worth taking into the series."""

LEAST_GAP_S = 0.09
"""Least time from one event to the next."""

SURENESS = 2.0
"""Log odds of an event's confidence grow by this factor: those on files are right more often than the network says."""

BLUR = np.array([0.05, 0.25, 0.4, 0.25, 0.05])
"""Takes ripples off the probabilities before their tops are looked for."""


@dataclass(frozen=True)
class Event:
    """End diastole or end systole at `time_s` in seconds.

    `confidence` is the probability that a true one lies within `NEAR_S`, `mass` that one lies within `AROUND_S`.
    """

    is_ed: bool
    time_s: float
    confidence: float
    mass: float


def find_events(found: Posterior, even_s: Array) -> list[Event]:
    """Events in order of time, ED and ES taking turns, of probabilities on the grid (n,)."""
    places = _places(found.ed, even_s, True) + _places(found.es, even_s, False)
    return _best_series(sorted(places, key=lambda event: event.time_s))


def es_shifted(events: list[Event], shift_s: float, even_s: Array) -> list[Event]:
    """Events in order of time on the grid (n,), end systoles `shift_s` later, at most half way to their neighbors."""
    times = np.array([event.time_s for event in events])
    before = np.concatenate([even_s[:1], (times[1:] + times[:-1]) / 2])
    after = np.concatenate([(times[1:] + times[:-1]) / 2, even_s[-1:]])
    return [event if event.is_ed else replace(event, time_s=float(np.clip(event.time_s + shift_s, first, last)))
            for event, first, last in zip(events, before, after, strict=True)] if events else []


def likeness(clean: Clean) -> float:
    """How much a signal runs as a ventricle's size does: probability of its sign times clearness of its events."""
    upright, _, odds = both_ways(clean.even, clean.period_s)
    masses = [event.mass for event in find_events(upright, clean.even_s)]
    return float(np.mean(masses) / (1 + np.exp(-odds))) if masses else 0.0


def _places(chances: Array, even_s: Array, is_ed: bool) -> list[Event]:
    """Tops of the probabilities of one kind of event."""
    blurred = np.convolve(chances, BLUR, "same")
    left, right = np.concatenate([[-1.0], blurred[:-1]]), np.concatenate([blurred[1:], [-1.0]])
    around, near = round(AROUND_S * GRID_HZ), NEAR_S * GRID_HZ
    sums = np.concatenate([[0.0], np.cumsum(chances)])
    events = []
    for top in np.flatnonzero((blurred >= left) & (blurred > right)):
        first, stop = max(int(top) - around, 0), min(int(top) + around + 1, len(chances))
        mass = float(sums[stop] - sums[first])
        if mass < 0.5 * LEAST_MASS:
            continue
        middle = float(np.interp(sums[first] + mass / 2, sums[first:stop + 1], np.arange(first, stop + 1) - 0.5))
        close = _between(sums, middle - near, middle + near)
        time_s = float(np.clip(even_s[0] + middle / GRID_HZ, even_s[0], even_s[-1]))
        events.append(Event(is_ed, time_s, _surer(min(close, 1.0)), min(mass, 1.0)))
    return events


def _surer(chance: float) -> float:
    right, wrong = chance ** SURENESS, (1 - chance) ** SURENESS
    return float(right / (right + wrong))


def _between(sums: Array, first: float, stop: float) -> float:
    """Probability between two places in samples, each sample spread over half a sample to either side."""
    low, high = np.interp([first + 0.5, stop + 0.5], np.arange(len(sums)), sums)
    return float(high - low)


def _best_series(events: list[Event]) -> list[Event]:
    """The series of events that take turns with the greatest sum of what their masses exceed `LEAST_MASS` by."""
    scores: list[float] = []
    before: list[int] = []
    best = {True: -1, False: -1}  # best series that ends in an ED, in an ES, long enough ago
    ready = 0
    for event in events:
        while events[ready].time_s < event.time_s - LEAST_GAP_S:
            kind = events[ready].is_ed
            best[kind] = ready if best[kind] < 0 or scores[ready] > scores[best[kind]] else best[kind]
            ready += 1
        previous = best[not event.is_ed]
        gain = scores[previous] if previous >= 0 and scores[previous] > 0 else 0.0
        scores.append(event.mass - LEAST_MASS + gain)
        before.append(previous if gain > 0 else -1)
    if not scores or max(scores) <= 0:
        return []
    series, at = [], int(np.argmax(scores))
    while at >= 0:
        series.append(events[at])
        at = before[at]
    return series[::-1]
