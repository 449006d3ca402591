"""Coefficients in time: exact at the frames, smooth between them, held beyond them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmcodec.formats.errors import TargetError
from lrmcodec.timeline import MAX_OUTPUT_FRAMES, SAME_TIME_S, coeffs_at, nearest_frames, times_at_rate

gap_lists = st.lists(st.floats(0.001, 2), min_size=0, max_size=40)


def times_of(gaps: list[float]) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(gaps)])


@settings(deadline=None)
@given(gaps=gap_lists, rank=st.integers(0, 4))
def test_frames_keep_their_rows_exactly(gaps: list[float], rank: int) -> None:
    times = times_of(gaps)
    coeffs = np.random.default_rng(0).normal(size=(len(times), rank))
    for shift in (0, -0.9 * SAME_TIME_S, 0.9 * SAME_TIME_S):
        np.testing.assert_array_equal(coeffs_at(coeffs, times, times + shift), coeffs)


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_cubics_are_reproduced_between_frames(degree: int) -> None:
    times = times_of([0.1, 0.2, 0.05, 0.3, 0.1])
    wanted = np.linspace(0, times[-1], 77)
    np.testing.assert_allclose(coeffs_at(times[:, None] ** degree, times, wanted)[:, 0], wanted**degree, atol=1e-12)


def test_two_frames_are_joined_by_a_line() -> None:
    rows = coeffs_at(np.array([[0.0, 4.0], [2.0, 0.0]]), np.array([0.0, 1.0]), np.array([0.25, 0.5]))
    np.testing.assert_allclose(rows, [[0.5, 3.0], [1.0, 2.0]])


def test_end_rows_hold_before_and_after() -> None:
    coeffs = np.random.default_rng(0).normal(size=(6, 2))
    rows = coeffs_at(coeffs, np.arange(6) / 10, np.array([-5.0, 0.7, 100.0]))
    np.testing.assert_array_equal(rows, coeffs[[0, -1, -1]])


def test_one_frame_holds_for_all_times() -> None:
    rows = coeffs_at(np.array([[1.0, 2.0]]), np.zeros(1), np.array([0.0, 0.01, 3.0]))
    np.testing.assert_array_equal(rows, [[1.0, 2.0]] * 3)


@settings(deadline=None)
@given(gaps=gap_lists, wanted=st.lists(st.floats(-1, 100), min_size=1, max_size=20))
def test_the_nearest_frame_is_nearest(gaps: list[float], wanted: list[float]) -> None:
    times = times_of(gaps)
    distance = np.abs(times - np.array(wanted)[:, None])
    chosen = nearest_frames(times, np.array(wanted))
    np.testing.assert_allclose(distance[np.arange(len(wanted)), chosen], distance.min(1), atol=1e-9)


@pytest.mark.parametrize(("duration", "fps", "count"), [(2.0, 50, 100), (2.0, 100, 200), (0.1, 1, 1),
                                                        (1.001, 29.97, 30)])
def test_times_at_a_rate(duration: float, fps: float, count: int) -> None:
    np.testing.assert_allclose(times_at_rate(duration, fps), np.arange(count) / fps)


@pytest.mark.parametrize("fps", [0, -1, np.nan, np.inf, MAX_OUTPUT_FRAMES])
def test_rates_that_cannot_be_rendered_are_refused(fps: float) -> None:
    with pytest.raises(TargetError):
        times_at_rate(2.0, fps)
