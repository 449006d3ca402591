"""Errors of the cardiac phase that the coefficients of a file tell, against labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.cardiac.readout import Phase


def match(true: Sequence[int] | NDArray[np.intp], found: Sequence[int], within: float) -> list[float]:
    """Errors (found - true) of the one-to-one assignment with most pairs at most `within` apart, then least error."""
    from scipy.optimize import linear_sum_assignment

    if not len(true) or not len(found):
        return []
    errors = np.subtract.outer(np.asarray(found, float), np.asarray(true, float))
    far = 1e6
    rows, columns = linear_sum_assignment(np.where(np.abs(errors) <= within, np.abs(errors), far))
    picked = errors[rows, columns]
    return [float(error) for error in picked if abs(error) <= within]


def readout_errors(found: Phase, labels: Labels) -> dict[str, Any]:
    """Cells of a row: errors, misses and false alarms of ED and ES, error of the heart rate."""
    within = _half_beat(labels, found.fps)
    rate = labels.rate_bpm(found.fps)
    heart_rate = {} if rate is None or found.heart_rate_bpm is None else {
        "heart_rate_error_bpm": abs(found.heart_rate_bpm - rate)}
    return (_event_errors("ed", labels.ed_frames, found.ed_frames, within, found.fps, labels.every_beat)
            | _event_errors("es", labels.es_frames, found.es_frames, within, found.fps, labels.every_beat)
            | heart_rate)


def _event_errors(name: str, true: Sequence[int], found: Sequence[int], within: float, fps: float,
                  every_beat: bool) -> dict[str, Any]:
    errors = match(true, found, within)
    cells: dict[str, Any] = {f"{name}_events": len(true), f"{name}_misses": len(true) - len(errors)}
    if every_beat:
        cells[f"{name}_false_alarms"] = len(found) - len(errors)
    if errors:
        mean = float(np.abs(errors).mean())
        cells |= {f"{name}_error_frames": mean, f"{name}_error_ms": 1000 * mean / fps}
    return cells


def _half_beat(labels: Labels, fps: float) -> float:
    """Frames within which a found event may belong to a labelled one; half a second where no beat is known."""
    gaps = [*np.diff(labels.ed_frames), *np.diff(labels.es_frames)]
    if labels.every_beat and gaps:
        return float(np.median(gaps)) / 2
    rate = labels.heart_rate_bpm
    return fps / 2 if rate is None else 30 * fps / rate
