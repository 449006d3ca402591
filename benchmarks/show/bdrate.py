"""Average difference in size at equal quality between two rate-distortion curves.

Bjontegaard, "Calculation of average PSNR differences between RD-curves", ITU-T VCEG-M33, 2001; with monotone piecewise
cubic interpolation (Fritsch and Carlson 1980, 10.1137/0717021) in place of one cubic, because curves over three decades
of size are no cubics.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEAST_POINTS = 3


def bd_rate_percent(anchor_bytes: ArrayLike, anchor_quality: ArrayLike, test_bytes: ArrayLike,
                    test_quality: ArrayLike) -> float | None:
    """Percent by which the test's sizes differ from the anchor's at equal quality, averaged over quality.

    Parameters
    ----------
    anchor_bytes, test_bytes : array-like, (n,)
        Sizes in any unit, above 0.
    anchor_quality, test_quality : array-like, (n,)
        Qualities, rising with the sizes (use `curves.front`).

    Returns
    -------
    float or None
        Negative where the test is smaller; None where the curves share no range of quality or have fewer than three
        points.
    """
    anchor = _curve(anchor_bytes, anchor_quality)
    test = _curve(test_bytes, test_quality)
    low = max(anchor[0].min(initial=np.inf), test[0].min(initial=np.inf))
    high = min(anchor[0].max(initial=-np.inf), test[0].max(initial=-np.inf))
    if min(len(anchor[0]), len(test[0])) < LEAST_POINTS or not low < high:
        return None
    difference = (_integral(*test, low, high) - _integral(*anchor, low, high)) / (high - low)
    return float(100 * (np.exp(difference) - 1))


def _curve(sizes: ArrayLike, qualities: ArrayLike) -> tuple[Array, Array]:
    """Qualities in rising order, and the logarithms of their sizes."""
    quality, size = np.asarray(qualities, float), np.asarray(sizes, float)
    order = np.argsort(quality)
    return quality[order], np.log(size[order])


def _integral(quality: Array, log_size: Array, low: float, high: float) -> float:
    from scipy.interpolate import PchipInterpolator

    return float(PchipInterpolator(quality, log_size).integrate(low, high))
