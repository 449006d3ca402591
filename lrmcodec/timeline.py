"""Coefficients as a function of time: phi(t) in seconds, exact at the frame times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrmcodec.formats.errors import TargetError

SAME_TIME_S = 0.5e-6  # times are kept to a microsecond
MAX_OUTPUT_FRAMES = 10_000_000


def coeffs_at(coeffs: NDArray[np.float64], times_s: NDArray[np.float64],
              wanted_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coefficients (n, r) at any times, from rows (T, r) at increasing frame times (T,).

    A cubic spline (not-a-knot; de Boor, A Practical Guide to Splines) runs through the frames; at a frame time the
    frame's own row is returned unchanged, before the first and after the last frame the end rows hold.
    """
    inside = np.clip(wanted_s, times_s[0], times_s[-1])
    nearest = nearest_frames(times_s, inside)
    exact = np.abs(times_s[nearest] - inside) <= SAME_TIME_S
    out = coeffs[nearest]
    if coeffs.shape[1] and not exact.all():
        from scipy.interpolate import CubicSpline

        out[~exact] = CubicSpline(times_s, coeffs, axis=0)(inside[~exact])
    return out


def positions_at(times_s: NDArray[np.float64], wanted_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places (n,) of any times between frames at increasing times (T,): whole at frames, 0 before, T - 1 behind."""
    nearest = nearest_frames(times_s, wanted_s)
    exact = np.abs(times_s[nearest] - wanted_s) <= SAME_TIME_S
    between = np.interp(wanted_s, times_s, np.arange(len(times_s), dtype=np.float64))
    return np.where(exact, nearest, between)


def nearest_frames(times_s: NDArray[np.float64], wanted_s: NDArray[np.float64]) -> NDArray[np.intp]:
    """Index of the frame nearest to each wanted time."""
    right = np.searchsorted(times_s, wanted_s).clip(1, max(len(times_s) - 1, 1))
    left = right - 1
    right = np.minimum(right, len(times_s) - 1)
    return np.where(wanted_s - times_s[left] <= times_s[right] - wanted_s, left, right)


def times_at_rate(duration_s: float, fps: float) -> NDArray[np.float64]:
    """Times k / fps that lie before `duration_s`.

    Raises
    ------
    TargetError
        When `fps` is not positive and finite or asks for more than ten million frames.
    """
    if not (np.isfinite(fps) and fps > 0):
        raise TargetError(f"a rate of {fps:g} frames a second cannot be rendered.", "Give --fps a positive number.")
    count = int(np.ceil(duration_s * fps - 1e-6))
    if count > MAX_OUTPUT_FRAMES:
        raise TargetError(f"{fps:g} frames a second over {duration_s:.3g} s are {count} frames.",
                          f"At most {MAX_OUTPUT_FRAMES} are rendered at once; lower --fps or give --duration.")
    return np.asarray(np.arange(max(count, 1)) / fps)
