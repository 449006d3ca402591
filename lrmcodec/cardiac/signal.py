"""A signal over time made ready to be read: an even grid, smoothing, what is slower than a heart taken out, rhythm.

Everything is in seconds, so any frame rate and uneven times will do. numpy alone: SciPy, which has filters and
splines, takes a third of the time that reading the phase of a file may take to be imported.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GRID_HZ = 100.0
SMOOTH_S = 0.06  # half-width of the quadratic fit, at least SMOOTH_FRAMES frames
SMOOTH_FRAMES = 2.5
HIGH_PASS_HZ = 0.5
SLOW_SHARE = 0.1  # of the power below HIGH_PASS_HZ, above which the slow part is taken out
PERIODS_S = (0.27, 1.9)  # 220 to 32 beats a minute
SMALLEST_CLIP_S = 0.4
MAX_GRID = 4_000_000
MAX_WINDOW = 512  # frames that one local fit looks at
BLOCK_VALUES = 1 << 17  # frames times points smoothed at a time


def standardize(coeffs: Array) -> Array:
    """Columns of (T, r) with mean 0 and variance 1; constant ones are 0."""
    centered = coeffs - coeffs.mean(0)
    scale = centered.std(0)
    return np.asarray(centered / np.where(scale > 1e-12, scale, np.inf))


def even_times(times_s: Array) -> Array:
    """Even grid over the clip, at 100 samples a second or a little less (over 11 hours, much less)."""
    count = min(max(int(np.floor((times_s[-1] - times_s[0]) * GRID_HZ)) + 1, 2), MAX_GRID)
    return np.linspace(times_s[0], max(times_s[-1], times_s[0] + 1 / GRID_HZ), count)


def clean(signal: Array, times_s: Array, even_s: Array) -> Array:
    """Smooth onto an even grid, take out what is slower than a heart, scale to median 0 and range 1."""
    gap_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    even = smooth(signal, times_s, even_s, max(SMOOTH_S, SMOOTH_FRAMES * gap_s))
    even = high_pass(even, 1 / (even_s[1] - even_s[0]))
    low, middle, high = np.percentile(even, [3, 50, 97])
    return np.asarray((even - middle) / max(high - low, 1e-12))


def smooth(signal: Array, times_s: Array, wanted_s: Array, half_width_s: float) -> Array:
    """Local quadratic fit with tricube weights (Savitzky and Golay 1964; Cleveland 1979); times need not be even.

    `signal` is (T,) or has columns (T, k).
    """
    columns = signal.reshape(len(signal), -1)
    first = np.searchsorted(times_s, wanted_s - half_width_s)
    stop = np.searchsorted(times_s, wanted_s + half_width_s, side="right")
    width = min(max(int((stop - first).max()), 5), len(times_s), MAX_WINDOW)
    block = max(1, BLOCK_VALUES // width)
    first = np.clip(first - (width - (stop - first)) // 2, 0, len(times_s) - width)
    parts = [_fit_locally(columns, times_s, wanted_s[a:a + block], first[a:a + block], width, half_width_s)
             for a in range(0, len(wanted_s), block)]
    return np.concatenate(parts).reshape(len(wanted_s), *signal.shape[1:])


def _fit_locally(columns: Array, times_s: Array, wanted_s: Array, first: NDArray[np.intp], width: int,
                 half_width_s: float) -> Array:
    """Values (n, k) of the local fits at `wanted_s`, each over `width` samples from `first` on."""
    picked = first[:, None] + np.arange(width)  # (n, width)
    x = (times_s[picked] - wanted_s[:, None]) / half_width_s
    weight = np.maximum((1 - np.minimum(np.abs(x), 1) ** 3) ** 3, 1e-6)
    powers = np.stack([np.ones_like(x), x, x * x], axis=1)  # (n, 3, width)
    normal = (powers * weight[:, None]) @ powers.transpose(0, 2, 1) + np.diag([0, 1e-9, 1e-6])
    right = (powers * weight[:, None]) @ columns[picked]  # (n, 3, k)
    return np.asarray(np.linalg.solve(normal, right)[:, 0])


def high_pass(even: Array, rate_hz: float) -> Array:
    """Second-order Butterworth without phase at 0.5 Hz over the mirrored signal, if much of the power is slower."""
    mirrored = np.concatenate([even, even[::-1]]) - even.mean()
    spectrum = np.fft.rfft(mirrored)
    hertz = np.fft.rfftfreq(len(mirrored), 1 / rate_hz)
    power = np.abs(spectrum) ** 2
    if power[hertz < HIGH_PASS_HZ].sum() <= SLOW_SHARE * power.sum():
        return np.asarray(even - even.mean())
    gain = hertz ** 4 / (hertz ** 4 + HIGH_PASS_HZ ** 4)
    return np.asarray(np.fft.irfft(spectrum * gain, len(mirrored))[:len(even)])


def periodicity(even: Array, even_s: Array) -> tuple[float, float]:
    """Height of the autocorrelation's first high peak at heart rates, 0 to 1, and its lag in seconds; 0, 0 if none."""
    step_s = even_s[1] - even_s[0]
    lags = np.arange(int(PERIODS_S[0] / step_s), int(min(PERIODS_S[1], 0.8 * len(even) * step_s) / step_s) + 1)
    if len(lags) < 3 or len(even) * step_s < SMALLEST_CLIP_S:
        return 0.0, 0.0
    heights = np.array([_correlation(even[:-lag], even[lag:]) for lag in lags])
    inner = 1 + np.flatnonzero((heights[1:-1] >= heights[:-2]) & (heights[1:-1] > heights[2:]))
    if not len(inner) or heights[inner].max() <= 0:
        return 0.0, 0.0
    best = next(index for index in inner if heights[index] >= 0.85 * heights[inner].max())
    return float(np.clip(heights[best], 0, 1)), float(lags[best] * step_s)


def _correlation(a: Array, b: Array) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else 0.0
