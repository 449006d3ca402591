"""The wavelet of pictures: CDF 9/7 by lifting, symmetric at the borders, for any size.

Cohen, Daubechies and Feauveau 1992; lifting steps: Daubechies and Sweldens 1998 (10.1007/BF02476026). Scaled so that
an error of one in a coefficient is an error of one in the picture within 10 % (0.97 to 1.09 by level and band).

All steps are single sums and products of arrays, which IEEE 754 rounds alike everywhere, so that float64 results
are equal on every machine. The entropy model's contexts rest on this.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LIFTS = (-1.586134342059924, -0.052980118572961, 0.882911075530934, 0.443506852043971)
SCALE = 1.149604398860241


class Bands(NamedTuple):
    """Details of one level: `rows` fine down the picture, `columns` fine across it, `both`; (..., h, w) each."""

    columns: Array
    rows: Array
    both: Array


def level_count(size: tuple[int, int]) -> int:
    """Levels after which one value is left of a picture of (H, W)."""
    return (max(size) - 1).bit_length()


def analyze(pictures: Array) -> tuple[Array, list[Bands]]:
    """Coarsest values (..., 1, 1) and the bands of every level, finest first, of pictures (..., H, W)."""
    levels = []
    rest = np.asarray(pictures, np.float64)
    for _ in range(level_count((rest.shape[-2], rest.shape[-1]))):
        rest, bands = analyze_level(rest)
        levels.append(bands)
    return rest, levels


def analyze_level(pictures: Array) -> tuple[Array, Bands]:
    """One level: pictures (..., H, W) to the coarse half and its bands."""
    low, high = _split(pictures)
    coarse, columns = (_turn(part) for part in _split(_turn(low)))
    rows, both = (_turn(part) for part in _split(_turn(high)))
    return coarse, Bands(columns, rows, both)


def merge_level(coarse: Array, bands: Bands) -> Array:
    """Undo `analyze_level`."""
    low = _turn(_merge(_turn(coarse), _turn(bands.columns)))
    high = _turn(_merge(_turn(bands.rows), _turn(bands.both)))
    return _merge(low, high)


def _turn(values: Array) -> Array:
    return values.swapaxes(-1, -2)


def _split(values: Array) -> tuple[Array, Array]:
    """Low and high half along the second to last axis."""
    low, high = values[..., 0::2, :].copy(), values[..., 1::2, :].copy()
    if high.shape[-2] == 0:
        return low, high
    for step, factor in enumerate(LIFTS):
        if step % 2:
            low += factor * _around_even(high, low.shape[-2])
        else:
            high += factor * _around_odd(low, high.shape[-2])
    return low * SCALE, high / SCALE


def _merge(low: Array, high: Array) -> Array:
    """Undo `_split`."""
    if high.shape[-2] == 0:
        return low
    low, high = low / SCALE, high * SCALE
    for step, factor in reversed(list(enumerate(LIFTS))):
        if step % 2:
            low = low - factor * _around_even(high, low.shape[-2])
        else:
            high = high - factor * _around_odd(low, high.shape[-2])
    merged = np.empty((*low.shape[:-2], low.shape[-2] + high.shape[-2], low.shape[-1]))
    merged[..., 0::2, :], merged[..., 1::2, :] = low, high
    return merged


def _around_odd(low: Array, count: int) -> Array:
    """Sums of the two even neighbors of each odd place; the last one is doubled where the right one is missing."""
    right = low[..., 1:, :]
    if right.shape[-2] < count:
        right = np.concatenate([right, low[..., -1:, :]], -2)
    return np.asarray(low[..., :count, :] + right, np.float64)


def _around_even(high: Array, count: int) -> Array:
    """Sums of the two odd neighbors of each even place, doubled at the ends."""
    left = np.concatenate([high[..., :1, :], high], -2)[..., :count, :]
    right = high if high.shape[-2] == count else np.concatenate([high, high[..., -1:, :]], -2)
    return np.asarray(left + right, np.float64)
