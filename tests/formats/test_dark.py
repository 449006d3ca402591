"""Dark cells: read as written, at any size; damaged bytes are refused."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

from lrmcodec.formats.dark import MAX_CELLS, grid_shape, pack_dark, spread, unpack_dark
from lrmcodec.formats.errors import FormatError


@pytest.mark.parametrize("size", [(112, 112), (16, 200), (57, 33), (2048, 2048)])
@pytest.mark.parametrize("count", [1, 14, 64])
def test_cells_are_read_as_written(size: tuple[int, int], count: int) -> None:
    rng = np.random.default_rng(count)
    lit = rng.random(grid_shape(size, count)) < 0.6
    np.testing.assert_array_equal(unpack_dark(pack_dark(lit, count), size), spread(lit, size, count))


def test_a_fan_takes_few_bytes() -> None:
    rows, columns = np.mgrid[:28, :28]
    fan = np.abs(columns - 13.5) < rows + 1
    assert len(pack_dark(fan, 28)) <= 16
    assert len(pack_dark(np.ones((28, 28), bool), 28)) <= 4


@pytest.mark.parametrize("data", [b"", b"\0", bytes((MAX_CELLS + 1,))])
def test_damaged_ones_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        unpack_dark(data, (112, 112))


def test_any_bytes_give_cells_or_a_format_error() -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        data = bytes((int(rng.integers(1, 20)),)) + bytes(rng.integers(0, 256, int(rng.integers(0, 30)), np.uint8))
        with contextlib.suppress(FormatError):
            assert unpack_dark(data, (40, 50)).shape == (40, 50)
