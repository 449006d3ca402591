"""Turning points of a signal."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from lrmcodec.cardiac.events import turning_points


def test_turning_points_take_turns() -> None:
    turns = turning_points(np.sin(np.linspace(0, 20, 600)) + 0.1 * np.sin(np.linspace(0, 300, 600)), 0.6, 20)
    assert len(turns) >= 5
    assert all(a[1] != b[1] for a, b in pairwise(turns))
