"""What a regressor may know of a clip without rendering a pixel: its coefficients, and what is stored of the ventricle.

phi(t) --spectrum--> shares of bands --+
phi(t) --direction, readout--> mean beat --+--> features (n,)
heart component --ejected, confidence, weights--> features (10,), apart
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.direction import MAX_WEIGHTS, read_direction
from lrmcodec.cardiac.readout import Phase, read_phase
from lrmcodec.cardiac.signal import standardize
from lrmcodec.reader import LrmFile

Array = NDArray[np.float64]

COUNT = 8
"""Coefficients looked at, the ones that move most."""

BANDS_HZ = (0.0, 0.4, 0.8, 1.5, 3.0, 6.0, np.inf)
BEAT_POINTS = 16
LARGEST_WEIGHT = 31.0


def coefficient_features(file: LrmFile) -> Array:
    """Features (82,) of the coefficients of a file's first segment; 0 for what it does not have.

    For each of the first 8: logarithm of its standard deviation against the first one's, six shares of its power by
    band, kurtosis of its steps. Then the mean beat of the readout, 16 points from end diastole to end diastole with
    median 0 and range 1, the heart rate and the share of systole.
    """
    coeffs = np.zeros((len(file.coeffs[0]), COUNT))
    kept = min(COUNT, file.coeffs[0].shape[1])
    coeffs[:, :kept] = file.coeffs[0][:, :kept]
    spread = coeffs.std(0)
    sizes = np.log((spread + 1e-9) / (spread[0] + 1e-9)).clip(-9, 9)
    phase = read_phase(file)
    return np.concatenate([sizes, _band_shares(coeffs, file.fps).ravel(), _step_kurtosis(coeffs),
                           _mean_beat(phase, file.times_s),
                           [(phase.heart_rate_bpm or 0.0) / 60, phase.systolic_fraction or 0.0]])


def ventricle_features(file: LrmFile) -> Array:
    """Stored share ejected, confidence and weights (10,) of the first segment; 0 where nothing is stored."""
    segment = file.coded.segments[0]
    found = read_direction(segment.components, segment.rank)
    features = np.zeros(2 + MAX_WEIGHTS)
    if found is not None:
        features[0], features[1] = found.ejected or 0.0, found.confidence / 255
        features[2:2 + len(found.weights)] = found.weights / LARGEST_WEIGHT
    return features


def _band_shares(coeffs: Array, fps: float) -> Array:
    """Share of the power of each coefficient (T, r) in each band: (r, bands)."""
    power = np.abs(np.fft.rfft(standardize(coeffs) * np.hanning(len(coeffs))[:, None], axis=0)) ** 2
    hertz = np.fft.rfftfreq(len(coeffs), 1 / fps)
    shares = [power[(hertz >= low) & (hertz < high)].sum(0) for low, high in pairwise(BANDS_HZ)]
    return np.asarray(np.stack(shares, 1) / np.maximum(power.sum(0), 1e-12)[:, None])


def _step_kurtosis(coeffs: Array) -> Array:
    """How jerky each coefficient (T, r) moves: logarithm of the kurtosis of its steps (r,)."""
    steps = np.diff(coeffs, axis=0)
    second = (steps ** 2).mean(0)
    return np.asarray(np.log1p((steps ** 4).mean(0) / np.maximum(second ** 2, 1e-12)))


def _mean_beat(phase: Phase, times_s: Array) -> Array:
    """Mean course of the signal over whole beats (16,); 0 where there is none."""
    ends = np.asarray(phase.ed_times_s)
    if len(ends) < 2:
        return np.zeros(BEAT_POINTS)
    shares = np.linspace(0, 1, BEAT_POINTS, endpoint=False)
    courses = [np.interp(start + (stop - start) * shares, times_s, phase.signal)
               for start, stop in pairwise(ends)]
    return np.asarray(np.mean(courses, 0))
