"""Coefficients to integers along time: errors within a step, zeros for nothing, FormatError on damage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrmcodec.formats.errors import FormatError
from lrmcodec.quantize import MAX_Q, ROUNDING, code_coeffs, pixel_step, restore_coeffs


def walk(count: int, rank: int, seed: int = 0) -> np.ndarray:
    """Coefficients (T, r) that wander slowly."""
    return np.cumsum(np.random.default_rng(seed).normal(size=(count, rank)), axis=0)


@settings(max_examples=40, deadline=None)
@given(count=st.integers(1, 60), rank=st.integers(0, 6), step=st.floats(1e-3, 10), seed=st.integers(0, 99))
def test_errors_stay_within_a_step(count: int, rank: int, step: float, seed: int) -> None:
    coeffs, steps = walk(count, rank, seed), np.full(rank, step)
    decoded = restore_coeffs(code_coeffs(coeffs, steps), count, steps)
    assert decoded.shape == (count, rank)
    coarsest = step * (1 - ROUNDING)
    error = np.sqrt(((decoded - coeffs) ** 2).sum())  # the transform is orthonormal
    assert error <= coarsest * np.sqrt(count * rank) * (1 + 1e-9)


def test_finer_steps_are_finer() -> None:
    coeffs = walk(50, 3)
    every = [np.full(3, step) for step in (0.1, 0.3, 1.0, 3.0)]
    errors = [np.abs(restore_coeffs(code_coeffs(coeffs, steps), 50, steps) - coeffs).mean() for steps in every]
    assert errors == sorted(errors)


def test_slow_coefficients_take_few_bytes() -> None:
    slow = np.sin(np.arange(200) / 30)[:, None] * 20
    fast = np.random.default_rng(0).permutation(slow)
    steps = np.array([0.2])
    assert len(code_coeffs(slow, steps)) < len(code_coeffs(fast, steps)) / 3


@pytest.mark.parametrize("coeffs", [np.zeros((9, 3)), np.zeros((9, 0)), np.full((9, 3), 1e-9)])
def test_nothing_takes_no_bytes(coeffs: np.ndarray) -> None:
    steps = np.ones(coeffs.shape[1])
    assert code_coeffs(coeffs, steps) == b""
    assert restore_coeffs(b"", 9, steps).shape == coeffs.shape


@pytest.mark.parametrize("bad", [np.inf, np.nan, 0.0, -1.0])
def test_components_without_a_usable_step_become_zero(bad: float) -> None:
    coeffs, steps = walk(20, 2), np.array([bad, 0.1])
    decoded = restore_coeffs(code_coeffs(coeffs, steps), 20, steps)
    assert (decoded[:, 0] == 0).all()
    np.testing.assert_allclose(decoded[:, 1], coeffs[:, 1], atol=0.5)


def test_steps_grow_with_the_index() -> None:
    steps = [pixel_step(q) for q in range(MAX_Q + 1)]
    assert steps == sorted(steps)
    assert 0 < steps[0] < steps[-1] < 1


def test_bytes_for_rank_0_are_refused() -> None:
    with pytest.raises(FormatError):
        restore_coeffs(b"\x08\x00\x01", 5, np.ones(0))


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=50))
def test_any_bytes_give_finite_coefficients_or_a_format_error(data: bytes) -> None:
    try:
        coeffs = restore_coeffs(data, 12, np.array([1e4, np.inf, 1e-3]))
    except FormatError:
        return
    assert coeffs.shape == (12, 3)
    assert np.isfinite(coeffs).all()
