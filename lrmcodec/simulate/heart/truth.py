"""End diastole and end systole of a ventricle whose area is known exactly."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec.simulate.heart.heartbeat import Heartbeat

Array = NDArray[np.float64]

TURN = 0.05
"""Share of the area's range by which it must turn within the clip for an event to count."""


def true_events(times_s: Array, area: Array, beat: Heartbeat, clip_s: tuple[float, float]
                ) -> tuple[list[float], list[float]]:
    """Times of largest area around each onset and of smallest within each beat, if they turn within the clip."""
    inside = (times_s >= clip_s[0]) & (times_s <= clip_s[1])
    times, seen = times_s[inside], area[inside]
    ed, es = [], []
    for start, end, following in beat.beats():
        ed += turning(times, -seen, start - 0.12, min(start + 0.06, end))
        es += turning(times, seen, start + 0.1, 0.5 * (end + following) + 0.05)
    return [float(times[index]) for index in ed], [float(times[index]) for index in es]


def turning(times_s: Array, values: Array, start_s: float, stop_s: float) -> list[int]:
    """Index of the smallest value between two times, if the values turn there.

    They turn where they come up again on either side by `TURN` of their range: as a reader of the clip would see it.
    """
    between = np.flatnonzero((times_s >= start_s) & (times_s <= stop_s))
    if len(between) == 0 or start_s > times_s[-1] or stop_s < times_s[0]:
        return []
    best = int(between[np.argmin(values[between])])
    around = float(min(values[:best + 1].max(), values[best:].max()) - values[best])
    return [best] if around > TURN * float(np.ptp(values)) else []
