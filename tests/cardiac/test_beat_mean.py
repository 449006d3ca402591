"""Means over beats: where a ventricle is smallest, how surely, and how much it ejects."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lrmcodec.cardiac.beat_mean import REACH_S, courses, ejected_share, shift_to_smallest

TIMES_S = np.arange(200) / 50
ED_S, ES_S = [0.1, 0.9, 1.7, 2.5, 3.3], [0.5, 1.3, 2.1, 2.9, 3.7]


def area(late_s: float) -> NDArray[np.float64]:
    """Area of a ventricle that is smallest `late_s` after `ES_S`."""
    return np.asarray(0.2 + 0.05 * np.cos(2 * np.pi * (TIMES_S - 0.1 - late_s) / 0.8))


@pytest.mark.parametrize("late_s", [-0.04, 0.0, 0.04])
def test_beats_that_agree_are_believed(late_s: float) -> None:
    assert shift_to_smallest(area(late_s), TIMES_S, ES_S) == pytest.approx(late_s, abs=0.006)


def test_beats_that_do_not_agree_move_little() -> None:
    noisy = np.random.default_rng(1).standard_normal(len(TIMES_S))
    assert abs(shift_to_smallest(noisy, TIMES_S, ES_S)) < 0.05
    one, many = (shift_to_smallest(area(0.05), TIMES_S, events) for events in (ES_S[1:2], ES_S))
    assert 0 < one < 0.5 * many


def test_without_surroundings_nothing_is_told() -> None:
    flat = np.ones(len(TIMES_S))
    assert len(courses(flat, TIMES_S, [])) == 0
    assert len(courses(flat, TIMES_S, [REACH_S / 2, TIMES_S[-1]])) == 0
    assert shift_to_smallest(flat, TIMES_S, []) == 0
    assert ejected_share(flat, flat, TIMES_S, [], ES_S) is None
    assert ejected_share(flat, flat, TIMES_S, ED_S, []) is None


@pytest.mark.parametrize(("area_ratio", "length_ratio"), [(0.5, 0.85), (0.7, 1.0)])
def test_volumes_follow_the_area_length_method(area_ratio: float, length_ratio: float) -> None:
    wave = 0.5 + 0.5 * np.cos(2 * np.pi * (TIMES_S - 0.1) / 0.8)
    areas, lengths = (ratio + (1 - ratio) * wave for ratio in (area_ratio, length_ratio))
    ejected = ejected_share(areas, lengths, TIMES_S, ED_S, ES_S)
    assert ejected == pytest.approx(1 - area_ratio ** 2 / length_ratio, abs=0.02)
