"""3 x 3 convolutions of maps as products of matrices, a few rows at a time so that all stays in a processor's cache.

Products of whole numbers that are exact in any order: how neighborhoods are laid out is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

BLOCK_VALUES = 1 << 17  # of one matrix of neighborhoods
TAPS = 9

Maps = NDArray[np.floating[Any]]


def tap_rows(weights: NDArray[Any]) -> NDArray[Any]:
    """Weights (9 * channels, outputs), tap by tap, from (outputs, channels * 9), channel by channel."""
    outputs = len(weights)
    return np.ascontiguousarray(weights.reshape(outputs, -1, TAPS).transpose(2, 1, 0).reshape(-1, outputs))


def convolved(maps: Maps, weights: Maps) -> Iterator[tuple[slice, Maps]]:
    """Sums of a convolution, zeros beyond the border.

    Parameters
    ----------
    maps : ndarray, (h, w, channels)
    weights : ndarray, (9 * channels, outputs)
        From `tap_rows`, of the same type.

    Yields
    ------
    slice, ndarray
        Rows, and their sums (rows * w, outputs), in order.
    """
    height, width, channels = maps.shape
    padded = np.zeros((height + 2, width + 2, channels), maps.dtype)
    padded[1:-1, 1:-1] = maps
    down, across, inside = padded.strides
    around = as_strided(padded, (height, width, 3, 3 * channels), (down, across, down, inside))
    step = max(1, BLOCK_VALUES // (width * TAPS * channels))
    for start in range(0, height, step):
        rows = slice(start, min(start + step, height))
        yield rows, around[rows].reshape(-1, TAPS * channels) @ weights
