"""Two clips of one heart side by side: frames that show the same moment of the cardiac cycle.

ED, ES and next ED of whole beats --piecewise linear--> place in the cycle --same place--> frame of the other clip

Systole and diastole are stretched each by itself, so that ED meets ED and ES meets ES whatever the heart rates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lrmcodec.cardiac.readout import Phase
from lrmcodec.cardiac.signal import Array
from lrmcodec.timeline import nearest_frames

ES_PLACE = 0.4
"""Place of ES between one ED (0) and the next (1); any value between them gives the same pairs."""


@dataclass(frozen=True)
class WholeBeat:
    """Seconds of an ED, of the ES after it and of the next ED."""

    ed_s: float
    es_s: float
    next_s: float


def whole_beats(phase: Phase) -> list[WholeBeat]:
    """Beats of which both EDs and the ES are seen."""
    beats = []
    for start, stop in zip(phase.ed_times_s, phase.ed_times_s[1:], strict=False):
        between = [time for time in phase.es_times_s if start < time < stop]
        beats += [WholeBeat(start, time, stop) for time in between[:1]]
    return beats


def same_moments(first: Phase, first_s: Array, second: Phase, second_s: Array) -> list[tuple[int, int]]:
    """Pairs of frames of two clips at times (T,) in seconds: every frame of the first's whole beats, and its partner.

    The n-th whole beat of the first goes with the n-th of the second, from the start again when they run out. Empty
    when either has no whole beat.
    """
    mine, others = whole_beats(first), whole_beats(second)
    pairs: list[tuple[int, int]] = []
    for index, beat in enumerate(mine if others else []):
        frames = np.flatnonzero((first_s >= beat.ed_s) & (first_s < beat.next_s))
        partners = nearest_frames(second_s, _times_at(others[index % len(others)], _places(beat, first_s[frames])))
        pairs += zip(frames.tolist(), partners.tolist(), strict=True)
    return pairs


def _places(beat: WholeBeat, times_s: Array) -> Array:
    return np.asarray(np.interp(times_s, [beat.ed_s, beat.es_s, beat.next_s], [0.0, ES_PLACE, 1.0]))


def _times_at(beat: WholeBeat, places: Array) -> Array:
    return np.asarray(np.interp(places, [0.0, ES_PLACE, 1.0], [beat.ed_s, beat.es_s, beat.next_s]))
