"""The direction along which the coefficients follow the left ventricle: settled while encoding, stored as a component.

cavity's area --regression--> weights of the first coefficients --quantized--> phase component

The cavity comes from the pixels, so neither its place nor the sign of anything is assumed, and no label is used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.cavity import Cavity
from lrmcodec.cardiac.signal import (
    GRID_HZ,
    SMOOTH_FRAMES,
    SMOOTH_S,
    Array,
    even_times,
    high_pass,
    smooth,
    standardize,
)
from lrmcodec.formats.errors import FormatError

MAX_WEIGHTS = 8
"""A phase component holds weights of at most so many components; the first carry the motion."""

RIDGE = 1.0
WEIGHTS = 4  # as many as are stored; more follow the simulated ventricles no better


@dataclass(frozen=True)
class Direction:
    """A phase component: polarity's confidence (0 to 255) and weights (n,) int8 of the first n components."""

    confidence: int
    weights: NDArray[np.int8]

    def pack(self) -> bytes:
        """The component's payload."""
        return bytes([self.confidence]) + self.weights.tobytes()

    @staticmethod
    def unpack(payload: bytes, rank: int) -> Direction:
        """Undo `pack`.

        Raises
        ------
        FormatError
            On a payload that cannot belong to a segment of `rank` components.
        """
        weights = np.frombuffer(payload[1:], np.int8)
        if not 1 <= len(weights) <= min(rank, MAX_WEIGHTS) or not weights.any():
            raise FormatError(f"the phase component has {len(payload)} bytes for rank {rank}, or no direction.",
                              "The file is damaged; get another copy.")
        return Direction(payload[0], weights)

    def project(self, coeffs: Array) -> Array:
        """Signal s (T,): weighted sum of coefficients (T, r), each scaled to mean 0 and variance 1."""
        return np.asarray(standardize(coeffs[:, :len(self.weights)]) @ self.weights.astype(np.float64))


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
