"""Frame times: even ones take a rate, uneven ones ticks; both stay within half a microsecond."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lrmcodec.formats.entropy import encode_ints
from lrmcodec.formats.errors import ClipError, FormatError
from lrmcodec.formats.time_code import HALF_TICK_S, MAX_TICKS, Timing, decode_times, encode_times
from lrmcodec.formats.varint import write_varint

TOLERANCE_S = HALF_TICK_S * (1 + 1e-6)


def round_trip_error(times_s: NDArray[np.float64]) -> float:
    decoded = decode_times(encode_times(times_s), len(times_s))
    return float(np.abs(decoded - times_s).max())


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(50), Fraction(30000, 1001), Fraction(1, 3), Fraction(1000)])
@pytest.mark.parametrize("count", [2, 3, 500])
def test_even_times_take_a_rate_and_no_payload(rate: Fraction, count: int) -> None:
    timing = encode_times(np.arange(count) / float(rate))
    assert (Fraction(timing.rate_num, timing.rate_den), timing.payload) == (rate, b"")


@settings(deadline=None)
@given(milli_fps=st.integers(100, 10**6), count=st.integers(2, 2000))
def test_even_times_survive(milli_fps: int, count: int) -> None:
    assert round_trip_error(np.arange(count) * 1000 / milli_fps) <= TOLERANCE_S


@settings(deadline=None)
@given(seed=st.integers(0, 1000), count=st.integers(2, 300), jitter=st.floats(0, 0.4))
def test_jittered_times_survive(seed: int, count: int, jitter: float) -> None:
    times = np.arange(count) / 29.97 + np.random.default_rng(seed).uniform(0, jitter / 29.97, count)
    assert round_trip_error(times - times[0]) <= TOLERANCE_S


@settings(deadline=None)
@given(gaps_us=st.lists(st.integers(1, 10**9), min_size=1, max_size=100))
def test_irregular_times_survive(gaps_us: list[int]) -> None:
    assert round_trip_error(np.concatenate([[0], np.cumsum(gaps_us)]) / 1e6) <= TOLERANCE_S


def test_one_frame_survives() -> None:
    assert decode_times(encode_times(np.zeros(1)), 1).tolist() == [0.0]


def test_a_dropped_frame_costs_few_bytes() -> None:
    times = np.delete(np.arange(200) / 50, 77)
    assert len(encode_times(times).payload) < 16


@pytest.mark.parametrize("times", [[0, 1e-7], [0, 1e-7, 1], [0, 0.1, 2e6]])
def test_times_that_a_file_cannot_hold_are_refused(times: list[float]) -> None:
    with pytest.raises(ClipError):
        encode_times(np.array(times))


def payload(unit: int, middle: int, gaps: list[int]) -> bytes:
    return write_varint(unit) + write_varint(middle) + encode_ints(np.array([gaps]))


@pytest.mark.parametrize("data", [
    payload(0, 5, [0, 1]), payload(1, 0, [1, 0]), payload(1, 5, [0, -5]), payload(MAX_TICKS, 1, [0, 0]),
    payload(1, MAX_TICKS, [0, 0]), payload(1, MAX_TICKS + 1, [0, 0]), payload(1, 5, [0, 1])[:1],
    write_varint(1) + write_varint(5) + b"\x77",
])
def test_ticks_that_do_not_increase_or_end_too_late_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_times(Timing(0, 1, data), 3)


def test_ticks_of_one_frame_are_refused() -> None:
    with pytest.raises(FormatError):
        decode_times(Timing(0, 1, payload(1, 5, [0])), 1)


@settings(deadline=None)
@given(data=st.binary(max_size=40), count=st.integers(1, 50))
def test_any_bytes_give_increasing_times_or_a_format_error(data: bytes, count: int) -> None:
    try:
        times = decode_times(Timing(0, 1, data), count)
    except FormatError:
        return
    assert times.shape == (count,)
    assert (np.diff(times) > 0).all()
