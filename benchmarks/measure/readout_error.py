"""Errors of the cardiac phase that the coefficients of a file tell, against labels.

All beats count, at the clip's ends too: events are matched one to one within half a beat, and what is not matched is a
miss or a false alarm.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrmcodec.benchmarks.measure.labels import Labels
from lrmcodec.benchmarks.measure.rows import Row
from lrmcodec.cardiac.readout import Phase, phase_of
from lrmcodec.reader import LrmFile

Frames = Sequence[int]
FAR = 1e6  # frames: more than any two events are apart


def readout_cells(file: LrmFile, found: Phase, labels: Labels | None) -> dict[str, Any]:
    """Cells of a row: what was read, and against labels its errors."""
    cells: dict[str, Any] = {"verdict": found.quality_word, "readout_quality": found.quality,
                             "polarity_confidence": found.polarity_confidence,
                             "ed_found": tuple(found.ed_frames), "es_found": tuple(found.es_frames)}
    if labels is None:
        return cells
    cells |= {"ed_labels": labels.ed_frames, "es_labels": labels.es_frames, "rhythm": labels.rhythm,
              "sign_right": is_sign_right(found.signal, labels)}
    if cells["sign_right"] is False:
        turned = phase_of(-found.signal, file.times_s, file.fps, confidence=1.0)
        cells |= {"ed_turned": tuple(turned.ed_frames), "es_turned": tuple(turned.es_frames)}
    return cells | readout_errors(found, labels)


def is_sign_right(signal: NDArray[np.float64], labels: Labels) -> bool | None:
    """Whether a signal (T,) rises where the ventricle grows, or else is higher at ED than at ES; None if unknown."""
    if len(labels.area) == len(signal):
        area = np.asarray(labels.area)
        return bool((signal - signal.mean()) @ (area - area.mean()) >= 0)
    ed, es = ([frame for frame in frames if frame < len(signal)] for frames in (labels.ed_frames, labels.es_frames))
    return bool(signal[ed].mean() >= signal[es].mean()) if ed and es else None


def readout_errors(found: Phase, labels: Labels) -> dict[str, Any]:
    """Errors, misses and false alarms of ED and ES, error of the heart rate."""
    rate = labels.rate_bpm(found.fps)
    heart_rate = {} if rate is None or found.heart_rate_bpm is None else {
        "heart_rate_error_bpm": abs(found.heart_rate_bpm - rate)}
    return _both_errors(labels, found.ed_frames, found.es_frames, found.fps) | heart_rate


def with_right_sign(row: Row) -> Row:
    """The row as it would be had the sign been right: errors of the events that were read the other way round."""
    if row.sign_right is not False:
        return row
    labels = Labels(row.ed_labels, row.es_labels, every_beat=row.ed_false_alarms is not None)
    blank = {f"{event}_{cell}": None for event in ("ed", "es") for cell in ("error_frames", "error_ms", "bias_frames")}
    return replace(row, ed_found=row.ed_turned, es_found=row.es_turned,
                   **{**blank, **_both_errors(labels, row.ed_turned, row.es_turned, row.fps)})


def match(true: Frames | NDArray[np.intp], found: Frames, within: float) -> list[float]:
    """Errors (found - true) of the one-to-one assignment with most pairs at most `within` apart, then least error."""
    from scipy.optimize import linear_sum_assignment

    if not len(true) or not len(found):
        return []
    errors = np.subtract.outer(np.asarray(found, float), np.asarray(true, float))
    rows, columns = linear_sum_assignment(np.where(np.abs(errors) <= within, np.abs(errors), FAR))
    picked = errors[rows, columns]
    return [float(error) for error in picked if abs(error) <= within]


def _both_errors(labels: Labels, ed_found: Frames, es_found: Frames, fps: float) -> dict[str, Any]:
    within = _half_beat(labels, fps)
    return (_event_errors("ed", labels.ed_frames, ed_found, within, fps, labels.every_beat)
            | _event_errors("es", labels.es_frames, es_found, within, fps, labels.every_beat))


def _event_errors(name: str, true: Frames, found: Frames, within: float, fps: float,
                  every_beat: bool) -> dict[str, Any]:
    errors = match(true, found, within)
    cells: dict[str, Any] = {f"{name}_events": len(true), f"{name}_misses": len(true) - len(errors)}
    if every_beat:
        cells[f"{name}_false_alarms"] = len(found) - len(errors)
    if errors:
        mean = float(np.abs(errors).mean())
        cells |= {f"{name}_error_frames": mean, f"{name}_error_ms": 1000 * mean / fps,
                  f"{name}_bias_frames": float(np.mean(errors))}
    return cells


def _half_beat(labels: Labels, fps: float) -> float:
    """Frames within which a found event may belong to a labelled one; half a second where no beat is known."""
    gaps = [*np.diff(labels.ed_frames), *np.diff(labels.es_frames)]
    if labels.every_beat and gaps:
        return float(np.median(gaps)) / 2
    rate = labels.heart_rate_bpm
    return fps / 2 if rate is None else 30 * fps / rate
