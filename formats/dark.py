"""Which square cells of a segment's frames stay black, to bytes and back. Normative text: SPEC.md, section Dark."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.binary import BinaryCoder, BinaryDecoder, BinaryEncoder
from lrmcodec.formats.entropy import DAMAGED
from lrmcodec.formats.errors import FormatError

MAX_CELLS = 64  # along the longer side
START_TOTAL = 16
START_ONES = (1, 8, 15)  # by how many of the cells to the left and above are lit
COUNTED = 8  # what a cell seen adds to the counts of its context

Cells = NDArray[np.bool_]


def cell_side(size: tuple[int, int], count: int) -> int:
    """Side in pixels of a cell when `count` of them cover the longer side of (H, W)."""
    return -(-max(size) // count)


def grid_shape(size: tuple[int, int], count: int) -> tuple[int, int]:
    """Rows and columns of cells over frames of (H, W)."""
    side = cell_side(size, count)
    return -(-size[0] // side), -(-size[1] // side)


def pack_dark(lit: Cells, count: int) -> bytes:
    """Bytes of the cells (rows, columns) that are not black, `count` of them along the longer side."""
    coder = BinaryEncoder()
    _code(coder, lit.shape, lit)
    return bytes((count,)) + coder.finish()


def unpack_dark(data: bytes, size: tuple[int, int]) -> Cells:
    """Pixels (H, W) that are not black.

    Raises
    ------
    FormatError
        On bytes that no encoder writes.
    """
    if not data or not 1 <= data[0] <= MAX_CELLS:
        raise FormatError("the dark cells are damaged.", DAMAGED)
    lit = _code(BinaryDecoder(data[1:]), grid_shape(size, data[0]), None)
    return spread(lit, size, data[0])


def spread(lit: Cells, size: tuple[int, int], count: int) -> Cells:
    """Pixels (H, W) of cells."""
    side = cell_side(size, count)
    return lit.repeat(side, 0).repeat(side, 1)[:size[0], :size[1]]


def _code(coder: BinaryCoder, shape: tuple[int, ...], given: Cells | None) -> Cells:
    """Code cells row by row, each with a chance counted among those whose neighbors were alike."""
    lit = np.zeros((shape[0] + 2, shape[1] + 3), np.int64)  # two rows above, two columns left, one right
    counts: dict[tuple[int, ...], list[int]] = {}
    for row in range(2, shape[0] + 2):
        for column in range(2, shape[1] + 2):
            left, above = int(lit[row, column - 1]), int(lit[row - 1, column])
            key = (left, above, int(lit[row, column - 2]), int(lit[row - 2, column]),
                   int(lit[row - 1, column - 1]), int(lit[row - 1, column + 1]))
            ones, total = counts.setdefault(key, [START_ONES[left + above], START_TOTAL])
            bit = int(given[row - 2, column - 2]) if given is not None else 0
            bit = int(coder.bits(np.array([bit], np.int32), np.array([(ones << 16) // total]))[0])
            lit[row, column] = bit
            counts[key] = [ones + COUNTED * bit, total + COUNTED]
    return lit[2:, 2:-1] > 0

