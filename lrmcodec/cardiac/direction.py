"""The direction along which the coefficients follow the left ventricle, settled from the pixels while encoding.

frames --network--> cavity's area --regression--> weights of the first coefficients

`cavity` finds the ventricle, so neither its place nor the sign of anything is assumed, and no label is used. `readout`
reads what this writes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.cavity import cavity_shares
from lrmcodec.cardiac.readout import (
    GRID_HZ,
    SMOOTH_FRAMES,
    SMOOTH_S,
    Array,
    Direction,
    clean,
    even_times,
    high_pass,
    periodicity,
    smooth,
    standardize,
)

LEAST_FRAMES = 8
SURE_CELLS = 20  # cells, those most surely within the cavity, by which it is judged whether there is one
LEAST_SEEN = 0.5  # their mean share, below which no ventricle is seen
FULLY_SEEN = 0.8
LEAST_QUALITY = 0.1  # periodicity; low, because rhythms may be irregular
RIDGE = 1.0
WEIGHTS = 4  # as many as are stored; more follow the simulated ventricles no better


@dataclass(frozen=True)
class Cavity:
    """What the pixels say about the ventricle: `signal` (T,), large where it is large, and the confidence in it."""

    signal: Array
    confidence: float


def find_cavity(frames: NDArray[np.uint8], times_s: Array) -> Cavity | None:
    """Measure the cavity in frames (T, H, W); None when there is none that beats."""
    if len(frames) < LEAST_FRAMES:
        return None
    shares = cavity_shares(frames)
    seen = float(np.sort(shares.mean(0), axis=None)[-SURE_CELLS:].mean())
    if seen < LEAST_SEEN:
        return None
    area = shares.sum((1, 2)).astype(np.float64)
    even_s = even_times(times_s)
    even = clean(area, times_s, even_s)
    quality, _ = periodicity(even, even_s)
    if quality < LEAST_QUALITY:
        return None
    confidence = min((seen - LEAST_SEEN) / (FULLY_SEEN - LEAST_SEEN), 1.0)
    return Cavity(np.interp(times_s, even_s, even), confidence)


def find_direction(cavity: Cavity, coeffs: Array, times_s: Array, count: int) -> Direction | None:
    """Whole weights of the first `count` coefficients (T, r), whose sum follows the cavity best (ridge regression)."""
    scaled = standardize(coeffs[:, :count])
    even_s = even_times(times_s)
    half_width_s = max(SMOOTH_S, SMOOTH_FRAMES * float(np.median(np.diff(times_s))))
    paths = np.stack([high_pass(path, GRID_HZ) for path in smooth(scaled, times_s, even_s, half_width_s).T], 1)
    target = np.interp(even_s, times_s, cavity.signal)
    normal = paths.T @ paths + RIDGE * len(paths) * np.eye(paths.shape[1])
    weights = np.linalg.solve(normal, paths.T @ (target - target.mean()))
    largest = float(np.abs(weights).max())
    if not largest > 0:
        return None
    fitted = paths @ weights
    match = abs(float(np.corrcoef(fitted, target)[0, 1])) if fitted.std() > 0 else 0.0
    return Direction(round(255 * cavity.confidence * match ** 2), np.rint(weights * (127 / largest)).astype(np.int8))


def weight_count(rank: int) -> int:
    """How many weights a segment stores; none at rank 0."""
    return min(rank, WEIGHTS)
