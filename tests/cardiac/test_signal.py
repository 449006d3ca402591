"""Signals over time: smoothing that keeps what it should, and cleaning that no unit of measure changes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec.cardiac.signal import clean, even_times, smooth
from lrmcodec.simulate.heart.phantom import volume_curve


def uneven_times(fps: float, jitter: float) -> NDArray[np.float64]:
    """Three seconds of frame times, each late by up to `jitter` frames."""
    count = round(3 * fps)
    return (np.arange(count) + jitter * np.random.default_rng(2).random(count)) / fps



def test_smoothing_keeps_parabolas_at_uneven_times() -> None:
    times_s = uneven_times(40, 0.5)
    even_s = even_times(times_s)
    smoothed = smooth(np.stack([times_s ** 2, 1 - times_s], 1), times_s, even_s, 0.08)
    np.testing.assert_allclose(smoothed, np.stack([even_s ** 2, 1 - even_s], 1), atol=2e-3)


def test_cleaning_does_not_depend_on_scale_and_offset() -> None:
    times_s = uneven_times(50, 0)
    even_s = even_times(times_s)
    volume = volume_curve(times_s / 0.83 % 1.0, 0.6, 0.36)
    first, second = (clean(scale * volume + shift, times_s, even_s) for scale, shift in ((1, 0), (70, 9)))
    np.testing.assert_allclose(first, second, atol=1e-6)
