"""What the pixels say about the ventricle around its events, as a mean over beats, in which single frames' noise fades.

Where the ventricle is smallest, a signal read from coefficients does not tell: near the end of ejection it hardly moves
for 100 ms, and valves and walls mix into it. The cavity's own area, averaged over beats, does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lrmcodec.cardiac.signal import Array, half_width_s, smooth

REACH_S = 0.1
"""So far to either side of an event the course of an area is looked at."""

STEP_S = 0.005
USUAL_SHIFT_S = 0.03
"""Root mean square of the true shifts of simulated hearts (seeds from 100000)."""

SAME_VALLEY = 0.1
"""Share of the area's range by which it may be larger at the events than where it is smallest; 0.06 in 40 hearts."""

ONE_BEAT_S = 0.05
"""Uncertainty where there is but one beat."""

LAGS_S = np.arange(-round(REACH_S / STEP_S), round(REACH_S / STEP_S) + 1) * STEP_S


def shift_to_smallest(area: Array, times_s: Array, es_s: Sequence[float]) -> float:
    """Seconds from end systoles (n,) to where an area (T,) is smallest, as far as the beats agree on it.

    The place in the mean of all beats, drawn towards 0 by how uncertain it is (empirical Bayes: by the scatter of
    single beats' places, against `USUAL_SHIFT_S`). 0 where the surroundings of no event lie within the clip, or where
    the area at the events is so much larger that another valley was found.
    """
    curves = courses(area, times_s, es_s)
    if not len(curves):
        return 0.0
    mean = curves.mean(0)
    if mean[len(mean) // 2] - mean.min() > SAME_VALLEY * np.ptp(np.percentile(area, [3, 97])):
        return 0.0
    places = LAGS_S[np.argmin(curves, axis=1)]
    scatter = float(np.var(places, ddof=1)) if len(places) > 1 else ONE_BEAT_S ** 2
    noise = scatter / len(places) + STEP_S ** 2
    place = float(LAGS_S[np.argmin(mean)])
    return place * USUAL_SHIFT_S ** 2 / (USUAL_SHIFT_S ** 2 + noise)


def ejected_share(area: Array, length: Array, times_s: Array, ed_s: Sequence[float],
                  es_s: Sequence[float]) -> float | None:
    """Share of its volume that a ventricle ejects, 0 to 1, by areas (T,) and lengths (T,); None where events lack.

    By the area-length method volumes go with area squared over length (Lang et al., J Am Soc Echocardiogr 28, 2015,
    1-39, 10.1016/j.echo.2014.10.003).
    """
    curves = [courses(values, times_s, events) for events in (ed_s, es_s) for values in (area, length)]
    if not all(len(curve) for curve in curves):
        return None
    ed_area, ed_length, es_area, es_length = (curve.mean(0) for curve in curves)
    full, empty = int(np.argmax(ed_area)), int(np.argmin(es_area))
    left = (es_area[empty] / ed_area[full]) ** 2 * ed_length[full] / es_length[empty]
    return float(np.clip(1 - left, 0, 1))


def courses(values: Array, times_s: Array, events_s: Sequence[float]) -> Array:
    """Courses (m, lags) of values (T,) at `LAGS_S` around the events (n,) whose surroundings are in the clip."""
    inside = [time for time in events_s if times_s[0] <= time - REACH_S and time + REACH_S <= times_s[-1]]
    wanted: Array = np.add.outer(np.asarray(inside, float), LAGS_S)
    if not inside:
        return wanted
    return np.asarray(smooth(values, times_s, wanted.ravel(), half_width_s(times_s)).reshape(wanted.shape))
