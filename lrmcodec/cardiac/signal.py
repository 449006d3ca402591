"""A signal over time made ready to be read: an even grid, smoothing, what is slower than a heart taken out, rhythm.

Everything is in seconds, so any frame rate and uneven times will do. numpy alone: SciPy, which has filters and
splines, takes a third of the time that reading the phase of a file may take to be imported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

GRID_HZ = 50.0
SMOOTH_S = 0.05  # half-width of the quadratic fit, at least SMOOTH_FRAMES frames
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


def median(values: Array | Sequence[float]) -> float:
    """Middle of values; `numpy.median` imports masked arrays, which takes a tenth of the time of a readout."""
    return float(np.percentile(values, 50))


@dataclass(frozen=True)
class Clean:
    """A signal made ready: `even` (n,) of median 0 and range 1 at `even_s` (n,), how periodic it is, and its period."""

    even: Array
    even_s: Array
    quality: float
    period_s: float

    @property
    def length_s(self) -> float:
        """Seconds from the first sample to the last."""
        return float(self.even_s[-1] - self.even_s[0])


def prepare(signal: Array, times_s: Array) -> Clean:
    """Bring a signal (T,) at increasing times (T,) in seconds to the even grid, clean it, and find its rhythm."""
    even_s = even_times(times_s)
    even = clean(signal, times_s, even_s)
    quality, period_s = periodicity(even, even_s)
    return Clean(even, even_s, quality, period_s)


def even_times(times_s: Array) -> Array:
    """Even grid (n,) in seconds over frames at (T,): 50 samples a second, the last at or just beyond the last frame."""
    count = min(max(int(np.ceil((times_s[-1] - times_s[0]) * GRID_HZ - 1e-6)) + 1, 2), MAX_GRID)
    return np.asarray(times_s[0] + np.arange(count) / GRID_HZ)


def clean(signal: Array, times_s: Array, even_s: Array) -> Array:
    """Smooth (T,) onto an even grid (n,), take out what is slower than a heart, scale to median 0 and range 1."""
    even = high_pass(smooth(signal, times_s, even_s, half_width_s(times_s)), GRID_HZ)
    low, middle, high = np.percentile(even, [3, 50, 97])
    return np.asarray((even - middle) / max(high - low, 1e-12))


def half_width_s(times_s: Array) -> float:
    """Half-width in seconds of the local fit that suits frames at `times_s` (T,)."""
    gap_s = median(np.diff(times_s)) if len(times_s) > 1 else 1.0
    return max(SMOOTH_S, SMOOTH_FRAMES * gap_s)


def smooth(signal: Array, times_s: Array, wanted_s: Array, reach_s: float) -> Array:
    """Local quadratic fit with tricube weights (Savitzky and Golay 1964; Cleveland 1979); times need not be even.

    `signal` is (T,) or has columns (T, k).
    """
    columns = signal.reshape(len(signal), -1)
    first = np.searchsorted(times_s, wanted_s - reach_s)
    stop = np.searchsorted(times_s, wanted_s + reach_s, side="right")
    width = min(max(int((stop - first).max()), 5), len(times_s), MAX_WINDOW)
    block = max(1, BLOCK_VALUES // width)
    first = np.clip(first - (width - (stop - first)) // 2, 0, len(times_s) - width)
    parts = [_fit_locally(columns, times_s, wanted_s[a:a + block], first[a:a + block], width, reach_s)
             for a in range(0, len(wanted_s), block)]
    return np.concatenate(parts).reshape(len(wanted_s), *signal.shape[1:])


def _fit_locally(columns: Array, times_s: Array, wanted_s: Array, first: NDArray[np.intp], width: int,
                 reach_s: float) -> Array:
    """Values (n, k) of the local fits at `wanted_s`, each over `width` samples from `first` on."""
    picked = first[:, None] + np.arange(width)  # (n, width)
    x = (times_s[picked] - wanted_s[:, None]) / reach_s
    weight = np.maximum((1 - np.minimum(np.abs(x), 1) ** 3) ** 3, 1e-6)
    powers = np.stack([np.ones_like(x), x, x * x], axis=1)  # (n, 3, width)
    normal = (powers * weight[:, None]) @ powers.transpose(0, 2, 1) + np.diag([0, 1e-9, 1e-6])
    right = (powers * weight[:, None]) @ columns[picked]  # (n, 3, k)
    return np.asarray(np.linalg.solve(normal, right)[:, 0])


def high_pass(even: Array, rate_hz: float) -> Array:
    """Second-order Butterworth without phase at 0.5 Hz over the mirrored signal (n,), if much power is slower."""
    mirrored = np.concatenate([even, even[::-1]]) - even.mean()
    spectrum = np.fft.rfft(mirrored)
    hertz = np.fft.rfftfreq(len(mirrored), 1 / rate_hz)
    power = np.abs(spectrum) ** 2
    if power[hertz < HIGH_PASS_HZ].sum() <= SLOW_SHARE * power.sum():
        return np.asarray(even - even.mean())
    gain = hertz ** 4 / (hertz ** 4 + HIGH_PASS_HZ ** 4)
    return np.asarray(np.fft.irfft(spectrum * gain, len(mirrored))[:len(even)])


def periodicity(even: Array, even_s: Array) -> tuple[float, float]:
    """Of a signal (n,), the autocorrelation's first high peak at heart rates: 0 to 1, lag in seconds; 0, 0 if none."""
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
