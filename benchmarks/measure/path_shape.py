"""Shape of the path that the coefficients of a clip run through: a line or a circle, to and fro or round and round."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def path_shape(coeffs: NDArray[np.float64]) -> tuple[float, float]:
    """Shape of the path phi(t) (T, r) in its plane of largest variance.

    Returns
    -------
    second_share : float
        Variance across the path's main direction over the variance along it: 0 for a line, 1 for a circle.
    turning : float
        Net turns around the middle over all turns, 0 to 1: 1 where the path always goes round the same way, as
        a spiral does, 0 where it goes to and fro.
    """
    centered = coeffs - coeffs.mean(0)
    if centered.shape[1] < 2 or not centered.any():
        return 0.0, 0.0
    left, values, _ = np.linalg.svd(centered, full_matrices=False)
    plane = left[:, :2] * values[:2]
    angles = np.diff(np.unwrap(np.arctan2(plane[:, 1], plane[:, 0])))
    return float(values[1]**2 / values[0]**2), float(abs(angles.sum()) / max(np.abs(angles).sum(), 1e-12))
