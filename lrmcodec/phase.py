"""The direction along which the coefficients follow the left ventricle, settled from the pixels while encoding.

frames --middle of the sector, darkness--> cavity signal --regression--> weights of the first coefficients

Blood is dark: where the ventricle lies, in the upper middle of an apical view, the picture is darkest at end
diastole. That gives the readout its sign and its direction without any label. `readout` reads what this writes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrmcodec.readout import (
    GRID_HZ,
    MAX_WEIGHTS,
    SMOOTH_FRAMES,
    SMOOTH_S,
    Array,
    Direction,
    clean,
    even_times,
    high_pass,
    is_upside_down,
    least_quality,
    periodicity,
    smooth,
    standardize,
)

CELLS = 28  # cells along the longer side that frames are averaged to
BLOCK_FRAMES = 64
MIDDLE = (0.42, 0.5)  # where the ventricle is expected, in heights and widths of the frame
SPREAD = 0.2  # and how uncertain that is
NO_ECHO = 12.0  # gray levels; cells that never exceed it lie outside the sector
RIDGE = 1.0
CAVITY_LIMIT = 0.3  # least periodicity of the cavity signal
GLOBAL_SHARE = 0.8  # above, cells brighten all together, as when a probe moves or a lung slides by
UNUSUAL = 0.5  # factor on the confidence where systole comes out longer than diastole
SMALL_BYTES, SMALL_WEIGHTS = 600, 4


@dataclass(frozen=True)
class Cavity:
    """What the pixels say about the ventricle: `signal` (T,), large where it is large, and polarity's confidence."""

    signal: Array
    confidence: float


def find_cavity(frames: NDArray[np.uint8], times_s: Array) -> Cavity | None:
    """Measure the cavity in frames (T, H, W); None when nothing beats in them."""
    if len(frames) < 8:
        return None
    darkness, weights = _darkness(frames)
    raw = darkness @ weights
    even_s = even_times(times_s)
    even = clean(raw, times_s, even_s)
    quality, period_s = periodicity(even, even_s)
    signal = np.interp(times_s, even_s, even)
    if quality < least_quality(CAVITY_LIMIT, period_s) or _agreement(darkness, weights, signal) > GLOBAL_SHARE:
        return None
    return Cavity(signal, quality * (UNUSUAL if is_upside_down(even, even_s, period_s) else 1.0))


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
    return Direction(round(255 * cavity.confidence * match), np.rint(weights * (127 / largest)).astype(np.int8))


def weight_count(rank: int, payload_bytes: int) -> int:
    """How many weights a segment stores: few where every byte counts, none at rank 0."""
    return min(rank, SMALL_WEIGHTS if payload_bytes < SMALL_BYTES else MAX_WEIGHTS)


def _darkness(frames: NDArray[np.uint8]) -> tuple[Array, Array]:
    """Negative gray levels (T, N) of cells, and how much each cell (N,) counts as the ventricle's place."""
    count, height, width = frames.shape
    side = max(1, max(height, width) // CELLS)
    rows, columns = height // side, width // side
    cells = np.empty((count, rows, columns))
    for start in range(0, count, BLOCK_FRAMES):
        part = frames[start:start + BLOCK_FRAMES, :rows * side, :columns * side]
        cells[start:start + BLOCK_FRAMES] = part.reshape(-1, rows, side, columns, side).mean((2, 4))
    y, x = np.mgrid[:rows, :columns]
    away = ((y + 0.5) / rows - MIDDLE[0]) ** 2 + ((x + 0.5) / columns - MIDDLE[1]) ** 2
    weights = np.exp(-0.5 * away / SPREAD ** 2) * (cells.max(0) > NO_ECHO)
    return -cells.reshape(count, -1), weights.reshape(-1)


def _agreement(darkness: Array, weights: Array, signal: Array) -> float:
    """Share, 0 to 1, of the cells' change along the cycle that goes the way of their sum."""
    slopes = (darkness - darkness.mean(0)).T @ (signal - signal.mean()) * weights
    total = float(np.abs(slopes).sum())
    return float(slopes.sum()) / total if total > 0 else 1.0
