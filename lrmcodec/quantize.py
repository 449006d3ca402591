"""Quantizer indices to steps, and coefficients to integers along time.

Steps follow from one index q by equal slopes (reverse water-filling: Cover and Thomas, Elements of Information
Theory, section 10.3.3): an error in a basis value counts in all T frames, one in a coefficient in all N pixels of
one frame, so the coefficient step of a component whose basis has root mean square g is
pixel_step(q) * sqrt(T / N) / g.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.entropy import decode_ints, encode_ints

MAX_Q = 255
ROUNDING = 0.3
"""Share of a step from which a magnitude rounds up; below one half, a dead zone that saves more than it loses."""


def pixel_step(q: float) -> float:
    """Quantizer step in gray levels of [0, 1] at index q in 0..255: 2.4 to 124 of 255 levels, doubling every 45.

    About 0.8 of the AC step of AV1 at base_q_idx q, where rate and quality are best over ranks 2 to 24 on lung and
    simulated clips (benchmarks/LOG.md).
    """
    return float(0.0096 * 2 ** (q / 45))


def round_dead(values: NDArray[np.float64], rounding: float) -> NDArray[np.float64]:
    """Values rounded to whole numbers, magnitudes up from the share `rounding`: a dead zone around 0 below one half."""
    return np.asarray(np.sign(values) * np.floor(np.abs(values) + rounding))


def code_coeffs(coeffs: NDArray[np.float64], steps: NDArray[np.float64], *, thorough: bool = True) -> bytes:
    """Transform coefficients (T, r) along time, quantize with steps (r,) and entropy code.

    Components with a step that is not positive and finite are stored as zeros. All zeros take no bytes. Without
    `thorough`, a few bytes more for less time.
    """
    return encode_ints(_to_ints(coeffs, steps), thorough=thorough) if coeffs.size else b""


def restore_coeffs(data: bytes, frame_count: int, steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo `code_coeffs`: coefficients (T, r) float64.

    Raises
    ------
    FormatError
        When the payload does not decode to r times T integers.
    """
    return _from_ints(decode_ints(data, (len(steps), frame_count)), steps)


def _to_ints(coeffs: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.int64]:
    """Dead-zone quantized orthonormal DCT-II along time: integers (r, T)."""
    from scipy.fft import dct

    usable = np.isfinite(steps) & (steps > 0)
    scaled = dct(coeffs, axis=0, norm="ortho").T / np.where(usable, steps, 1.0)[:, None]
    return np.where(usable[:, None], round_dead(scaled, ROUNDING), 0).astype(np.int64)


def _from_ints(values: NDArray[np.int32], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    usable = np.isfinite(steps) & (steps > 0)
    return _inverse_dct(np.asarray(values * np.where(usable, steps, 0.0)[:, None], np.float64)).T


def _inverse_dct(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of the orthonormal DCT-II along rows (r, T), by an FFT of twice the length.

    scipy has the same, but takes a third of the time that reading the phase of a file may take to be imported.
    """
    count = rows.shape[1]
    k = np.arange(count)
    scale = np.where(k == 0, np.sqrt(1 / count), np.sqrt(2 / count))
    spectrum = rows * (scale * np.exp(0.5j * np.pi * k / count))
    return np.asarray(2 * count * np.fft.ifft(spectrum, 2 * count, axis=1)[:, :count].real)
