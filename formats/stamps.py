"""Frame times: from the integer time stamps of a container to seconds, and even rates as fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.clip import DEFAULT_FPS, is_plausible, uniform_times

EVEN_WITHIN_S = 1e-6
"""Frame times are kept to a microsecond; a clip whose times are closer than that to an even grid is even."""

UNKNOWN_RATE = f"frame times are unknown: {DEFAULT_FPS:g} frames a second are assumed"
"""Warning of readers that find no frame rate."""

BAD_STAMPS = "frame times are missing, repeated or out of order: {rate:g} frames a second are assumed"
"""Warning of readers that find unusable time stamps."""

MAX_DENOMINATOR = 100_000


def even_rate(times_s: NDArray[np.float64]) -> Fraction | None:
    """Frames a second of evenly spaced times as a simple fraction, or None when they are irregular.

    Parameters
    ----------
    times_s : ndarray, (T,) float64
        Strictly increasing times in seconds, the first one 0. One frame counts as `DEFAULT_FPS`.
    """
    if len(times_s) < 2:
        return Fraction(DEFAULT_FPS)
    rate = Fraction((len(times_s) - 1) / float(times_s[-1])).limit_denominator(MAX_DENOMINATOR)
    if rate <= 0:
        return None
    grid = uniform_times(len(times_s), float(rate))
    return rate if np.abs(times_s - grid).max() < EVEN_WITHIN_S else None


def times_from_stamps(
    stamps: Sequence[int | None], tick: Fraction, rates: Sequence[Fraction]
) -> tuple[NDArray[np.float64], str | None]:
    """Turn a container's time stamps into seconds from 0.

    Containers round times to their tick (Matroska to 1 ms), so stamps that are a rounded even grid become
    that grid again: rounding moves a time by less than one tick, hence the deviations of all frames from the
    true grid span less than one tick. Irregular stamps stay, unusable ones are replaced by a grid.

    Parameters
    ----------
    stamps : sequence of int or None
        Presentation time stamps in ticks, in the order of the frames, at least one.
    tick : Fraction
        Seconds a tick.
    rates : sequence of Fraction
        Rates that the container claims, in frames a second, most trusted first; may be empty.

    Returns
    -------
    times_s : ndarray, (T,) float64
        Strictly increasing seconds, the first one 0.
    warning : str or None
        What had to be assumed.
    """
    count = len(stamps)
    if count == 1:
        return np.zeros(1), None
    rates = [rate for rate in rates if is_plausible(rate)]
    ticks = np.array([stamp if stamp is not None else -1 for stamp in stamps], np.int64)
    if None not in stamps and (np.diff(ticks) >= 0).all():
        rate = _rounded_grid(ticks - ticks[0], tick, rates)
        if rate is not None:
            return uniform_times(count, float(rate)), None
    if None in stamps or (np.diff(ticks) <= 0).any():
        if not rates:
            return uniform_times(count, DEFAULT_FPS), UNKNOWN_RATE
        return uniform_times(count, float(rates[0])), BAD_STAMPS.format(rate=float(rates[0]))
    ticks -= ticks[0]
    if not is_plausible((count - 1) / (int(ticks[-1]) * tick)):
        return uniform_times(count, DEFAULT_FPS), UNKNOWN_RATE
    return ticks.astype(np.float64) * float(tick), None


def _rounded_grid(ticks: NDArray[np.int64], tick: Fraction, rates: Sequence[Fraction]) -> Fraction | None:
    """Which of the rates gives these ticks by rounding."""
    for rate in rates:
        if np.ptp(ticks - np.arange(len(ticks)) * float(1 / (rate * tick))) < 1:
            return rate
    return None
