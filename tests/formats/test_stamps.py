"""Time stamps become seconds: rounded grids are recognized, irregular times survive."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrmcodec.formats.stamps import BAD_STAMPS, UNKNOWN_RATE, even_rate, times_from_stamps

MS = Fraction(1, 1000)
NTSC = Fraction(30000, 1001)

rates = st.fractions(min_value=1, max_value=500, max_denominator=1001)


@given(rate=rates, count=st.integers(2, 300), first=st.integers(0, 10**9))
def test_rounded_grid_is_restored(rate: Fraction, count: int, first: int) -> None:
    stamps = [first + math.floor(k / rate * 1000 + Fraction(1, 2)) for k in range(count)]
    times, warning = times_from_stamps(stamps, MS, [rate])
    np.testing.assert_allclose(times, np.arange(count) / float(rate), atol=1e-9)
    assert warning is None


@given(steps=st.lists(st.integers(1, 10**6), min_size=2, max_size=50))
def test_times_stay_within_a_tick_and_increase(steps: list[int]) -> None:
    stamps = [0, *np.cumsum(steps).tolist()]
    times, warning = times_from_stamps(stamps, MS, [])
    assert times[0] == 0
    assert (np.diff(times) > 0).all()
    assert np.abs(times * 1000 - stamps).max() <= 1
    assert warning is None


def test_irregular_times_stay() -> None:
    times, _ = times_from_stamps([5, 45, 130, 150], MS, [Fraction(25)])
    np.testing.assert_allclose(times, [0, 0.04, 0.125, 0.145], atol=1e-12)


def test_a_dropped_frame_stays_a_gap() -> None:
    times, _ = times_from_stamps([0, 1, 3, 4], Fraction(1, 50), [Fraction(50)])
    np.testing.assert_allclose(times, [0, 0.02, 0.06, 0.08])


def test_even_stamps_at_a_wrong_claimed_rate() -> None:
    times, _ = times_from_stamps([0, 2, 4, 6], Fraction(1, 50), [Fraction(50)])
    np.testing.assert_allclose(times, [0, 0.04, 0.08, 0.12])


@pytest.mark.parametrize("stamps", [[0, None, 2], [0, 0, 1], [0, 2, 1], [None, None, None]])
def test_bad_stamps_become_a_grid_with_a_warning(stamps: list[int | None]) -> None:
    times, warning = times_from_stamps(stamps, MS, [NTSC])
    np.testing.assert_allclose(times, np.arange(3) / float(NTSC))
    assert warning == BAD_STAMPS.format(rate=float(NTSC))
    times, warning = times_from_stamps(stamps, MS, [])
    np.testing.assert_allclose(times, [0, 0.04, 0.08])
    assert warning == UNKNOWN_RATE


def test_one_frame_is_at_zero() -> None:
    times, warning = times_from_stamps([None], MS, [])
    assert (times.tolist(), warning) == ([0.0], None)


@given(rate=rates, count=st.integers(2, 5000))
def test_even_rate_finds_simple_fractions(rate: Fraction, count: int) -> None:
    assert even_rate(np.arange(count) / float(rate)) == rate


def test_even_rate_of_irregular_times() -> None:
    assert even_rate(np.array([0, 0.04, 0.081])) is None
    assert even_rate(np.array([0, 1e9, 2.5e9])) is None
    assert even_rate(np.zeros(1)) == 25
