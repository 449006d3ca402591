"""Cells of the picture that stay black: beside a scanner's fan nothing is shown, but coded pictures ripple there.

A ripple of two gray levels is a small squared error but halves the similarity (SSIM) of a black place. Where black is
closer to the frames than what was decoded, the cell is named and the pictures are zero in it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.dark import MAX_CELLS, Cells, cell_side, grid_shape, pack_dark, spread

SIDES = (8, 4)
"""Pixels of a cell's side that are tried; more where the format allows no more cells."""

ERROR_PER_BYTES = 0.35
"""Share of the squared error that a share of the bytes is worth: 10 % of them are about 0.15 dB."""

SIMILARITY_WORTH = 4.0
"""What error in black places counts when the bytes of the cells are weighed, for the sake of similarity."""

NEIGHBOR_BITS = 2.0
"""About what a neighbor of the other kind costs."""

SWEEPS = 4

Array = NDArray[np.float64]


def find_dark(black: Array, decoded: Array, payload_bytes: int) -> bytes:
    """The cells to name, coded; no bytes where it does not pay.

    Parameters
    ----------
    black, decoded : ndarray, (H, W)
        Squared errors of every pixel over all frames when it stays black, and as decoded.
    payload_bytes : int
        What the rest of the segment takes.
    """
    size = (black.shape[0], black.shape[1])
    byte_worth = ERROR_PER_BYTES * float(decoded.sum()) / max(payload_bytes, 1)
    best, most = b"", 0.0
    for count in sorted({min(MAX_CELLS, math.ceil(max(size) / side)) for side in SIDES}):
        lit = _lit_cells(_sums(black, count), _sums(decoded, count), NEIGHBOR_BITS / 8 * byte_worth)
        data = pack_dark(lit, count)
        saved = float((decoded - black)[~spread(lit, size, count)].sum())
        worth = SIMILARITY_WORTH * saved - byte_worth * len(data)
        if worth > most:
            best, most = data, worth
    return best


def _sums(errors: Array, count: int) -> Array:
    """Sums over the cells."""
    size = (errors.shape[0], errors.shape[1])
    side, (rows, columns) = cell_side(size, count), grid_shape(size, count)
    padded = np.pad(errors, ((0, rows * side - size[0]), (0, columns * side - size[1])))
    return np.asarray(padded.reshape(rows, side, columns, side).sum((1, 3)), np.float64)


def _lit_cells(black: Array, decoded: Array, neighbor: float) -> Cells:
    """Cells better decoded than black, each counting `neighbor` for every neighbor of the other kind."""
    lit = black > decoded
    for _ in range(SWEEPS):
        padded = np.pad(lit, 1).astype(np.float64)
        around = padded[1:-1, :-2] + padded[1:-1, 2:] + padded[:-2, 1:-1] + padded[2:, 1:-1]
        lit = black + neighbor * around > decoded + neighbor * (4 - around)
    return lit
